"""A leader reads from the recording what memory has forgotten."""

from __future__ import annotations

import pytest

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import Alarm, ReadLog
from quorate.consensus.messages import AppendFrames, RoomReport
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    Chain,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    Recovering,
    RecoveringReason,
    Seat,
)
from quorate_consensus.driven import Driven, append, report
from quorate_consensus.leaders import frames_to, leading, streaming
from quorate_consensus.logs import HandLog
from quorate_consensus.together import Together

LOST = Recovering(RecoveringReason.DAMAGED, LeadershipTermId(1), LogPosition(64))
SMALL = ConsensusConfig(
    frame_bytes_max=1024, segment_length=4096, append_bytes_max=1024, window_bytes=2048
)


def reading() -> tuple[Driven, HandLog, ReadLog]:
    log = HandLog()
    log.begin_term(1)
    for _ in range(3):
        log.add(1)
    leader = leading(log)
    short = HandLog(3, tuple(log.frames[:3]))
    leader.receive(1, report(leader, matched=False, checked=0, end=short.end, terms=short.terms))
    leader.receive(1, report(leader, checked=short.end.position))
    (asked,) = leader.of(ReadLog)
    assert asked == ReadLog(Seat(1), short.end.position, leader.core.config.read_bytes_max)
    leader.clear()
    return leader, log, asked


def answer_read(leader: Driven, frames: list[LogFrame], seat: int = 1) -> None:
    leader.module.on_log_read(leader.now, Seat(seat), tuple(frames))
    leader.drain()


def test_what_is_not_in_memory_is_read_and_then_followed_by_what_is() -> None:
    leader, log, _ = reading()
    answer_read(leader, log.frames[3:])
    sent = frames_to(leader, 1)
    assert sent[:2] == log.frames[3:]
    assert sent[2].frame_type is FrameType.NEW_LEADERSHIP_TERM


def test_a_read_that_comes_in_parts_is_sent_part_by_part_and_is_still_one() -> None:
    leader, log, _ = reading()
    for count, frame in enumerate(log.frames[3:], 1):
        leader.module.on_log_read(leader.now, Seat(1), (frame,), more=True)
        leader.drain()
        assert frames_to(leader, 1) == log.frames[3 : 3 + count]
        assert not leader.of(ReadLog)
    leader.accept(1)
    assert frames_to(leader, 1) == log.frames[3:], "the rest of the read may be on its way"
    leader.unlink(1)
    leader.link(1)
    leader.module.on_log_read(leader.now, Seat(1), (log.frames[-1],), more=True)
    assert not leader.leader.progress[Seat(1)].reading


def test_a_member_that_comes_back_is_sent_only_what_it_lacks_of_the_term() -> None:
    leader = leading()
    for _ in range(4):
        leader.propose()
    leader.accept(1, 2)
    held = leader.core.log.end
    leader.unlink(1)
    leader.propose()
    leader.link(1, life=2)
    leader.clear()
    leader.receive(1, report(leader, checked=leader.leader.base, end=held))
    assert [message.previous for message in leader.sent(AppendFrames, 1)] == [held]
    assert not frames_to(leader, 1)
    assert leader.leader.progress[Seat(1)].match < held.position, "only a claim so far"
    leader.receive(1, report(leader, checked=held.position, end=held))
    assert [frame.position for frame in frames_to(leader, 1)] == [held.position]


@pytest.mark.parametrize("case", ["another term", "beyond ours", "another chain", "not beyond"])
def test_a_member_whose_end_proves_nothing_is_sent_all_of_the_term(case: str) -> None:
    leader = leading()
    for _ in range(2):
        leader.propose()
    held = leader.core.log.end
    base = leader.leader.base
    shown = {
        "another term": held._replace(leadership_term_id=LeadershipTermId(0)),
        "beyond ours": held._replace(position=LogPosition(held.position + 64)),
        "another chain": held._replace(chain=Chain(held.chain ^ 1)),
        "not beyond": held._replace(position=base),
    }[case]
    leader.link(1, life=2)
    leader.clear()
    leader.receive(1, report(leader, checked=base, end=shown))
    assert frames_to(leader, 1)[0].position == base


def test_a_follower_is_sent_no_more_than_its_memory_may_hold_of_a_slow_disk() -> None:
    config = ConsensusConfig(
        frame_bytes_max=1024, append_bytes_max=1024, window_bytes=2048, unsynced_bytes_max=4096,
    )  # fmt: skip
    leader = streaming(config=config)
    durable = leader.core.log.end.position
    for _ in range(20):
        leader.propose(448)
        leader.receive(1, report(leader, checked=sent_to(leader, 1), durable=durable))
        leader.accept(2)
    assert sent_to(leader, 1) - durable == 4096, "eight frames of 512 bytes, and not one more"
    assert leader.module.commit_position == leader.core.log.end.position
    leader.receive(1, report(leader, checked=sent_to(leader, 1)))
    assert sent_to(leader, 1) - durable > 4096 + 1024


def sent_to(leader: Driven, seat: int) -> int:
    return leader.leader.progress[Seat(seat)].next_position


def test_one_read_at_a_time() -> None:
    leader, _, asked = reading()
    leader.receive(1, report(leader, checked=asked.position))
    assert not leader.of(ReadLog)


def test_an_empty_read_is_asked_for_again_after_the_next_heartbeat() -> None:
    leader, _, asked = reading()
    answer_read(leader, [])
    assert not leader.effects
    leader.propose()
    assert not leader.of(ReadLog), "nor with each frame meanwhile: it would come back empty again"
    leader.fire(Deadline.HEARTBEAT)
    leader.receive(1, report(leader, checked=asked.position))
    assert leader.of(ReadLog) == [asked]


def test_answers_that_nobody_waits_for_are_dropped() -> None:
    leader, log, asked = reading()
    answer_read(leader, log.frames[4:])
    assert leader.of(ReadLog) == [asked], "asked for again"
    answer_read(leader, log.frames[3:], seat=2)
    answer_read(leader, log.frames[3:], seat=8)
    assert not frames_to(leader, 1)
    answer_read(leader, log.frames[3:])
    count = len(frames_to(leader, 1))
    answer_read(leader, log.frames[3:])
    assert len(frames_to(leader, 1)) == count


def test_a_read_is_not_sent_on_a_link_that_broke_meanwhile() -> None:
    leader, log, _ = reading()
    leader.unlink(1)
    answer_read(leader, log.frames[3:])
    leader.link(1)
    answer_read(leader, log.frames[3:])
    assert not frames_to(leader, 1)


def test_a_full_window_keeps_a_read_back() -> None:
    leader, log, _ = reading()
    progress = leader.leader.progress[Seat(1)]
    progress.checked = LogPosition(progress.next_position - leader.core.config.window_bytes)
    answer_read(leader, log.frames[3:])
    assert not frames_to(leader, 1)


@pytest.mark.parametrize(("more", "reads"), [(0, 1), (64, 0)])
def test_nothing_is_read_before_half_of_the_window_is_free(more: int, reads: int) -> None:
    leader, _, asked = reading()
    answer_read(leader, [])
    progress = leader.leader.progress[Seat(1)]
    progress.replicate(asked.position)
    window = leader.core.config.window_bytes
    progress.checked = LogPosition(asked.position - window // 2 - more)
    leader.clear()
    leader.leader.go_on(Seat(1))
    leader.drain()
    assert len(leader.of(ReadLog)) == reads
    assert all(read.bytes_max <= window // 2 for read in leader.of(ReadLog))


def test_frames_read_before_they_were_cut_off_are_not_sent() -> None:
    leader, log, asked = reading()
    stale = HandLog(3, tuple(log.frames[:3]))
    stale.begin_term(2)
    stale.frames[-1] = stale.frames[-1]._replace(leadership_term_id=LeadershipTermId(0))
    answer_read(leader, stale.frames[3:])
    assert not frames_to(leader, 1)
    assert leader.of(ReadLog) == [asked]


def test_a_recording_that_contradicts_the_followers_chain_is_not_sent() -> None:
    log = HandLog()
    log.begin_term(1)
    for _ in range(3):
        log.add(1)
    leader = leading(log)
    end = log.mark(3)._replace(chain=log.mark(3).chain ^ 1)  # type: ignore[arg-type]
    leader.receive(1, report(leader, matched=False, checked=0, end=end, terms=log.terms))
    leader.receive(1, report(leader, checked=end.position))
    answer_read(leader, log.frames[3:])
    assert not frames_to(leader, 1)
    assert [alarm.name for alarm in leader.of(Alarm)] == ["recordings_contradict"]


def test_a_claimed_boundary_within_a_frame_of_ours_stops_the_stream_until_the_next_link() -> None:
    leader, log, asked = reading()
    leader.module.on_no_boundary(leader.now, Seat(1), asked.position)
    leader.drain()
    (alarm,) = leader.of(Alarm)
    assert alarm.name == "recordings_contradict"
    assert f"seats 0 and 1 differ before {asked.position} in" in alarm.detail
    assert not leader.leader.may_succeed(Seat(1))
    leader.clear()
    leader.propose()
    leader.receive(1, report(leader, checked=asked.position))
    assert not frames_to(leader, 1)
    assert not leader.of(ReadLog)
    leader.link(1)
    assert [alarm.raised for alarm in leader.of(Alarm)] == [False]
    short = HandLog(3, tuple(log.frames[:3]))
    leader.receive(1, report(leader, matched=False, checked=0, end=short.end, terms=short.terms))
    leader.receive(1, report(leader, checked=short.end.position))
    assert len(leader.of(ReadLog)) == 1, "its next life may claim another one"


def test_a_claim_of_a_member_that_is_read_for_no_more_says_nothing() -> None:
    leader, log, asked = reading()
    leader.module.on_no_boundary(leader.now, Seat(2), asked.position)
    answer_read(leader, log.frames[3:])
    leader.module.on_no_boundary(leader.now, Seat(1), asked.position)
    leader.drain()
    assert not leader.of(Alarm)
    assert frames_to(leader, 1)


def test_a_claim_of_a_life_that_is_over_is_not_held_against_the_next() -> None:
    leader, log, asked = reading()
    leader.link(1)
    shorter = HandLog(3, tuple(log.frames[:2]))
    leader.receive(
        1, report(leader, matched=False, checked=0, end=shorter.end, terms=shorter.terms)
    )
    leader.receive(1, report(leader, checked=shorter.end.position))
    assert [read.position for read in leader.of(ReadLog)] == [shorter.end.position]
    leader.module.on_no_boundary(leader.now, Seat(1), asked.position)
    leader.drain()
    assert not leader.of(Alarm)
    leader.fire(Deadline.HEARTBEAT)
    leader.receive(1, report(leader, checked=shorter.end.position))
    assert len(leader.of(ReadLog)) == 2, "asked for again"


@pytest.mark.parametrize("where", ["row", "end"])
def test_term_tables_that_contradict_ours_stop_the_stream_until_the_next_link(where: str) -> None:
    log = HandLog()
    log.begin_term(1)
    log.add(1)
    log.begin_term(2)
    leader = leading(log)
    terms, end = log.terms, log.end
    if where == "row":
        terms = (*terms[:2], terms[2]._replace(chain=terms[2].chain ^ 1))  # type: ignore[arg-type]
    else:
        end = end._replace(chain=end.chain ^ 1)  # type: ignore[arg-type]
    leader.receive(1, report(leader, matched=False, checked=0, end=end, terms=terms))
    assert leader.leader.progress[Seat(1)].unmatchable
    assert not leader.leader.may_succeed(Seat(1))
    assert [alarm.name for alarm in leader.of(Alarm)] == ["recordings_contradict"]
    leader.receive(1, report(leader, checked=leader.leader.base))
    assert not frames_to(leader, 1)
    leader.link(1)
    assert [alarm.raised for alarm in leader.of(Alarm)] == [True, False]
    leader.accept(1)
    leader.propose()
    assert frames_to(leader, 1)


@pytest.mark.parametrize("goes_on", ["not at all", "in that term", "in a later term", "in both"])
@pytest.mark.parametrize("first", [2, 3])
@pytest.mark.parametrize("in_memory", [False, True])
def test_two_frames_in_one_place_of_one_term_are_never_passed_over(
    first: int, goes_on: str, *, in_memory: bool
) -> None:
    """One recording is wrong: whoever sees it first says so, and nobody waits in silence."""
    log = HandLog()
    log.begin_term(1)
    other = log.copy()
    for number in range(1, 5):
        log.add(1)
        other.add(1, FrameType.EMPTY if number >= first - 1 else FrameType.ENTRIES)
    held = {"not at all": first + 1, "in that term": 6, "in a later term": first + 1, "in both": 6}
    behind = HandLog(3, tuple(other.frames[: held[goes_on]]))
    if goes_on in {"in a later term", "in both"}:
        behind.begin_term(2)
    log.begin_term(3)
    leader, follower = Driven(HandLog() if in_memory else log), Driven(behind, 1)
    if in_memory:
        leader.link(2)
        leader.receive(2, append(3, log.mark(1), log.frames[1:]))
    leader.be_elected(2)
    together = Together(leader, follower)
    together.link(0, 1)
    for _ in range(4):
        leader.tick(50)
        together.settle(200)
        for asked in leader.of(ReadLog):
            answer_read(leader, [frame for frame in log.frames if frame.position >= asked.position])
    alarmed = [alarm.name for alarm in leader.of(Alarm)] == ["recordings_contradict"]
    assert alarmed or follower.halted
    assert follower.core.log.end == behind.end


@pytest.mark.parametrize("later", [False, True])
def test_a_log_that_ends_within_a_frame_of_ours_is_not_read_for(*, later: bool) -> None:
    """What lies there is no frame: the leader's process would end for it as for damage."""
    log = HandLog()
    log.begin_term(1)
    other = log.copy()
    log.add(1, size=64)
    other.add(1)
    if later:
        other.begin_term(2)
    log.begin_term(3)
    leader, follower = Driven(), Driven(other, 1)
    leader.link(2)
    leader.receive(2, append(3, log.mark(1), log.frames[1:]))
    leader.be_elected(2)
    together = Together(leader, follower)
    together.link(0, 1)
    leader.tick(50)
    together.settle(200)
    assert not leader.of(ReadLog)
    assert [alarm.name for alarm in leader.of(Alarm)] == ["recordings_contradict"]


def test_recordings_that_contradict_stay_an_alarm_while_one_of_several_does() -> None:
    log = HandLog()
    log.begin_term(1)
    log.add(1)
    leader = leading(log)
    end = log.end._replace(chain=log.end.chain ^ 1)  # type: ignore[arg-type]
    for seat in (1, 2):
        leader.receive(seat, report(leader, matched=False, checked=0, end=end, terms=log.terms))
    leader.link(1)
    assert [alarm.raised for alarm in leader.of(Alarm)] == [True, True]
    leader.link(2, life=2)
    assert [alarm.raised for alarm in leader.of(Alarm)] == [True, True, False]


def test_nothing_is_read_for_a_member_that_is_gone_or_has_no_room() -> None:
    leader, log, asked = reading()
    answer_read(leader, log.frames[3:])
    leader.clear()
    progress = leader.leader.progress[Seat(1)]
    progress.next_position = asked.position
    progress.reading = False
    leader.receive(1, RoomReport(leader.module.term, asked.position))
    for _ in range(3):
        leader.propose()
    leader.receive(1, RoomReport(leader.module.term, ROOM_UNBOUNDED))
    assert len(leader.of(ReadLog)) == 1, "when there is room again, and not before"
    leader.unlink(1)
    leader.clear()
    for _ in range(3):
        leader.propose()
    assert not leader.of(ReadLog)


def test_a_frame_that_has_no_room_is_read_once_until_the_room_changes() -> None:
    leader, log, asked = reading()
    end = LogPosition(log.frames[3].end - 32)
    leader.receive(1, RoomReport(leader.module.term, end))
    answer_read(leader, log.frames[3:])
    for _ in range(3):
        leader.propose()
        leader.receive(1, report(leader, checked=asked.position))
    assert not leader.of(ReadLog)
    assert not frames_to(leader, 1)
    leader.receive(1, RoomReport(leader.module.term, ROOM_UNBOUNDED))
    assert leader.of(ReadLog) == [asked]


def test_an_answer_to_a_read_of_an_earlier_link_does_not_stop_the_stream() -> None:
    leader = streaming()
    answer_read(leader, [])
    leader.propose()
    assert frames_to(leader, 1)
