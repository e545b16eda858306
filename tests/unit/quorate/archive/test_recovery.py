from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.archive.recovery import PreviousLife, ScanOutcome, decide_recovering
from quorate.config import Durability
from quorate.consensus.types import (
    NOT_RECOVERING,
    Chain,
    LeadershipTermId,
    LogMark,
    LogPosition,
    Recovering,
    RecoveringReason,
)

BOOT, OTHER_BOOT = b"a" * 16, b"b" * 16
FSYNC = PreviousLife(BOOT, Durability.FSYNC, clean=False, founded=True)
REPLICATED = FSYNC._replace(durability=Durability.REPLICATED)


def mark(position: int, term: int = 1) -> LogMark:
    return LogMark(LogPosition(position), LeadershipTermId(term), Chain(9))


WHOLE = ScanOutcome(mark(640), mark(640), damaged=False)


def test_a_whole_log_in_fsync_is_not_recovering_under_any_boot() -> None:
    for boot in (BOOT, OTHER_BOOT):
        assert decide_recovering(NOT_RECOVERING, FSYNC, boot, WHOLE) == NOT_RECOVERING


def test_replicated_without_the_clean_mark_under_another_boot_may_have_lost_its_tail() -> None:
    found = decide_recovering(NOT_RECOVERING, REPLICATED, OTHER_BOOT, WHOLE)
    assert found == Recovering(RecoveringReason.UNSYNCED, LeadershipTermId(1), LogPosition(640))


def test_replicated_keeps_its_page_cache_under_the_same_boot_and_all_with_the_clean_mark() -> None:
    assert decide_recovering(NOT_RECOVERING, REPLICATED, BOOT, WHOLE) == NOT_RECOVERING
    clean = REPLICATED._replace(clean=True)
    assert decide_recovering(NOT_RECOVERING, clean, OTHER_BOOT, WHOLE) == NOT_RECOVERING


def test_before_the_founded_mark_nothing_can_have_been_acknowledged_unsynced() -> None:
    blank = REPLICATED._replace(founded=False)
    empty = ScanOutcome(mark(0, 0), mark(0, 0), damaged=False)
    assert decide_recovering(NOT_RECOVERING, blank, OTHER_BOOT, empty) == NOT_RECOVERING


def test_damage_counts_up_to_the_furthest_seen() -> None:
    scan = ScanOutcome(mark(128), mark(960, 3), damaged=True)
    found = decide_recovering(NOT_RECOVERING, FSYNC, BOOT, scan)
    assert found == Recovering(RecoveringReason.DAMAGED, LeadershipTermId(3), LogPosition(960))


def test_the_founded_mark_with_an_empty_log_is_damage() -> None:
    empty = ScanOutcome(mark(0, 0), mark(0, 0), damaged=False)
    found = decide_recovering(NOT_RECOVERING, FSYNC, BOOT, empty)
    assert found.reason is RecoveringReason.DAMAGED


def test_what_a_human_has_accepted_stays_as_it_is() -> None:
    accepted = Recovering(RecoveringReason.LOSS_ACCEPTED, LeadershipTermId(2), LogPosition(64))
    scan = ScanOutcome(mark(128), mark(960, 3), damaged=True)
    assert decide_recovering(accepted, REPLICATED, OTHER_BOOT, scan) == accepted


@given(
    known=st.builds(
        Recovering,
        st.sampled_from([RecoveringReason.DAMAGED, RecoveringReason.UNSYNCED]),
        st.integers(0, 9).map(LeadershipTermId),
        st.integers(0, 9).map(lambda n: LogPosition(n * 64)),
    ),
    position=st.integers(0, 9),
    damaged=st.booleans(),
    life=st.sampled_from([FSYNC, REPLICATED]),
    boot=st.sampled_from([BOOT, OTHER_BOOT]),
)
def test_no_start_takes_back_what_an_earlier_one_has_found(
    known: Recovering, position: int, damaged: bool, life: PreviousLife, boot: bytes
) -> None:
    scan = ScanOutcome(mark(64), mark(position * 64), damaged=damaged)
    found = decide_recovering(known, life, boot, scan)
    assert found.reason in (known.reason, RecoveringReason.DAMAGED)
    assert (found.leadership_term_id, found.position) >= (
        known.leadership_term_id,
        known.position,
    )
    assert decide_recovering(found, life, boot, scan) == found
