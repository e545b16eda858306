"""Log time: never back, and never much faster or slower than real time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.consensus.cluster_time import SLEW_DIVISOR, LogClock, WallClocks, lower_median
from quorate.consensus.types import Instant

TIMES = st.integers(0, 1 << 60)
STEPS = st.lists(
    st.tuples(st.integers(-1_000, 1 << 40), st.integers(-(1 << 50), 1 << 50)), max_size=20
)


@given(st.lists(TIMES, min_size=1))
def test_the_median_of_two_middle_clocks_is_the_lower(walls: list[int]) -> None:
    median = lower_median(walls)
    assert median in walls
    assert sum(wall < median for wall in walls) * 2 < len(walls)
    assert sum(wall > median for wall in walls) * 2 <= len(walls)


@given(TIMES, st.lists(TIMES, min_size=1, max_size=5), STEPS)
def test_log_time_never_goes_back_and_slews_by_a_twentieth(
    last: int, walls: list[int], steps: list[tuple[int, int]]
) -> None:
    boottime = 1_000
    clock = LogClock(Instant(0, boottime, 0), last, walls)
    time = clock.read(Instant(0, boottime, 0))
    assert time == max(last, lower_median(walls))
    latest = boottime
    for elapsed, wall in steps:
        boottime += elapsed
        read = clock.read(Instant(0, boottime, wall))
        real = max(0, boottime - latest)
        latest = max(latest, boottime)
        assert abs(read - time - real) <= real // SLEW_DIVISOR
        assert read >= time
        time = read


def test_log_time_approaches_the_wall_and_stays_there() -> None:
    clock = LogClock(Instant(0, 0, 0), 1_000_000, [0])
    wall = time = 0
    for boottime in range(0, 40_000_000, 100_000):
        wall = boottime
        time = clock.read(Instant(0, boottime, wall))
        assert time >= wall
    assert time == wall


def test_reported_clocks_run_on() -> None:
    walls = WallClocks()
    assert walls.estimates(Instant(0, 5, 0)) == {}
    walls.report(Instant(0, 10, 0), 1, 1_000)
    walls.report(Instant(0, 20, 0), 2, 900)
    walls.report(Instant(0, 30, 0), 2, 950)
    assert walls.estimates(Instant(0, 40, 0)) == {1: 1_030, 2: 960}
