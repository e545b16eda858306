from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quorate.service.timers import TimerQueue

IDS = st.integers(0, 5)


class TimerModel(RuleBasedStateMachine):
    """Compare the queue with a dictionary that is sorted whenever something is asked."""

    @initialize()
    def begin(self) -> None:
        self.queue = TimerQueue()
        self.pending: dict[int, int] = {}
        self.due: list[tuple[int, int]] = []
        self.now = 0

    @rule(timer_id=IDS, delay=st.integers(-3, 6))
    def schedule(self, timer_id: int, delay: int) -> None:
        deadline = max(0, self.now + delay)
        self.queue.schedule(timer_id, deadline)
        self.due = [row for row in self.due if row[1] != timer_id]
        self.pending[timer_id] = deadline

    @rule(timer_id=IDS)
    def cancel(self, timer_id: int) -> None:
        self.queue.cancel(timer_id)
        self.due = [row for row in self.due if row[1] != timer_id]
        self.pending.pop(timer_id, None)

    @rule(passed=st.integers(0, 5))
    def begin_frame(self, passed: int) -> None:
        while self.due:
            self.fire()
        self.now += passed
        self.queue.begin_frame(self.now)
        rows = sorted((deadline, timer_id) for timer_id, deadline in self.pending.items())
        self.due = [row for row in rows if row[0] <= self.now]
        for _, timer_id in self.due:
            del self.pending[timer_id]

    @rule()
    def fire(self) -> None:
        expected = self.due.pop(0) if self.due else None
        assert self.queue.pop_due() == expected

    @rule()
    def look_at_the_rows(self) -> None:
        if self.due:
            with pytest.raises(AssertionError):
                self.queue.rows()
        else:
            expected = sorted((deadline, timer) for timer, deadline in self.pending.items())
            assert self.queue.rows() == expected

    @rule()
    def look_at_the_deadline(self) -> None:
        # No invariant: it drops stale rows, and nobody but a leader asks.
        assert self.queue.next_deadline == min(self.pending.values(), default=None)

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.queue) == len(self.pending) + len(self.due)
        pending = set(self.pending) | {timer_id for _, timer_id in self.due}
        assert {timer for timer in range(6) if self.queue.is_pending(timer)} == pending


TestTimerModel = TimerModel.TestCase
TestTimerModel.settings = settings(max_examples=50, stateful_step_count=40)


def test_timers_fire_by_deadline_then_id() -> None:
    queue = TimerQueue()
    for timer_id, deadline in ((3, 5), (1, 7), (2, 5), (4, 8)):
        queue.schedule(timer_id, deadline)
    queue.begin_frame(7)
    assert [queue.pop_due() for _ in range(4)] == [(5, 2), (5, 3), (7, 1), None]
    assert queue.next_deadline == 8


def test_a_timer_set_in_a_frame_waits_for_the_next_one_however_early() -> None:
    queue = TimerQueue()
    queue.schedule(1, 5)
    queue.begin_frame(5)
    assert queue.pop_due() == (5, 1)
    queue.schedule(1, 0)
    assert queue.pop_due() is None
    queue.begin_frame(5)
    assert queue.pop_due() == (0, 1)


def test_a_frame_does_not_begin_before_the_timers_of_the_last_have_fired() -> None:
    queue = TimerQueue()
    queue.schedule(1, 5)
    queue.begin_frame(5)
    with pytest.raises(AssertionError):
        queue.begin_frame(6)


@given(st.lists(st.integers(0, 100), min_size=200, max_size=300))
def test_timers_that_were_moved_often_fire_once_at_their_last_deadline(
    deadlines: list[int],
) -> None:
    queue, last = TimerQueue(), dict[int, int]()
    for index, deadline in enumerate(deadlines):
        queue.schedule(index % 40, deadline)
        last[index % 40] = deadline
    fired = []
    for now in range(101):
        queue.begin_frame(now)
        while (row := queue.pop_due()) is not None:
            assert row[0] == now
            fired.append(row)
    assert fired == sorted((deadline, timer_id) for timer_id, deadline in last.items())


@given(st.integers(100, 400))
def test_moving_one_timer_for_ever_takes_no_room(moves: int) -> None:
    queue = TimerQueue()
    for deadline in range(moves):
        queue.schedule(1, deadline + 1000)
    assert len(queue._heap) <= 67
    assert queue.rows() == [(moves + 999, 1)]
