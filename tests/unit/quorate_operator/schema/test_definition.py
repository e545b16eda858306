"""What the definition promises: immutable fields, columns, and ranges that members take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate_cluster_services.examples import FULL, SMALL, intent
from quorate_operator import labels
from quorate_operator.bodies import milliseconds, write_status
from quorate_operator.model import (
    ClusterStatus,
    ConditionRow,
    LeaderRow,
)
from quorate_operator.reasons import Condition, Reason
from quorate_operator.resources import children
from quorate_operator.resources.member_config import member_toml
from quorate_operator.schema.definition import COLUMNS, NAME_MAX, ROOT_RULES, definition
from quorate_operator.schema.fields import Change, Field, Group, Rows, Text
from quorate_operator.schema.page import leaves
from quorate_operator.schema.spec import SPEC
from quorate_operator.schema.status import STATUS

Json = dict[str, Any]
UNCHANGED = "self == oldSelf"
RELEASES = Path(__file__).resolve().parents[3] / "compatibility" / "operator"


def below(field: Field, path: str, *, fixed: bool = False) -> Iterator[tuple[str, Field, bool]]:
    """Yield each field that holds no others, and whether a rule on it or above keeps it."""
    fixed = fixed or any(rule.rule == UNCHANGED for rule in field.rules)
    match field:
        case Group():
            for name, item in field.fields.items():
                yield from below(item, f"{path}.{name}", fixed=fixed)
        case Rows():
            yield from below(field.row, f"{path}[]", fixed=fixed)
        case _:
            yield path, field, fixed


@pytest.mark.parametrize(("path", "field", "fixed"), list(below(SPEC, "spec")))
def test_what_is_said_to_be_refused_is(path: str, field: Field, *, fixed: bool) -> None:
    has_one_value = isinstance(field, Text) and len(field.choices) == 1
    assert (field.change is Change.REFUSED) == (fixed or has_one_value), path


def ends(path: str) -> tuple[str, str]:
    """Return the shortest and the longest duration that the rule of a field lets in."""
    (field,) = (field for found, field in leaves(SPEC, "") if found == path)
    (rule,) = field.rules
    low, high = re.findall(r"duration\('(\w+)'\)", rule.rule)
    return low, high


def test_members_take_both_ends_of_every_range() -> None:
    for election, beat in zip(
        ends("consensus.electionTimeout"), ends("consensus.heartbeat"), strict=True
    ):
        # Of the two rules the one about both is the narrower at either end.
        heartbeat = min(milliseconds(beat), milliseconds(election) // 5)
        consensus = {"electionTimeout": election, "heartbeat": f"{heartbeat}ms"}
        assert member_toml(intent(SMALL | {"consensus": consensus}))
    for handover in ends("update.handoverTimeout"):
        wanted = intent(SMALL | {"update": {"handoverTimeout": handover}})
        assert member_toml(wanted)
        assert wanted.spec.update.handover_timeout_ms > 0
    longest = max(milliseconds(text) for text in ends("update.handoverTimeout"))
    deadline = max(milliseconds(text) for text in ends("update.progressDeadline"))
    assert longest < deadline, "a hand-over can be waited for"


def at(body: Any, path: str) -> object:  # noqa: ANN401 - JSON
    """Return what kubectl shows for the path of a column."""
    for name, kind in re.findall(r"\.(\w+)(?:\[\?\(@\.type==\"(\w+)\"\)\])?", path):
        body = body[name]
        if kind:
            (body,) = (row for row in body if row["type"] == kind)
    return body


def test_every_column_shows_something_of_a_cluster_that_is_well() -> None:
    time = "2026-11-28T07:00:00Z"
    status = ClusterStatus(
        leader=LeaderRow(1, "orders-1", 7, time),
        conditions=tuple(
            ConditionRow(kind, True, Reason.STABLE, "m", 1, time) for kind in Condition
        ),
        state="Ready",
        version="0.1.0",
    )
    body = {"metadata": {"creationTimestamp": time}, "status": write_status(status)}
    shown = {name: at(body, path) for name, _, path, _, _ in COLUMNS}
    assert shown == {
        "Ready": "True",
        "Leader": "orders-1",
        "Quorate": "True",
        "Status": "Ready",
        "Age": time,
        "Term": 7,
        "Version": "0.1.0",
    }
    kinds = {"string": str, "date": str, "integer": int}
    for name, kind, *_ in COLUMNS:
        assert isinstance(shown[name], kinds[kind]), name


def test_status_is_a_part_of_its_own() -> None:
    """Without the subresource a user's edit could write a status, and the operator none."""
    body: Any = definition()
    (version,) = body["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    assert body["spec"]["scope"] == "Namespaced"
    names = body["spec"]["names"]
    assert names["singular"] == names["kind"].lower(), "kubectl asks for it in lower case"
    assert version["schema"]["openAPIV3Schema"]["required"] == ["spec"]


def test_the_longest_name_makes_labels_and_names_of_hosts() -> None:
    """What the StatefulSet controller labels its pods with is longer by eleven characters."""
    wanted = intent(FULL, name="o" * NAME_MAX)
    for body in children(wanted, pod_monitors_served=True):
        named: Json = dict(body)["metadata"]  # type: ignore[assignment]
        room = 11 if body["kind"] == "StatefulSet" else 0
        limit = 253 if body["kind"] == "ConfigMap" else 63
        assert len(named["name"]) + room <= limit
        assert all(len(value) <= 63 for value in named["labels"].values())


def test_a_name_that_no_service_can_have_is_refused() -> None:
    """A Service is called the same, and its name is a DNS label that begins with a letter."""
    (pattern,) = re.findall(r"matches\('([^']*)'\)", ROOT_RULES[0].rule)
    for name in ("a", "orders", "o1", "a--b", "o" * NAME_MAX):
        assert re.fullmatch(pattern, name), name
    for name in ("", "1a", "-a", "a-", "a.b", "Orders", "a_b", "a\n"):
        assert not re.fullmatch(pattern, name), name


def test_every_reason_state_and_number_of_members_has_room_in_the_status() -> None:
    word: Any = STATUS.fields["conditions"]
    assert max(len(reason) for reason in Reason) <= word.row.fields["reason"].length_max
    assert len(Condition) <= word.count_max
    members: Any = STATUS.fields["members"]
    assert max(SPEC.fields["replicas"].choices) <= members.count_max  # type: ignore[union-attr]
    # Of a pod of the longest name, in a step that names one.
    leader: Any = STATUS.fields["leader"]
    assert leader.fields["pod"].length_max >= NAME_MAX + 2
    assert leader.fields["term"].maximum >= 2**40


@pytest.mark.parametrize("release", sorted(RELEASES.glob("release-*")), ids=lambda path: path.name)
def test_a_field_more_is_another_version_of_the_definition(release: Path) -> None:
    """Else a new operator takes an older definition for its own, which drops the field unsaid."""
    frozen = json.loads((release / "fields.json").read_text())
    found = [path for path, _ in leaves(SPEC, "spec")] + [p for p, _ in leaves(STATUS, "status")]
    assert set(frozen["fields"]) <= set(found), "what a resource holds is read by every release"
    if set(found) != set(frozen["fields"]):
        assert frozen["schemaVersion"] < labels.SCHEMA_VERSION, "raise labels.SCHEMA_VERSION"
