"""Clocks, and loop time that a stall cannot rush."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.clock import STALL_BOUND_NS, Clock, LoopTime, SystemClock

MS = 1_000_000


def test_loop_time_follows_the_clock_in_short_turns() -> None:
    loop_time = LoopTime(1_000)
    assert loop_time.now == 0
    assert not loop_time.turn(1_000 + 5 * MS)
    assert not loop_time.turn(1_000 + 5 * MS)
    assert not loop_time.turn(1_000 + 105 * MS)
    assert loop_time.now == 105 * MS


def test_a_long_turn_counts_as_the_bound_and_is_told() -> None:
    loop_time = LoopTime(0)
    assert loop_time.turn(60_000 * MS)
    assert loop_time.now == STALL_BOUND_NS == 100 * MS
    assert not loop_time.turn(60_001 * MS)
    assert loop_time.now == 101 * MS


@given(st.lists(st.integers(-(10**12), 10**12)))
def test_loop_time_never_goes_back_nor_faster_than_its_clock(steps: list[int]) -> None:
    loop_time, monotonic, highest = LoopTime(0), 0, 0
    for step in steps:
        monotonic += step
        before = loop_time.now
        loop_time.turn(monotonic)
        highest = max(highest, monotonic)
        assert before <= loop_time.now <= before + STALL_BOUND_NS
        assert loop_time.now <= highest


def test_the_clocks_of_this_machine_are_in_nanoseconds_and_move() -> None:
    clock: Clock = SystemClock()
    first = (clock.monotonic(), clock.boottime())
    assert clock.wall() > 1_700_000_000_000_000_000
    assert clock.monotonic() >= first[0] > 0
    assert clock.boottime() >= first[1] >= first[0] - 1_000 * MS
