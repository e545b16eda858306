"""Every rule in CEL both ways: what it refuses, with its message, and its nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from quorate_cluster_services.examples import FULL, SMALL
from quorate_operator.schema.definition import ROOT_RULES
from quorate_operator.schema.page import rules
from quorate_operator.schema.spec import SPEC
from quorate_rest.cluster_services import ClusterServices
from quorate_rest.rest import Json


@dataclass(frozen=True, slots=True)
class Case:
    """One rule: its message begins so."""

    message: str
    refused: list[Json]
    taken: list[Json]
    edits: Json | None = field(default=None)
    """The spec that exists, for a rule about changes."""


def consensus(election: str, heartbeat: str) -> Json:
    return {"consensus": {"electionTimeout": election, "heartbeat": heartbeat}}


def update(name: str, value: str) -> Json:
    return {"update": {name: value}}


def tolerations(**row: object) -> Json:
    return {"scheduling": {"tolerations": [{"operator": "Exists"}, row]}}


def resources_of(name: str, request: object, limit: object) -> Json:
    return {"resources": {"requests": {name: request}, "limits": {name: limit}}}


SPEC_CASES = [
    Case(
        "spec.replicas cannot be changed",
        [{"replicas": 5}, {"replicas": 1}],
        [{"replicas": 3}],
        SMALL,
    ),
    Case(
        "spec.storage cannot be changed",
        [
            {"storage": {"size": "20Gi"}},
            {"storage": {"size": "5Gi"}},
            {"storage": {"className": "fast"}},
            {"storage": None},
        ],
        [{"storage": {"size": "12Gi"}}, {"image": "other"}],
        SMALL | {"storage": {"size": "12Gi"}},
    ),
    Case(
        "spec.storage cannot be changed",
        [{"storage": {"className": None}}, {"storage": {"className": "slow"}}],
        [{"storage": {"className": "fast"}}],
        SMALL | {"storage": {"className": "fast"}},
    ),
    Case(
        "spec.service.codeFrom needs configMap",
        [{"service": {"class": "a:B", "codeFrom": {}}}],
        [{"service": {"class": "a:B", "codeFrom": {"configMap": "code"}}}],
    ),
    Case(
        "spec.storage.size must be at least 1Gi",
        [{"storage": {"size": size}} for size in ("1023Mi", "1G", "1")],
        [{"storage": {"size": size}} for size in ("1Gi", "1024Mi", "1.1G", "1073741824")],
    ),
    Case(
        "spec.consensus.electionTimeout must be at least five times",
        [consensus("499ms", "100ms"), consensus("1s", "201ms")],
        [consensus("500ms", "100ms"), consensus("1s", "200ms")],
    ),
    Case(
        "spec.consensus.electionTimeout must be from",
        [consensus("99ms", "10ms"), consensus("61s", "10ms"), consensus("2m", "10ms")],
        [consensus("100ms", "10ms"), consensus("60s", "10ms"), consensus("1m", "10ms")],
    ),
    Case(
        "spec.consensus.heartbeat must be from",
        [consensus("60s", "9ms"), consensus("60s", "11s"), consensus("60s", "0s")],
        [consensus("60s", "10ms"), consensus("60s", "10s")],
    ),
    Case(
        "spec.update.handoverTimeout must be from",
        [update("handoverTimeout", "999ms"), update("handoverTimeout", "11m")],
        [update("handoverTimeout", "1s"), update("handoverTimeout", "600s")],
    ),
    Case(
        "spec.update.progressDeadline must be from",
        [update("progressDeadline", "9s"), update("progressDeadline", "25h")],
        [update("progressDeadline", "10s"), update("progressDeadline", "1440m")],
    ),
    Case(
        "a key of spec.scheduling.nodeSelector",
        [{"scheduling": {"nodeSelector": {key: "v"}}} for key in ("", "k" * 318)],
        [{"scheduling": {"nodeSelector": {key: "v"}}} for key in ("k", "k" * 317)],
    ),
    Case(
        "a toleration in spec.scheduling.tolerations without key",
        [tolerations(), tolerations(operator="Equal"), tolerations(value="v")],
        [tolerations(operator="Exists"), tolerations(key="k"), tolerations(key="k", value="v")],
    ),
    Case(
        "a toleration in spec.scheduling.tolerations with operator: Exists",
        [
            tolerations(operator="Exists", value="v"),
            tolerations(key="k", operator="Exists", value="v"),
        ],
        [
            tolerations(key="k", operator="Exists"),
            tolerations(key="k", operator="Equal", value="v"),
        ],
    ),
    Case(
        "tolerationSeconds in spec.scheduling.tolerations",
        [
            tolerations(key="k", tolerationSeconds=5),
            tolerations(key="k", tolerationSeconds=5, effect="NoSchedule"),
        ],
        [tolerations(key="k", tolerationSeconds=5, effect="NoExecute"), tolerations(key="k")],
    ),
    *(
        Case(
            f"spec.resources.requests.{name} must not be above",
            [resources_of(name, more, less) for more, less in pairs],
            [resources_of(name, less, more) for more, less in pairs] + [resources_of(name, "1", 1)],
        )
        for name, pairs in {
            "cpu": [("1001m", 1), (2, "1999m"), ("1.1", "1")],
            "memory": [("1025Mi", "1Gi"), ("1Gi", "1G"), (2, 1)],
            "ephemeral-storage": [("2Gi", "1Gi")],
        }.items()
    ),
]


def test_every_rule_of_the_spec_has_a_case() -> None:
    for path, found in rules(SPEC, "spec"):
        for rule in found:
            assert any(rule.message.startswith(case.message) for case in SPEC_CASES), path


@pytest.mark.parametrize("case", SPEC_CASES, ids=lambda case: case.message.replace(" ", "-"))
def test_a_rule_refuses_and_takes(resources: ClusterServices, case: Case) -> None:
    if case.edits is not None:
        resources.create(case.edits)
    for part in case.refused + case.taken:
        answer = (
            resources.try_to_create(SMALL | part)
            if case.edits is None
            else resources.try_to_edit(part)
        )
        if part in case.refused:
            assert answer.code == 422, f"{part} was let in"
            assert case.message in answer.message, answer.message
        else:
            assert answer.is_success, f"{part}: {answer.message}"


@pytest.mark.parametrize("part", [{"replicas": 5}, {"paused": False}, {"image": "other"}])
def test_only_what_cannot_be_carried_out_is_immutable(
    resources: ClusterServices, part: Json
) -> None:
    resources.create(FULL)
    assert resources.try_to_edit(part).is_success


NAMES_REFUSED = ["1orders", "o" * 41, "or.ders", "9"]
NAMES_TAKEN = ["o", "o" * 40, "a1-b", "orders-2024"]


@pytest.mark.parametrize("name", NAMES_REFUSED)
def test_a_name_that_cannot_name_pods_is_refused(resources: ClusterServices, name: str) -> None:
    answer = resources.try_to_create(SMALL, name)
    assert answer.code == 422
    assert "metadata.name must be at most 40 lower case letters" in answer.message


@pytest.mark.parametrize("name", NAMES_TAKEN)
def test_a_name_that_names_pods_is_taken(resources: ClusterServices, name: str) -> None:
    answer = resources.try_to_create(SMALL, name)
    assert answer.is_success, answer.message


IDENTITY: Json = {"clusterId": "ab" * 16, "epoch": 3, "founded": True}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clusterId": "cd" * 16}, "status.clusterId cannot be changed"),
        ({"clusterId": None}, "status.clusterId cannot be changed or removed"),
        ({"epoch": 2}, "status.epoch cannot be lowered"),
        ({"epoch": None}, "status.epoch cannot be lowered or removed"),
        ({"founded": False}, "status.founded cannot be taken back"),
        ({"founded": None}, "status.founded cannot be taken back"),
        (None, "status.clusterId cannot be changed or removed"),
        (None, "status.founded cannot be taken back"),
    ],
)
def test_identity_stays(resources: ClusterServices, change: Json | None, message: str) -> None:
    resources.create()
    assert resources.edit_status(IDENTITY).is_success
    answer = resources.edit_status(change)
    assert answer.code == 422
    assert message in answer.message
    assert any(rule.message.startswith(message) for rule in ROOT_RULES)


def test_identity_grows(resources: ClusterServices) -> None:
    resources.create()
    for step in (
        {"state": "Creating"},
        {"clusterId": "ab" * 16, "epoch": 0, "founded": False},
        {"founded": False, "epoch": 0},
        {"founded": True},
        {"epoch": 1},
        {"epoch": 7, "state": None},
        IDENTITY | {"epoch": 7},
    ):
        answer = resources.edit_status(step)
        assert answer.is_success, answer.message


@pytest.mark.parametrize("cluster_id", ["AB" * 16, "ab" * 15, "ab" * 17, "xy" * 16, ""])
def test_a_cluster_id_is_32_digits(resources: ClusterServices, cluster_id: str) -> None:
    resources.create()
    assert resources.edit_status({"clusterId": cluster_id}).code == 422


def test_an_edit_of_the_spec_leaves_identity_alone(resources: ClusterServices) -> None:
    made = resources.create()
    stored = resources.edit_status(IDENTITY)
    # What a user has who wrote the resource without its status, and replaces it now.
    made["metadata"]["resourceVersion"] = stored.body["metadata"]["resourceVersion"]
    made["spec"]["paused"] = True
    answer = resources.rest.replace(f"{resources.path}/orders", made)
    assert answer.is_success, answer.message
    assert answer.body["status"] == IDENTITY
