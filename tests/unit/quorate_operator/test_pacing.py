"""When a cluster is looked at again: soon after something has changed, and then less and less."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from quorate_operator.config import OperatorConfig
from quorate_operator.pacing import (
    BUSY_FIRST_S,
    BUSY_MAX_S,
    UNSETTLED_FIRST_S,
    UNSETTLED_MAX_S,
    Pacing,
)
from quorate_operator.queue import Key

KEY, OTHER = Key("ns", "bank"), Key("ns", "shop")


class Pass(NamedTuple):
    """What came of one."""

    acted: bool
    written: bool
    settled: bool
    deadline_s: float | None = None


PASSES = st.builds(
    Pass,
    acted=st.booleans(),
    written=st.booleans(),
    settled=st.booleans(),
    deadline_s=st.none() | st.floats(0.0, 100.0),
)
STILL = Pass(acted=False, written=False, settled=False)
BUSY = Pass(acted=True, written=False, settled=True)
WELL = Pass(acted=False, written=False, settled=True)


def again_s(pacing: Pacing, ended: Pass, key: Key = KEY) -> float | None:
    return pacing.again_s(
        key, ended.deadline_s, acted=ended.acted, written=ended.written, settled=ended.settled
    )


def waits(*passes: Pass) -> list[float | None]:
    pacing = Pacing()
    return [again_s(pacing, ended) for ended in passes]


def as_one(passes: list[Pass]) -> list[Pass]:
    """Return what still counts of them: what the last look began of being busy, or of standing."""
    last = len(passes) - 1
    idle = max((at for at, ended in enumerate(passes) if not ended.acted), default=0)
    moved = (at for at, p in enumerate(passes) if p.acted or p.written or p.settled)
    return passes[min(idle, max(moved, default=0), last) :]


@given(st.lists(PASSES, min_size=1, max_size=30), st.lists(PASSES, max_size=5))
def test_only_the_passes_in_a_row_that_are_alike_count_and_those_of_this_cluster(
    passes: list[Pass], others: list[Pass]
) -> None:
    pacing, found = Pacing(), None
    for ended in passes:
        for other in others:
            again_s(pacing, other, OTHER)
        found = again_s(pacing, ended)
    assert found == waits(*as_one(passes))[-1]
    pacing.forget(KEY)
    assert [again_s(pacing, ended) for ended in passes] == waits(*passes), "it begins anew"


@given(st.lists(PASSES, min_size=1, max_size=30))
def test_nothing_is_looked_at_later_than_it_asks_for(passes: list[Pass]) -> None:
    for ended, found in zip(passes, waits(*passes), strict=True):
        wants_nothing = ended.settled and not ended.acted and ended.deadline_s is None
        assert (found is None) is wants_nothing
        if found is not None:
            assert 0.0 <= found <= UNSETTLED_MAX_S or ended.deadline_s is not None
            assert ended.deadline_s is None or found <= ended.deadline_s
            assert not ended.acted or found <= BUSY_MAX_S


def test_each_wait_is_longer_than_the_one_before_up_to_the_most() -> None:
    for ended, first_s, most_s in (
        (BUSY, BUSY_FIRST_S, BUSY_MAX_S),
        (STILL, UNSETTLED_FIRST_S, UNSETTLED_MAX_S),
    ):
        found = [wait for wait in waits(*[ended] * 20) if wait is not None]
        assert (found[0], found[-1]) == (first_s, most_s)
        rising = found[: found.index(most_s) + 1]
        assert sorted(set(rising)) == rising
        assert len(rising) >= 5, "it is slowed down by and by"
        assert sum(found[:4]) < 2 * most_s, "an update is many steps, one look each"


def test_what_was_looked_at_in_vain_all_day_is_looked_at_as_before() -> None:
    """A power of the number of passes would be beyond every number by then."""
    assert waits(*[STILL] * 6000)[-1] == UNSETTLED_MAX_S
    assert waits(*[BUSY] * 6000)[-1] == BUSY_MAX_S


def test_a_resync_is_no_sooner_than_what_is_waited_for() -> None:
    """Else the pace of what is under way were that of a cluster in which nothing happens."""
    assert BUSY_MAX_S < UNSETTLED_MAX_S < OperatorConfig("ns").resync_s / 2
