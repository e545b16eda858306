"""What restarts a member, and what does not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from quorate_cluster_services.examples import CODE, FULL, SMALL, spec
from quorate_operator.model import ClusterSpec
from quorate_operator.resources import code_hash, input_hash, placement_hash
from quorate_operator.schema.fields import Change
from quorate_operator.schema.page import leaves
from quorate_operator.schema.spec import SPEC

FIELDS = {
    path: field.change
    for path, field in leaves(SPEC, "")
    if "[]" not in path and path != "tls.mode"
}
OTHER: dict[str, object] = {
    "replicas": 7,
    "paused": False,
    "storage.size": "30Gi",
    "consensus.electionTimeout": "3s",
    "consensus.heartbeat": "200ms",
    "consensus.durability": "fsync",
    "update.handoverTimeout": "2m",
    "update.progressDeadline": "2h",
    "scheduling.spread": "Preferred",
    "scheduling.nodeSelector": {"disk": "slow"},
    "deletion.volumes": "Retain",
}


def changed(path: str) -> dict[str, Any]:
    body = deepcopy(FULL)
    place: Any = body
    *groups, name = path.split(".")
    for group in groups:
        place = place[group]
    place[name] = OTHER.get(path, "9" if groups[:1] == ["resources"] else f"x{place[name]}")
    return body


def hashes(wanted: ClusterSpec) -> tuple[str, str]:
    """Return both that a pod carries: another one of either restarts it."""
    return input_hash(wanted, CODE), placement_hash(wanted)


@pytest.mark.parametrize(("path", "change"), FIELDS.items())
def test_the_page_tells_the_truth_about_restarts(path: str, change: Change) -> None:
    before, after = (hashes(spec(body)) for body in (FULL, changed(path)))
    # The name of the ConfigMap is nothing that a member sees: what is in it counts.
    restarts = change is Change.RESTARTS and path != "service.codeFrom.configMap"
    assert (before != after) is restarts


def test_the_content_of_the_code_counts() -> None:
    wanted = spec(FULL)
    variants = [CODE, {}, {"orders.py": "x"}, {"other.py": CODE["orders.py"]}, CODE | {"a": ""}]
    assert len({input_hash(wanted, code) for code in variants} | {input_hash(wanted, None)}) == 6
    assert len({code_hash(code) for code in variants}) == 5


def test_the_order_of_files_and_the_spelling_of_quantities_do_not_count() -> None:
    assert code_hash({"a": "1", "b": "2"}) == code_hash({"b": "2", "a": "1"})
    small = SMALL | {"resources": {"requests": {"cpu": "1000m"}, "limits": {"memory": "1024Mi"}}}
    same = SMALL | {"resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}}}
    assert input_hash(spec(small), None) == input_hash(spec(same), None)


def test_the_spelling_of_durations_does_not_count() -> None:
    body = SMALL | {"consensus": {"electionTimeout": "1s"}}
    same = SMALL | {"consensus": {"electionTimeout": "1000ms"}}
    assert input_hash(spec(body), None) == input_hash(spec(same), None)


def test_only_another_text_restarts_and_none_is_as_before_there_was_one() -> None:
    def restarted(text: str | None) -> str:
        asked = {} if text is None else {"restart": text}
        return input_hash(spec(SMALL | {"update": asked}), None)

    assert restarted("") == restarted(None) == input_hash(spec(SMALL), None)
    assert len({restarted(text) for text in ("", "2026-11-29", "2026-11-30")}) == 3


def test_the_order_of_tolerations_does_not_count() -> None:
    body = deepcopy(FULL)
    scheduling: Any = body["scheduling"]
    scheduling["tolerations"].reverse()
    assert placement_hash(spec(body)) == placement_hash(spec(FULL))


def test_every_field_of_a_toleration_counts() -> None:
    row: dict[str, object] = {"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}
    row["tolerationSeconds"] = 60
    rows = [row, *({name: row[name] for name in row if name != left} for left in row)]
    hashes_of_rows = {
        placement_hash(spec(SMALL | {"scheduling": {"tolerations": [one]}})) for one in rows
    }
    assert len(hashes_of_rows) == len(rows)
