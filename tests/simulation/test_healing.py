"""Walks that are healed afterwards: nobody stays behind, nobody waits for ever."""

from __future__ import annotations

import time

import pytest

from quorate.consensus.core import Core
from quorate.consensus.leader import Leader
from quorate.consensus.messages import Founded, Hello, Message
from quorate_simulation.budget import Budget
from quorate_simulation.cluster import Cluster
from quorate_simulation.healing import heal, walk_and_heal
from quorate_simulation.history import InvariantViolation
from quorate_simulation.swarm import draw_swarm

BUDGET = Budget("HEALING")
FIXED = range(60)
ONCE_STUCK = {"a discard in vain, of a frame that was dropped unheard": (71003266, 400)}


def steps_of(seed: int) -> int:
    """Some walks are cut short: much is on its way then."""
    return 150 if seed % 2 else 400


@pytest.mark.parametrize("first", FIXED[::20])
def test_a_healed_cluster_becomes_whole_in_the_fixed_seeds(first: int) -> None:
    for seed in range(first, first + 20):
        walk_and_heal(seed, steps_of(seed))


@pytest.mark.parametrize(("seed", "steps"), ONCE_STUCK.values(), ids=ONCE_STUCK)
def test_what_was_once_stuck_goes_on(seed: int, steps: int) -> None:
    walk_and_heal(seed, steps)


@pytest.mark.timeout(BUDGET.seconds * 3 + 120)
def test_a_healed_cluster_becomes_whole_in_new_seeds() -> None:
    print(BUDGET)
    began, walks, whole = time.monotonic(), 0, 0
    for seed in BUDGET.seeds():
        try:
            whole += walk_and_heal(seed, steps_of(seed))
        except InvariantViolation as failure:
            pytest.fail(f"walk_and_heal({seed}, {steps_of(seed)}): {failure}")
        walks += 1
    print(f"{walks} walks, {whole} whole: {walks / (time.monotonic() - began):.0f}/s")
    assert whole > walks * 0.9, "the others wait for a human"


def founded_cluster(seats: int = 3) -> Cluster:
    swarm = draw_swarm(1)
    swarm.seats, swarm.founded = seats, True
    return Cluster(1, swarm)


def test_who_never_becomes_whole_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heal(founded_cluster())
    monkeypatch.setattr(Leader, "maybe_commit", lambda _self: None)
    with pytest.raises(InvariantViolation, match=r"^I25: healed, and the cluster is not whole"):
        heal(founded_cluster())


def test_a_founding_that_does_not_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = draw_swarm(1)
    swarm.seats, swarm.founded = 3, False
    send = Core.send_durable

    def deaf(self: Core, seat: int, message: Message, sequence: int | None = None) -> None:
        if isinstance(message, Hello | Founded):
            send(self, seat, message, sequence)  # type: ignore[arg-type]

    monkeypatch.setattr(Core, "send_durable", deaf)
    with pytest.raises(InvariantViolation, match=r"^I25: healed, and the cluster is not founded"):
        heal(Cluster(1, swarm))
