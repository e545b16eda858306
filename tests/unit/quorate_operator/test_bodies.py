"""Bodies of resources: what is read is what was written, and nothing raises."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config import Durability
from quorate_cluster_services.examples import FULL, SMALL, spec, stored
from quorate_cluster_services.strategies import specs, values
from quorate_operator import labels
from quorate_operator.bodies import (
    milliseconds,
    read_resource,
    read_spec,
    read_status,
    write_status,
)
from quorate_operator.errors import InvalidSpec
from quorate_operator.model import (
    ClusterStatus,
    ConditionRow,
    LeaderRow,
    MemberRow,
    OperationRow,
    QuorumRow,
    TransferRow,
    UpdateRow,
)
from quorate_operator.reasons import Condition, Reason
from quorate_operator.schema.checking import problems
from quorate_operator.schema.page import leaves
from quorate_operator.schema.spec import SPEC
from quorate_operator.schema.status import STATUS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
PATHS = [path.split(".") for path, _ in leaves(SPEC, "") if "[]" not in path]
OTHER_VALUES: dict[str, object] = {
    "replicas": 7,
    "paused": False,
    "consensus.durability": "fsync",
    "scheduling.spread": "Preferred",
    "deletion.volumes": "Retain",
    "scheduling.nodeSelector": {"disk": "slow"},
}
"""For each kind of field that is not a free text: another value than in ``FULL``."""


def at(body: Mapping[str, Any], path: list[str]) -> dict[str, Any]:
    """Return the object that holds the last name of a path."""
    place: Any = body
    for name in path[:-1]:
        place = place[name]
    return cast("dict[str, Any]", place)


def test_the_defaults_are_read() -> None:
    read = spec(SMALL)
    assert (read.replicas, read.config, read.paused) == (3, "", False)
    assert (read.consensus.election_timeout_ms, read.consensus.heartbeat_ms) == (500, 50)
    assert read.consensus.durability is Durability.FSYNC
    assert (read.update.handover_timeout_ms, read.update.progress_deadline_ms) == (5_000, 600_000)
    assert read.resources.requests == {"cpu": "100m", "memory": "256Mi"}
    assert read.resources.limits == {"memory": "1Gi"}
    assert (read.storage.size, read.storage.class_name) == ("10Gi", None)


def test_an_integer_is_a_quantity_too() -> None:
    assert spec(FULL).resources.requests["cpu"] == "1"


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_every_field_of_the_schema_is_read(path: list[str]) -> None:
    if path == ["tls", "mode"]:
        return  # this release knows one mode only
    body = deepcopy(FULL)
    old = at(body, path)[path[-1]]
    other = OTHER_VALUES.get(".".join(path), f"9{old}" if path[0] == "update" else None)
    if other is None:
        other = {"electionTimeout": "3s", "heartbeat": "200ms", "size": "30Gi"}.get(path[-1])
    if other is None:
        other = "9" if path[0] == "resources" else f"x{old}"
    at(body, path)[path[-1]] = other
    assert spec(body) != spec(FULL), f"{'.'.join(path)} does not reach the spec"


def test_every_field_of_a_toleration_is_read() -> None:
    assert spec(FULL).scheduling.tolerations == tuple(
        cast("dict[str, Any]", FULL["scheduling"])["tolerations"]
    )


@given(body=specs())
def test_what_the_schema_lets_in_is_read(body: dict[str, object]) -> None:
    assert read_spec(body).image == body["image"]


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_wrong_value_is_refused_by_its_name(path: list[str]) -> None:
    body = stored(FULL)
    at(body, path)[path[-1]] = {"not": ["possible"]}
    with pytest.raises(InvalidSpec) as caught:
        read_spec(body)
    assert [problem for problem in caught.value.problems if f"spec.{'.'.join(path)}" in problem]


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_field_with_a_default_must_be_there(path: list[str]) -> None:
    body = stored(SMALL)
    if path[-1] in at(stored(SMALL) | {"service": FULL["service"]}, path) and path[0] != "service":
        at(body, path).pop(path[-1])
        with pytest.raises(InvalidSpec, match="is missing"):
            read_spec(body)


def test_all_problems_are_named_together() -> None:
    with pytest.raises(InvalidSpec) as caught:
        read_spec({"replicas": 4})
    text = str(caught.value)
    assert "spec.replicas is 4, not 1 or 3 or 5 or 7 or 9" in text
    assert "spec.image is missing" in text


@given(body=st.dictionaries(st.sampled_from(["metadata", "spec", "status", "kind"]), JSON))
def test_nothing_that_is_read_raises(body: dict[str, object]) -> None:
    resource = read_resource(body)
    assert (resource.spec is None) == bool(resource.problems)


@given(status=values(STATUS))
def test_no_status_that_the_schema_lets_in_raises(status: object) -> None:
    read_status(cast("dict[str, object]", status))


def test_the_resource_is_read_with_its_identity_and_request() -> None:
    body = {
        "metadata": {
            "name": "orders",
            "namespace": "shop",
            "uid": "u-1",
            "resourceVersion": "17",
            "generation": 4,
            "annotations": {labels.TRANSFER_ANNOTATION: "any/1"},
        },
        "spec": stored(FULL),
        "status": {"clusterId": "ab" * 16, "epoch": 2, "founded": True},
    }
    read = read_resource(body)
    assert (read.name, read.namespace, read.uid, read.resource_version) == (
        "orders",
        "shop",
        "u-1",
        "17",
    )
    assert (read.generation, read.transfer_request, read.problems) == (4, "any/1", ())
    assert read.spec == spec(FULL)
    assert (read.status.cluster_id, read.status.epoch, read.status.founded) == ("ab" * 16, 2, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 500), ("0s", 0), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)],
)
def test_durations_are_milliseconds(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


TIME = "2026-11-28T07:00:00Z"
words = st.text(max_size=20) | st.just("a word beyond its bounds " * 4)
names = st.text(min_size=1, max_size=20) | st.just("a text beyond its bounds " * 60)
seats = st.integers(0, 255)
numbers = st.integers(0, 2**53 - 1)
STATUSES = st.builds(
    ClusterStatus,
    observed_generation=numbers,
    leader=st.none()
    | st.builds(LeaderRow, member=seats, pod=names, term=numbers, since=st.just(TIME)),
    lost_leader=st.none() | st.builds(LeaderRow, seats, names, numbers, st.just(TIME)),
    quorum=st.none() | st.builds(QuorumRow, seats, seats, seats),
    members=st.lists(
        st.builds(
            MemberRow, seat=seats, role=words, voter=st.booleans(), lag_bytes=numbers, reason=names
        ),
        max_size=5,
    ).map(tuple),
    operation=st.none()
    | st.builds(
        OperationRow, words, names, names, st.sampled_from(Reason), st.just(TIME), st.just(TIME)
    ),
    update=st.none() | st.builds(UpdateRow, words, seats, seats),
    last_transfer=st.none()
    | st.builds(TransferRow, words, words, st.none() | seats, names, st.just(TIME)),
    conditions=st.lists(
        st.builds(
            ConditionRow,
            st.sampled_from(Condition),
            st.none() | st.booleans(),
            st.sampled_from(Reason),
            names,
            numbers,
            st.just(TIME),
        ),
        max_size=5,
    ).map(tuple),
    state=words,
    version=words,
)


@given(status=STATUSES)
def test_a_status_is_written_within_its_bounds(status: ClusterStatus) -> None:
    assert not list(problems(STATUS, write_status(status), "status"))


@given(status=STATUSES)
def test_a_status_that_was_written_is_read_and_written_alike(status: ClusterStatus) -> None:
    once = write_status(status)
    assert write_status(read_status(once)) == once


@given(status=STATUSES)
def test_a_short_status_loses_nothing(status: ClusterStatus) -> None:
    short = replace(
        status,
        leader=None,
        lost_leader=None,
        members=(),
        operation=None,
        last_transfer=None,
        update=None,
        state="Updating",
        version="0.1.0",
        conditions=tuple(replace(row, message="why") for row in status.conditions),
    )
    assert read_status(write_status(short)) == short


def test_a_long_text_is_cut_where_people_see_it() -> None:
    row = ConditionRow(Condition.READY, True, Reason.STABLE, "m" * 1_025, 1, TIME)
    written = write_status(ClusterStatus(conditions=(row,), state="s" * 65))
    (condition,) = cast("list[dict[str, str]]", written["conditions"])
    assert condition["message"] == "m" * 1_023 + "…"
    assert written["state"] == "s" * 63 + "…"
    exact = ClusterStatus(conditions=(replace(row, message="m" * 1_024),))
    assert read_status(write_status(exact)) == exact


def test_identity_is_never_part_of_the_periodic_status() -> None:
    status = ClusterStatus(cluster_id="ab" * 16, epoch=1, founded=True)
    assert not write_status(status).keys() & {"clusterId", "epoch", "founded"}


def test_the_schema_has_every_field_of_the_status() -> None:
    rows = {
        "": ClusterStatus,
        "leader": LeaderRow,
        "lostLeader": LeaderRow,
        "quorum": QuorumRow,
        "members": MemberRow,
        "operation": OperationRow,
        "update": UpdateRow,
        "lastTransfer": TransferRow,
        "conditions": ConditionRow,
    }
    for name, kind in rows.items():
        field: Any = STATUS.fields[name] if name else STATUS
        known = getattr(field, "row", field).fields
        assert len(known) == len(fields(kind)), f"{kind.__name__} and status.{name} differ"


def test_a_condition_of_a_later_release_is_left_out() -> None:
    row = write_status(
        ClusterStatus(
            conditions=(ConditionRow(Condition.READY, None, Reason.STABLE, "m", 1, TIME),)
        )
    )
    (ready,) = cast("list[dict[str, object]]", row["conditions"])
    assert ready["status"] == "Unknown"
    read = read_status({"conditions": [ready | {"type": "Levitating"}, ready]})
    assert [condition.type for condition in read.conditions] == [Condition.READY]


def test_a_resource_that_goes_is_held_by_its_finalizers_only_then() -> None:
    meta = {"name": "orders", "finalizers": ["example.org/backup"]}
    assert read_resource({"metadata": meta}).held_by == ()
    going = meta | {"deletionTimestamp": "2026-11-28T07:00:00Z"}
    assert read_resource({"metadata": going}).held_by == ("example.org/backup",)
