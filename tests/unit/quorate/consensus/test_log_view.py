"""The log in memory, against the list of frames that it stands for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.consensus.log_view import LogView
from quorate.consensus.types import LOG_START, FrameType, LeadershipTermId, LogPosition
from quorate_consensus.logs import HandLog


def two_terms() -> HandLog:
    log = HandLog()
    log.begin_term(2)
    log.add(2)
    log.begin_term(5)
    log.add(5, size=100)
    return log


def boundaries(log: HandLog) -> list[int]:
    return [0, *(frame.end for frame in log.frames)]


@pytest.mark.parametrize("in_memory", [True, False])
def test_terms_at_every_position(in_memory: bool) -> None:
    log = two_terms()
    view = log.view(in_memory=in_memory)
    for frame in log.frames:
        for position in range(frame.position + 1, frame.end + 1):
            assert view.term_before(LogPosition(position)) == frame.leadership_term_id
    assert view.term_before(LogPosition(0)) == 0
    assert tuple(view.terms) == log.terms


def test_rows_and_ends_of_terms() -> None:
    log = two_terms()
    view = log.view()
    for row in log.terms:
        assert view.term_row(row.leadership_term_id) == row
    for absent in (1, 3, 6):
        assert view.term_row(LeadershipTermId(absent)) is None
    assert view.term_end(LeadershipTermId(0)) == log.frames[1].position
    assert view.term_end(LeadershipTermId(2)) == log.frames[3].position
    assert view.term_end(LeadershipTermId(5)) == log.end.position
    assert LogView((), LOG_START, 0, None, 0).term_row(LeadershipTermId(0)) is None


def test_chains_known_in_memory_and_from_the_term_table() -> None:
    log = two_terms()
    for count in range(len(log.frames) + 1):
        mark = log.mark(count)
        assert log.view().chain_before(mark.position) == mark.chain
    on_disk = log.view(in_memory=False)
    known = {0, log.frames[1].position, log.frames[3].position, log.end.position}
    for count in range(len(log.frames) + 1):
        mark = log.mark(count)
        expected = mark.chain if mark.position in known else None
        assert on_disk.chain_before(mark.position) == expected
    assert log.view().chain_before(LogPosition(log.frames[2].position + 64)) is not None
    assert log.view().chain_before(LogPosition(log.frames[4].position + 64)) is None
    assert LogView((), log.end, 0, None, 0).chain_before(LogPosition(0)) is None


def test_frames_come_in_bounded_pieces() -> None:
    log = HandLog()
    log.begin_term(1)
    for _ in range(6):
        log.add(1, size=64)
    view = log.view()
    first = LogPosition(log.frames[2].position)
    assert view.frames_from(first, 1) == (log.frames[2],)
    assert view.frames_from(first, 300) == tuple(log.frames[2:4])
    assert view.frames_from(first, 1 << 20) == tuple(log.frames[2:])
    assert view.frames_from(first, 1 << 20, frames_max=3) == tuple(log.frames[2:5])
    assert view.frames_from(log.end.position, 1) == ()
    assert log.view(in_memory=False).frames_from(first, 1) is None
    assert view.frame_at(first) == log.frames[2]
    assert view.frame_at(LogPosition(1)) is None


def test_only_durable_frames_leave_memory() -> None:
    log = HandLog()
    view = LogView((), LOG_START, 0, None, tail_bytes_max=200)
    view.append(log.frames[0])
    view.appended(1)
    view.append(log.begin_term(1))
    view.appended(2)
    view.append(log.add(1, size=100))
    view.appended(3)
    assert view.frame_at(LogPosition(0)) is not None
    assert view.tail_start == 0
    assert view.persisted(1)
    assert view.frame_at(LogPosition(0)) is None
    assert view.tail_start == log.frames[1].position
    assert log.view(in_memory=False).tail_start == log.end.position
    assert view.frame_at(log.frames[1].position) is not None
    assert not view.persisted(1)
    assert view.persisted(3)
    assert view.frame_at(log.frames[1].position) is None
    assert view.frame_at(log.frames[2].position) is not None


def test_last_timestamp_is_the_latest() -> None:
    log = HandLog()
    log.begin_term(1)
    log.add(1, FrameType.EMPTY)
    assert log.view().last_timestamp == log.frames[-1].timestamp


@pytest.mark.parametrize(
    ("position", "previous", "term"), [(64, 0, 0), (0, 1, 0), (0, 0, -1)], ids=str
)
def test_a_frame_that_does_not_follow_is_a_broken_invariant(
    position: int, previous: int, term: int
) -> None:
    frame = HandLog().frames[0]
    bad = frame._replace(
        position=LogPosition(position),
        previous_chain=frame.previous_chain + previous,  # type: ignore[arg-type]
        leadership_term_id=LeadershipTermId(term),
    )
    with pytest.raises(AssertionError):
        LogView((), LOG_START, 0, None, 1 << 20).append(bad)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 3)),
        st.tuples(st.just("truncate"), st.integers(0, 30)),
        st.tuples(st.just("persist"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(STEPS)
def test_durable_is_what_the_disk_holds_of_the_present_log(steps: list[tuple[str, int]]) -> None:
    """Model: the disk carries out whole writes and cuts in their order."""
    view = LogView((), LOG_START, 0, None, 200)
    log = HandLog(frames=())
    pending: list[tuple[int, str, int, int]] = []
    disk: list[int] = []
    sequence = done = term = 0
    for kind, number in steps:
        if kind == "append":
            term += number
            frame = HandLog().frames[0] if not log.frames else log.begin_term(max(term, 1))
            if not log.frames:
                log.frames.append(frame)
            sequence += 1
            view.append(frame)
            view.appended(sequence)
            pending.append((sequence, kind, frame.position, frame.chain))
        elif kind == "truncate":
            keep = min(number, len(log.frames))
            del log.frames[keep:]
            sequence += 1
            view.truncate(log.end)
            pending.append((sequence, kind, keep, 0))
        else:
            done = min(done + number, sequence)
            while pending and pending[0][0] <= done:
                _, what, at, chain = pending.pop(0)
                if what == "append":
                    disk.append(chain)
                else:
                    del disk[at:]
            view.persisted(done)
        own = [frame.chain for frame in log.frames]
        count = boundaries(log).index(view.durable)
        assert disk[:count] == own[:count], "what is called durable is on the disk"
        assert view.end == log.end
        assert tuple(view.terms) == log.terms
        assert (view.founding is None) == (not log.frames)
    view.persisted(sequence)
    assert view.durable == log.end.position


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_what_was_cut_off_is_as_if_it_had_never_been_there(
    terms: list[int], data: st.DataObject
) -> None:
    log = HandLog()
    term = 1
    for more in terms:
        term += more
        log.begin_term(term)
    view = log.view()
    keep = data.draw(st.integers(1, len(log.frames)))
    shorter = HandLog(3, tuple(log.frames[:keep]))
    view.truncate(shorter.end)
    expected = shorter.view()
    for frame in log.frames:
        assert view.frame_at(frame.position) == expected.frame_at(frame.position)
        assert view.chain_before(frame.position) == expected.chain_before(frame.position)
    assert view.tail_start == expected.tail_start
    assert view.frames_from(LogPosition(0), 1 << 20) == tuple(shorter.frames)
