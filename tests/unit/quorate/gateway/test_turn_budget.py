from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.gateway.turn_budget import (
    BYTES_PER_TURN,
    BYTES_PER_TURN_EACH,
    MESSAGES_PER_TURN,
    MESSAGES_PER_TURN_EACH,
    TurnBudget,
)


@dataclass(eq=False)
class Eager:
    """Has so many messages, takes its share, and waits for the next turn with the rest."""

    budget: TurnBudget
    messages: int
    taken: list[int] = field(default_factory=list)

    def go_on(self) -> None:
        count = max(0, min(self.messages, self.budget.left, self.budget.each))
        self.messages -= count
        self.budget.left -= count
        if count:
            self.taken.append(self.budget.turn)
        if self.messages:
            self.budget.hold(self)


def test_one_alone_may_bring_everything() -> None:
    budget = TurnBudget()
    budget.begin(1)
    assert budget.each == MESSAGES_PER_TURN


def test_the_share_of_many_does_not_fall_below_its_least() -> None:
    budget = TurnBudget()
    budget.begin(100_000)
    assert budget.each == MESSAGES_PER_TURN_EACH


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=9))
def test_bytes_are_shared_like_messages_however_the_number_changes(actives: list[int]) -> None:
    budget = TurnBudget()
    for active in actives:
        budget.begin(active)
        for share, total, least in (
            (budget.each, MESSAGES_PER_TURN, MESSAGES_PER_TURN_EACH),
            (budget.bytes_each, BYTES_PER_TURN, BYTES_PER_TURN_EACH),
        ):
            assert share >= least
            assert share == least or total - active < share * active <= total


def test_all_together_bring_no_more_than_a_turn_holds() -> None:
    budget = TurnBudget()
    crowd = [Eager(budget, 1_000) for _ in range(1_000)]
    for one in crowd:
        budget.hold(one)
    budget.begin(len(crowd))
    assert sum(1_000 - one.messages for one in crowd) == MESSAGES_PER_TURN


def test_everybody_gets_his_turn_before_anybody_gets_another() -> None:
    budget = TurnBudget()
    crowd = [Eager(budget, 10 * MESSAGES_PER_TURN_EACH) for _ in range(500)]
    for one in crowd:
        budget.hold(one)
    while any(one.messages for one in crowd):
        budget.begin(len(crowd))
        counts = [len(one.taken) for one in crowd]
        assert max(counts) - min(counts) <= 1
    turns = 500 * 10 * MESSAGES_PER_TURN_EACH // MESSAGES_PER_TURN
    assert budget.turn <= turns + 1, "no turn is left unused"


def test_one_that_is_gone_is_not_asked() -> None:
    budget = TurnBudget()
    one = Eager(budget, 1)
    budget.hold(one)
    budget.forget(one)
    budget.begin(1)
    assert one.taken == []


@pytest.mark.parametrize("active", [1, 2, 7, 16, 1_000, 100_000])
def test_bytes_are_shared_like_messages(active: int) -> None:
    budget = TurnBudget()
    budget.begin(active)
    assert budget.bytes_each >= BYTES_PER_TURN_EACH
    assert budget.bytes_each * active <= max(BYTES_PER_TURN, active * BYTES_PER_TURN_EACH)
