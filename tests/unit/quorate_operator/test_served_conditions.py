"""The conditions of clusters among the operator's metrics: what was found last."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest

from quorate_operator.errors import Refused
from quorate_operator.kube.observe import Absent
from quorate_operator.metrics import Metrics
from quorate_operator.planning.actions import ApplyChild, WriteIdentity
from quorate_operator.planning.observed import Observed
from quorate_operator.reasons import Condition, Reason
from quorate_reconciliation.world import (
    APPLY,
    READY,
    RECORDED,
    World,
    observed,
    plan_of,
    reconciled,
    row,
)

NO_LEADER = replace(row(Condition.READY, status=False), reason=Reason.NO_LEADER)
LED = {("ns", "bank", "Ready", "Stable"): 1.0, ("ns", "bank", "Progressing", "Stable"): 0.0}


def served(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return all series by namespace, cluster, condition and reason."""
    names = ("cluster_namespace", "cluster", "condition", "reason")
    return {
        tuple(sample.labels[name] for name in names): sample.value
        for family in metrics.registry.collect()
        if family.name == "quorate_operator_condition"
        for sample in family.samples
    }


def ending() -> Observed:
    return replace(observed(), resource=replace(observed().resource, held_by=("audit.io/keep",)))


def test_a_condition_is_served_as_it_was_found_last_and_under_its_reason_only() -> None:
    world = World(deque([plan_of(), plan_of(status=replace(RECORDED, conditions=(NO_LEADER,)))]))
    reconciled(world)
    assert served(world.metrics) == LED
    reconciled(world)
    assert served(world.metrics) == {("ns", "bank", "Ready", "NoLeader"): 0.0}


def test_what_nobody_knows_is_not_served_as_true_or_false() -> None:
    unknown = replace(row(Condition.READY, status=False), status=None)
    world = World(deque([plan_of(status=replace(RECORDED, conditions=(unknown, READY[1])))]))
    reconciled(world)
    assert served(world.metrics) == {("ns", "bank", "Progressing", "Stable"): 0.0}


def test_what_keeps_a_step_from_being_done_is_served_as_well() -> None:
    world = World(deque([plan_of(APPLY)]), errors={ApplyChild: Refused("policy")})
    reconciled(world)
    assert served(world.metrics) == LED | {("ns", "bank", "Reconciled", "ApiRefused"): 0.0}


@pytest.mark.parametrize("cause", ["unread", "old schema"])
def test_a_cluster_that_cannot_even_be_planned_is_told_of(cause: str) -> None:
    world = World(deque([plan_of()]), schema_current=cause != "old schema")
    if cause == "unread":
        world.looks.append(Refused("no right to read pods"))
    reconciled(world)
    reason = {"unread": "ApiRefused", "old schema": "SchemaTooOld"}[cause]
    assert served(world.metrics) == LED | {("ns", "bank", "Reconciled", reason): 0.0}


@pytest.mark.parametrize("look", [Absent("gone"), ending()], ids=["gone", "being deleted"])
def test_of_a_cluster_that_is_gone_or_meant_to_go_nothing_is_served(
    look: Absent | Observed,
) -> None:
    world = World(deque([plan_of()]), deque([observed(), look]))
    reconciled(world, passes=2)
    assert served(world.metrics) == {}


def test_what_was_found_is_served_to_each_who_asks() -> None:
    metrics = Metrics()
    metrics.conditions.found(("ns", "bank"), iter(READY))
    assert served(metrics) == served(metrics) == LED


def test_clusters_of_one_name_in_two_namespaces_are_two() -> None:
    metrics = Metrics()
    metrics.conditions.found(("shop", "bank"), (NO_LEADER,))
    metrics.conditions.found(("market", "bank"), READY[:1])
    metrics.conditions.forget(("yard", "bank"))
    assert served(metrics) == {
        ("market", "bank", "Ready", "Stable"): 1.0,
        ("shop", "bank", "Ready", "NoLeader"): 0.0,
    }


def test_a_cluster_without_a_name_of_its_own_yet_is_served_at_the_look_that_follows() -> None:
    identity = WriteIdentity("u", "1", "c" * 32, 1, founded=False)
    world = World(deque([plan_of(identity), plan_of()]))
    reconciled(world, passes=2)
    assert served(world.metrics) == LED
