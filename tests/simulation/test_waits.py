"""A member that waits for ever is found, whatever it waits for."""

from __future__ import annotations

import pytest

from quorate.consensus.core import Deadline
from quorate_simulation.actions import persist, tick
from quorate_simulation.cluster import Cluster, Node
from quorate_simulation.history import InvariantViolation
from quorate_simulation.swarm import draw_swarm
from quorate_simulation.waits import check_waits


def alone() -> tuple[Cluster, Node]:
    """Return a founded cluster of one, and its member."""
    swarm = draw_swarm(1)
    swarm.seats, swarm.founded = 1, True
    cluster = Cluster(1, swarm)
    return cluster, cluster.nodes[0]


def forget(node: Node, deadline: Deadline) -> None:
    assert node.module is not None
    assert deadline in node.module.deadlines(), "else nothing is tried here"
    node.module.core.disarm(deadline)


def check(cluster: Cluster, node: Node) -> None:
    assert node.module is not None
    check_waits(cluster.history, node.module)


def test_a_voter_that_will_never_stand_is_found() -> None:
    cluster, node = alone()
    check(cluster, node)
    forget(node, Deadline.STAND)
    with pytest.raises(InvariantViolation, match=r"^I24: .*ElectionState\.WAITING for ever"):
        check(cluster, node)


def test_a_candidate_whose_ballot_has_no_end_is_found() -> None:
    cluster, node = alone()
    tick(cluster, 0)
    check(cluster, node)
    forget(node, Deadline.CAMPAIGN)
    check(cluster, node)  # its own vote is under way to the disk
    assert node.module is not None
    node.module.core.persisted = node.module.core.sequence
    with pytest.raises(InvariantViolation, match=r"^I24: .*ElectionState\.BALLOT for ever"):
        check(cluster, node)


@pytest.mark.parametrize("deadline", [Deadline.HEARTBEAT, Deadline.CHECK_QUORUM])
def test_a_leader_that_falls_silent_or_never_steps_down_is_found(deadline: Deadline) -> None:
    cluster, node = alone()
    tick(cluster, 0)
    persist(cluster, 0, 1)
    check(cluster, node)
    forget(node, deadline)
    with pytest.raises(InvariantViolation, match=r"^I24: leads without"):
        check(cluster, node)
