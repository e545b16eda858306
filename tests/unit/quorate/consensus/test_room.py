"""Disks that are nearly full, and full: who leads, what is refused, what is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quorate.consensus.config import MS, ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import Alarm, AppendToLog, IngressChanged, IngressState
from quorate.consensus.messages import (
    AppendFrames,
    AppendReport,
    RoomReport,
    StandNow,
    TransferToken,
)
from quorate.consensus.module import Rejection
from quorate.consensus.room import FULL_ALARM, HAND_OVER_PAUSE_TIMEOUTS, LOW_ALARM
from quorate.consensus.types import ROOM_UNBOUNDED, LeadershipTermId, LogPosition, Role, Seat
from quorate_consensus.driven import Driven, append
from quorate_consensus.logs import HandLog, founding_frame, members_of
from quorate_consensus.together import Together

CONFIG = ConsensusConfig(segment_length=64 * 1024, frame_bytes_max=16 * 1024)
RESERVE = CONFIG.room_reserve_bytes
TIMEOUT_MS = CONFIG.election_timeout_min_ns // MS


def leading(*, seats: int = 3) -> Driven:
    leader = Driven(seats=seats, config=CONFIG)
    leader.be_elected(1, 2)
    leader.accept(1, 2)
    leader.clear()
    return leader


def told(member: Driven, room: int) -> None:
    """Tell a member that its disk has room for so many more bytes of log, or has space again."""
    end = member.core.log.end.position + room if room >= 0 else ROOM_UNBOUNDED
    member.module.on_room(member.now, LogPosition(end))
    member.drain()


def reported(leader: Driven, seat: int, room: int) -> None:
    """Let a follower say the same of itself."""
    end = leader.core.log.end.position + room if room >= 0 else ROOM_UNBOUNDED
    leader.receive(seat, RoomReport(leader.module.term, LogPosition(end)))


def ingress(member: Driven) -> list[IngressState]:
    return [effect.state for effect in member.of(IngressChanged)]


def alarms(member: Driven) -> list[tuple[str, bool]]:
    return [(alarm.name, alarm.raised) for alarm in member.of(Alarm)]


# -- nearly full ------------------------------------------------------------------------------


def test_a_leader_whose_disk_is_nearly_full_hands_over() -> None:
    leader = leading()
    told(leader, 10 * RESERVE)
    assert leader.sent(StandNow, 1)
    assert ingress(leader) == [IngressState.PAUSED]
    assert alarms(leader) == [(LOW_ALARM, True)]
    told(leader, -1)
    assert alarms(leader)[-1] == (LOW_ALARM, False)


def test_leadership_goes_to_a_voter_whose_disk_has_space_and_to_no_other() -> None:
    leader = leading()
    reported(leader, 1, 10 * RESERVE)
    told(leader, 10 * RESERVE)
    assert leader.sent(StandNow, 2)
    assert not leader.sent(StandNow, 1)


def test_a_leader_stays_and_serves_while_all_are_nearly_full() -> None:
    leader = leading()
    for seat in (1, 2):
        reported(leader, seat, 10 * RESERVE)
    told(leader, 10 * RESERVE)
    assert not leader.sent(StandNow)
    assert not ingress(leader)
    leader.propose(64)
    reported(leader, 2, -1)
    leader.accept(2)
    leader.accept(2)
    assert leader.sent(StandNow, 2)


def test_a_voter_that_would_have_to_catch_up_first_is_not_handed_over_to() -> None:
    leader = leading()
    reported(leader, 1, 10 * RESERVE)
    behind = leader.core.config.window_bytes // CONFIG.frame_bytes_max + 2
    for _ in range(behind):
        leader.propose(CONFIG.frame_bytes_max - 64)
        leader.accept(1)
    told(leader, 10 * RESERVE)
    assert not ingress(leader)


def test_a_hand_over_that_fails_is_not_tried_again_at_once() -> None:
    leader = leading()
    told(leader, 10 * RESERVE)
    leader.fire(Deadline.TRANSFER)
    leader.accept(1, 2)
    leader.clear()
    leader.tick(TIMEOUT_MS / 2)
    leader.accept(1, 2)
    assert not leader.sent(StandNow)
    leader.wait(HAND_OVER_PAUSE_TIMEOUTS * TIMEOUT_MS)
    leader.accept(1, 2)
    assert leader.sent(StandNow, 1)


def test_the_best_successor_has_space_even_if_another_is_further() -> None:
    leader = leading()
    reported(leader, 1, 10 * RESERVE)
    leader.propose()
    leader.accept(1)
    assert leader.leader.best_successor() == 2
    reported(leader, 2, 10 * RESERVE)
    assert leader.leader.best_successor() == 1


def test_a_target_without_room_for_our_log_is_refused() -> None:
    leader = leading()
    reported(leader, 1, -1)
    leader.propose()
    leader.receive(1, RoomReport(leader.module.term, LogPosition(64)))
    refusal = leader.module.request_transfer(leader.now, Seat(1))
    assert refusal is not None
    assert "with room" in refusal


# -- full -------------------------------------------------------------------------------------


def alone_with_room(room: int) -> Driven:
    """A leader that finds nobody to hand over to."""
    leader = leading()
    for seat in (1, 2):
        reported(leader, seat, 100 * RESERVE)
    told(leader, room)
    return leader


def test_ingress_is_refused_from_the_reserve_on_until_there_is_room() -> None:
    leader = alone_with_room(RESERVE + 64)
    assert not ingress(leader)
    leader.propose(64)
    assert ingress(leader) == [IngressState.STORAGE_FULL]
    assert (FULL_ALARM, True) in alarms(leader)
    leader.clear()
    told(leader, 2 * RESERVE)
    assert ingress(leader) == [IngressState.OPEN]
    assert (FULL_ALARM, False) in alarms(leader)


def test_what_is_on_its_way_may_take_half_of_the_reserve_and_no_more() -> None:
    leader = alone_with_room(RESERVE - 64)
    assert ingress(leader) == [IngressState.STORAGE_FULL]
    size = 1024 - 64
    for _ in range((RESERVE - 64) // 2 // 1024):
        leader.propose(size)
    assert leader.module.propose(leader.now, bytes(size), 1) is Rejection.STORAGE_FULL


def test_what_does_not_fit_into_the_last_segment_is_not_begun() -> None:
    leader = Driven(seats=1, config=CONFIG)
    leader.fire(Deadline.STAND)
    position = leader.core.log.end.position
    end = CONFIG.segment_length - position
    told(leader, end + RESERVE)
    body = CONFIG.frame_bytes_max - 64
    while leader.core.log.end.position + body + 64 <= CONFIG.segment_length:
        leader.propose(body)
    left = CONFIG.segment_length - leader.core.log.end.position
    assert 0 < left < body
    # Padding to the end of the segment, and then all of the reserve would be gone.
    assert leader.module.propose(leader.now, bytes(body), 1) is Rejection.STORAGE_FULL
    told(leader, left + CONFIG.frame_bytes_max + RESERVE // 2)
    leader.propose(body)


def test_timers_wait_while_the_log_is_full() -> None:
    leader = alone_with_room(RESERVE + 64)
    assert leader.module.propose_empty(leader.now) is not Rejection.STORAGE_FULL
    leader.drain()
    leader.propose()
    assert leader.module.propose_empty(leader.now) is Rejection.STORAGE_FULL


def test_heartbeats_go_on_while_the_log_is_full() -> None:
    leader = alone_with_room(0)
    leader.clear()
    leader.fire(Deadline.HEARTBEAT)
    assert len(leader.sent(AppendFrames)) == 2
    assert not leader.of(AppendToLog)


def test_ingress_is_refused_while_no_quorum_has_room() -> None:
    leader = leading()
    reported(leader, 1, RESERVE - 64)
    assert not ingress(leader)
    reported(leader, 2, RESERVE - 64)
    assert ingress(leader) == [IngressState.STORAGE_FULL]
    assert leader.module.propose_empty(leader.now) is Rejection.STORAGE_FULL
    reported(leader, 1, -1)
    assert ingress(leader) == [IngressState.STORAGE_FULL, IngressState.OPEN]
    assert leader.module.propose_empty(leader.now) is not Rejection.STORAGE_FULL


def test_a_full_follower_counts_with_one_that_is_gone_and_the_gone_one_alone_does_not() -> None:
    leader = leading()
    leader.unlink(1)
    assert not ingress(leader)
    reported(leader, 2, 0)
    assert ingress(leader) == [IngressState.STORAGE_FULL]


def test_the_last_disk_that_has_space_again_opens_the_leader() -> None:
    leader = leading()
    leader.unlink(1)
    reported(leader, 2, 0)
    reported(leader, 2, -1)
    assert ingress(leader) == [IngressState.STORAGE_FULL, IngressState.OPEN]
    alone = Driven(seats=1, config=CONFIG)
    alone.fire(Deadline.STAND)
    told(alone, 0)
    told(alone, -1)
    assert ingress(alone)[-2:] == [IngressState.STORAGE_FULL, IngressState.OPEN]
    assert (FULL_ALARM, False) in alarms(alone)


def test_a_leader_without_links_is_not_full_for_that() -> None:
    leader = leading()
    reported(leader, 1, 2 * RESERVE)
    leader.unlink(1, 2)
    leader.fire(Deadline.HEARTBEAT)
    assert not ingress(leader)


def test_a_follower_that_says_nothing_more_has_space_again() -> None:
    leader = leading()
    for seat in (1, 2):
        reported(leader, seat, 0)
    leader.clear()
    leader.wait(TIMEOUT_MS + 1)
    reported(leader, 1, 0)
    assert ingress(leader) == [IngressState.OPEN]


def test_the_reserve_itself_is_room_enough() -> None:
    leader = leading()
    for seat in (1, 2):
        reported(leader, seat, RESERVE)
    assert not ingress(leader)
    for seat in (1, 2):
        reported(leader, seat, RESERVE - 1)
    assert ingress(leader) == [IngressState.STORAGE_FULL]


def test_only_a_frame_that_was_refused_makes_the_log_full_above_the_reserve() -> None:
    leader = alone_with_room(2 * RESERVE)
    leader.propose(64)
    assert not ingress(leader)
    body = bytes(CONFIG.frame_bytes_max - 64)
    leader = alone_with_room(RESERVE + 64)
    assert leader.module.propose(leader.now, body, 1) is Rejection.STORAGE_FULL
    leader.drain()
    assert ingress(leader) == [IngressState.STORAGE_FULL]


def test_a_report_of_another_term_counts_for_nothing() -> None:
    leader = leading()
    for seat in (1, 2):
        leader.receive(seat, RoomReport(LeadershipTermId(0), LogPosition(0)))
    assert not ingress(leader)


def test_a_hand_over_that_fails_leads_back_to_refusing() -> None:
    leader = alone_with_room(RESERVE - 64)
    assert leader.module.request_transfer(leader.now, Seat(1)) is None
    leader.drain()
    leader.clear()
    leader.fire(Deadline.TRANSFER)
    assert ingress(leader) == [IngressState.STORAGE_FULL]


@pytest.mark.parametrize("fills", [False, True])
def test_room_that_changes_during_a_hand_over_opens_nothing_before_its_outcome(
    *, fills: bool
) -> None:
    leader = leading() if fills else alone_with_room(RESERVE - 64)
    assert leader.module.request_transfer(leader.now, Seat(1)) is None
    leader.drain()
    leader.clear()
    told(leader, 0 if fills else -1)
    assert alarms(leader)[-1] == (FULL_ALARM, fills)
    assert not ingress(leader)
    leader.fire(Deadline.TRANSFER)
    assert ingress(leader) == [IngressState.STORAGE_FULL if fills else IngressState.OPEN]


def test_a_new_term_knows_nothing_of_the_full_log_of_the_last_one() -> None:
    leader = leading()
    for seat in (1, 2):
        reported(leader, seat, 0)
    leader.fire(Deadline.CHECK_QUORUM)
    leader.wait(TIMEOUT_MS + 1)
    leader.fire(Deadline.CHECK_QUORUM)
    assert ingress(leader)[-1] is IngressState.CLOSED
    assert alarms(leader)[-1] == (FULL_ALARM, False)
    leader.clear()
    leader.be_elected(1)
    assert ingress(leader) == [IngressState.OPEN]


# -- followers --------------------------------------------------------------------------------


def following(room: int) -> tuple[Driven, HandLog]:
    log = HandLog()
    log.begin_term(1)
    member = Driven(log, config=CONFIG)
    member.follow(1, log)
    told(member, room)
    member.clear()
    return member, log


def test_a_follower_takes_what_it_has_room_for_and_acknowledges_no_more() -> None:
    member, log = following(128)
    end = log.end
    frames = [log.add(1) for _ in range(4)]
    assert {len(frame.data) for frame in frames} == {64}
    member.receive(1, append(1, end, frames))
    assert member.core.log.end.position == end.position + 128
    assert member.sent(AppendReport)[-1].durable == end.position + 128
    member.receive(1, append(1, end, frames, round_number=2))
    assert member.sent(AppendReport)[-1].checked == end.position + 128
    told(member, -1)
    member.receive(1, append(1, end, frames, round_number=2))
    assert member.sent(AppendReport)[-1].durable == log.end.position


def test_a_follower_says_with_each_heartbeat_how_far_it_can_go() -> None:
    member, log = following(0)
    position = log.end.position
    for round_number in (5, 5, 6):
        member.receive(1, append(1, log.end, round_number=round_number))
    assert [report.room_end for report in member.sent(RoomReport, 1)] == [position, position]
    member.clear()
    told(member, -1)
    member.receive(1, append(1, log.end, round_number=7))
    assert [report.room_end for report in member.sent(RoomReport)] == [ROOM_UNBOUNDED]


def test_a_conflict_is_cut_even_where_nothing_new_fits() -> None:
    held = HandLog()
    held.begin_term(1)
    agreed = held.end
    member = Driven(held, config=CONFIG)
    theirs = HandLog()
    theirs.begin_term(1)
    held_more = held.add(1)
    member.follow(1, theirs)
    member.receive(1, append(1, agreed, [held_more]))
    told(member, 0)
    member.link(2)
    begun = theirs.begin_term(2)
    assert len(begun.data) > len(held_more.data)
    member.receive(2, append(2, agreed, [begun]))
    assert member.core.log.end == agreed


def test_a_leader_sends_no_more_than_there_is_room_for() -> None:
    leader = leading()
    reported(leader, 1, 128)
    leader.clear()
    for _ in range(4):
        leader.propose()
    sent = [frame for message in leader.sent(AppendFrames, 1) for frame in message.frames]
    assert len(sent) == 2
    assert sum(len(message.frames) for message in leader.sent(AppendFrames, 2)) == 4
    leader.clear()
    reported(leader, 1, -1)
    assert sum(len(message.frames) for message in leader.sent(AppendFrames, 1)) == 2


def test_what_another_has_room_for_is_not_sent_to_who_has_not() -> None:
    leader = leading()
    reported(leader, 2, 128)
    leader.clear()
    for _ in range(4):
        leader.module.propose(leader.now, b"", 0)
    leader.drain()
    (to_all,) = leader.sent(AppendFrames, 1)
    (to_full,) = leader.sent(AppendFrames, 2)
    assert to_full.frames == to_all.frames[:2]


# -- elections --------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 64])
def test_a_member_without_room_for_a_term_does_not_stand(room: int) -> None:
    member, _ = following(room)
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert member.has_role(Role.FOLLOWER)
    assert not [send for send in member.effects if "Canvass" in str(send)]
    told(member, RESERVE)
    assert member.canvass()


def test_a_term_begins_only_where_its_first_frame_has_room() -> None:
    """Whatever the names of the members are long: the frame repeats them, and more."""
    begun = []
    for length in range(1, 65):
        (own,) = members_of(1)
        log = HandLog(1, (founding_frame((replace(own, name="m" * length),)),))
        for room in range(128, 768, 64):
            member = Driven(log, seats=1, config=CONFIG)
            told(member, room)
            member.fire(Deadline.STAND)
            begun.append(member.has_role(Role.LEADER))
            assert member.core.log.end.position <= log.end.position + room
    assert set(begun) == {True, False}


def test_a_member_without_room_for_a_term_takes_no_leadership_over() -> None:
    member, _ = following(0)
    end = member.core.log.end
    token = TransferToken(end.leadership_term_id, end.position)
    member.receive(1, StandNow(token))
    assert member.has_role(Role.FOLLOWER)
    told(member, RESERVE)
    member.receive(1, StandNow(token))
    assert member.has_role(Role.CANDIDATE)


def test_a_member_whose_disk_has_space_stands_first() -> None:
    waits = []
    for room in (-1, RESERVE):
        member, _ = following(room)
        member.refuse(1)
        waits.append(member.module.deadlines()[Deadline.STAND] - member.now.loop)
    assert waits[0] + CONFIG.canvass_jitter_ns < waits[1]


def test_full_members_elect_a_leader_that_commits_its_term_from_the_reserve() -> None:
    members = [Driven(seat=seat, config=CONFIG) for seat in range(3)]
    for member in members:
        told(member, RESERVE)
    cluster = Together(*members)
    cluster.link(0, 1, 2)
    cluster.settle()
    members[0].fire(Deadline.ELECTION)
    members[1].fire(Deadline.ELECTION)
    members[2].fire(Deadline.ELECTION)
    members[0].fire(Deadline.STAND)
    cluster.settle()
    leader = members[0]
    assert leader.has_role(Role.LEADER)
    assert leader.module.commit_position == leader.leader.term_frame_end
    leader.fire(Deadline.HEARTBEAT)
    cluster.settle()
    assert ingress(leader)[-1] is IngressState.STORAGE_FULL
    assert not leader.sent(StandNow)
    for member in members[1:]:
        told(member, -1)
    cluster.settle()
    assert members[1].has_role(Role.LEADER)
    assert ingress(members[1])[-1] is IngressState.OPEN
