"""Where two logs part, found from term tables, against comparing them frame by frame."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.election import log_order
from quorate.consensus.progress import Flow, Progress, agreed_boundary, base_at_or_before
from quorate.consensus.types import LOG_START, LogMark, LogPosition, Seat, StartNonce
from quorate_consensus.driven import Driven
from quorate_consensus.histories import HISTORIES, agreed_position
from quorate_consensus.logs import HandLog
from quorate_consensus.together import Together


@given(HISTORIES, st.booleans(), st.booleans())
def test_the_whole_term_table_tells_exactly_where_logs_part(
    logs: list[HandLog], in_memory: bool, starts_empty: bool
) -> None:
    leader, follower = logs[0], logs[1]
    if starts_empty:
        follower.frames.clear()
    mark = agreed_boundary(leader.view(in_memory=in_memory), follower.end, follower.terms)
    assert mark.position == agreed_position(leader, follower)
    count = [frame.end for frame in leader.frames].index(mark.position) + 1 if mark.position else 0
    assert mark == leader.mark(count)


@given(HISTORIES, st.integers(1, 3))
def test_the_newest_rows_never_point_behind_where_an_answer_lies(
    logs: list[HandLog], rows: int
) -> None:
    leader, follower = logs[0], logs[1]
    shown = follower.terms[-rows:]
    mark = agreed_boundary(leader.view(), follower.end, shown)
    boundaries = [leader.mark(count) for count in range(len(leader.frames) + 1)]
    assert mark in boundaries, "only boundaries of our own log are asked about"
    assert mark.position <= follower.end.position
    if mark.position > agreed_position(leader, follower):
        assert mark.position <= shown[0].base, "the next answer shows older rows"


@settings(max_examples=60)
@given(HISTORIES, st.integers(1, 3))
def test_any_two_logs_become_the_leaders(logs: list[HandLog], rows: int) -> None:
    config = ConsensusConfig(terms_reported_max=rows)
    leader_log, other = logs[0], logs[1]
    if log_order(leader_log.end) < log_order(other.end):
        leader_log, other = other, leader_log
    behind = other.copy()
    leader = Driven(leader_log, 0, config=config)
    follower = Driven(behind, 1, config=config)
    leader.be_elected(2)
    together = Together(leader, follower)
    together.link(0, 1)
    leader.tick(50)
    together.settle(200)
    # What is not in memory has to be read from the recording.
    _answer_reads(leader, leader_log, together)
    assert follower.core.log.end == leader.core.log.end
    assert follower.core.log.terms == leader.core.log.terms
    assert follower.module.commit_position == leader.core.log.end.position


def test_a_new_leader_streams_above_a_log_longer_than_what_may_be_unsynced() -> None:
    """A follower reports nothing as durable before it has agreed where our term begins."""
    log = HandLog()
    log.begin_term(1)
    for _ in range(20):
        log.add(1, size=448)
    config = ConsensusConfig(
        frame_bytes_max=1024, append_bytes_max=1024, window_bytes=2048, unsynced_bytes_max=4096
    )
    leader = Driven(log, 0, config=config)
    follower = Driven(log.copy(), 1, config=config)
    leader.be_elected(2)
    together = Together(leader, follower)
    together.link(0, 1)
    leader.tick(50)
    together.settle(200)
    assert leader.leader.base > config.unsynced_bytes_max
    assert follower.core.log.end == leader.core.log.end
    assert follower.module.commit_position == leader.core.log.end.position


def _answer_reads(leader: Driven, log: HandLog, together: Together) -> None:
    for _ in range(50):
        progress = leader.leader.progress[Seat(1)]
        if not progress.reading:
            return
        at = progress.next_position
        frames = tuple(frame for frame in log.frames if frame.position >= at)[:2]
        leader.module.on_log_read(leader.now, Seat(1), frames)
        leader.drain()
        together.settle(200)
    pytest.fail("reads for ever")


def test_a_longer_follower_agrees_up_to_our_end_of_the_newest_common_term() -> None:
    log = HandLog()
    log.begin_term(1)
    longer = log.copy()
    longer.add(1)
    log.begin_term(3)
    assert agreed_boundary(log.view(), longer.end, longer.terms) == log.mark(2)


def test_a_term_that_began_elsewhere_is_no_common_term() -> None:
    """No two histories of Raft have that; a damaged recording may claim it."""
    log = HandLog()
    log.begin_term(1)
    log.add(1)
    log.add(1)
    row = log.terms[1]
    base = LogPosition(row.base + 64)
    terms = (log.terms[0], row._replace(base=base))
    end = log.end._replace(position=LogPosition(log.end.position - 64))
    assert agreed_boundary(log.view(in_memory=False), end, terms).position <= row.base


def test_a_claim_in_the_middle_of_an_old_term_is_asked_about_with_the_followers_chain() -> None:
    log = HandLog()
    log.begin_term(1)
    log.add(1)
    log.add(1)
    part = HandLog(3, tuple(log.frames[:3]))
    mark = agreed_boundary(log.view(in_memory=False), part.end, part.terms)
    assert mark == part.end
    lies = part.end._replace(chain=part.end.chain + 1)  # type: ignore[arg-type]
    assert agreed_boundary(log.view(in_memory=False), lies, part.terms).chain == lies.chain
    assert agreed_boundary(log.view(), lies, part.terms).chain == part.end.chain


def test_the_newest_base_that_is_not_beyond() -> None:
    log = HandLog()
    first = log.begin_term(1)
    second = log.begin_term(4)
    view = log.view()
    assert base_at_or_before(view, LogPosition(0)) == LOG_START
    assert base_at_or_before(view, LogPosition(first.end - 1)) == log.mark(1)
    assert base_at_or_before(view, second.position) == log.mark(2)


def test_going_back_to_probing_stops_reads_and_streaming_begins_afresh() -> None:
    progress = Progress(StartNonce(1), LOG_START, reading=True, sent_at_round=(3, LogPosition(9)))
    mark = LogMark(LogPosition(64), LOG_START.leadership_term_id, LOG_START.chain)
    progress.probe(mark)
    assert (progress.flow, progress.probed, progress.reading) == (Flow.PROBE, mark, False)
    progress.reading = True
    progress.replicate(LogPosition(128))
    assert progress.flow is Flow.REPLICATE
    assert not progress.reading
    assert progress.next_position == progress.checked == 128
    assert progress.sent_at_round == (0, 0)
