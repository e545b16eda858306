"""Routing: who is heard, which life, what a stopped module does, what the outside may see."""

from __future__ import annotations

import pytest

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import AppendToLog, HaltCode, Trace
from quorate.consensus.election import ElectionState
from quorate.consensus.messages import (
    AppendReport,
    CureTarget,
    DigestReport,
    Hello,
    Refusal,
    StandNow,
    TransferToken,
)
from quorate.consensus.module import NEVER, Rejection
from quorate.consensus.types import (
    FoundingState,
    FrameType,
    LeadershipTermId,
    LogPosition,
    Role,
    Seat,
)
from quorate_consensus.driven import Driven, append, hello, request_vote, vote
from quorate_consensus.logs import HandLog, member_id, node_state
from quorate_consensus.together import Together


def linked(**more: object) -> Driven:
    member = Driven(**more)  # type: ignore[arg-type]
    member.link(1, 2)
    member.clear()
    return member


# -- lives and links --------------------------------------------------------------------------


def test_every_link_begins_with_a_greeting() -> None:
    member = Driven()
    member.link(1)
    assert [told.founding for told in member.sent(Hello, 1)] == [FoundingState.FOUNDED]


def test_messages_of_a_life_without_a_link_are_dropped() -> None:
    member = linked()
    former = member.lives[1]
    member.link(1, life=2)
    member.clear()
    member.module.on_message(member.now, former, append(5))
    member.drain()
    assert not member.effects
    assert member.module.term == 0


def test_the_end_of_a_former_life_does_not_break_the_present_link() -> None:
    member = linked()
    former = member.lives[1]
    member.link(1, life=2)
    member.module.on_link_down(member.now, former)
    member.clear()
    member.receive(1, append(1))
    assert member.sent(AppendReport, 1)


def test_what_a_former_life_said_of_itself_is_forgotten() -> None:
    member = linked()
    member.receive(1, hello())
    member.link(1)
    assert Seat(1) in member.core.hellos
    member.link(1, life=2)
    assert Seat(1) not in member.core.hellos


def test_strangers_are_refused_by_name_and_heard_by_nobody() -> None:
    member = linked()
    member.link(1, formatting=1)
    member.link(2, formatting=1)
    member.clear()
    member.receive(1, hello(FoundingState.BLANK))
    member.receive(2, hello(FoundingState.FOUNDED))
    assert [told.refusal for told in member.sent(Hello)] == [
        Refusal.VOLUME_LOST,
        Refusal.NOT_A_MEMBER,
    ]
    assert [trace.event for trace in member.of(Trace)] == ["refused_member"] * 2
    member.clear()
    member.receive(1, append(9), request_vote(9, member.core.log.end), report_of(member))
    member.receive(2, hello(FoundingState.FOUNDED, refusal=Refusal.NOT_A_MEMBER))
    assert not member.sent(Hello)
    assert member.module.term == 0
    assert member.module.is_not_a_member
    assert [trace.event for trace in member.of(Trace)][:1] == ["refused_by_member"]


def report_of(member: Driven, term: int = 9) -> AppendReport:
    end = member.core.log.end
    return AppendReport(
        LeadershipTermId(term),
        matched=True,
        durable=end.position,
        checked=end.position,
        end=end,
        terms=(),
        round=1,
        service_position=LogPosition(0),
        recovering=member.core.node_state.recovering,
        wall=0,
    )


def test_who_knows_no_membership_refuses_nobody() -> None:
    member = Driven(HandLog(frames=()), state=node_state(1))
    member.link(1)
    member.clear()
    member.receive(1, hello())
    assert not member.sent(Hello)


# -- messages that come too late --------------------------------------------------------------


def test_messages_for_another_role_are_dropped() -> None:
    follower = linked()
    follower.receive(1, append(1))
    follower.clear()
    follower.receive(2, report_of(follower, 1), DigestReport(LogPosition(0), b""), vote(1))
    follower.receive(2, CureTarget(LeadershipTermId(1), LogPosition(0)))
    follower.receive(2, StandNow(TransferToken(LeadershipTermId(1), LogPosition(0))))
    assert not follower.effects
    leader = linked()
    leader.be_elected(1)
    leader.clear()
    leader.receive(2, vote(9), vote(1), report_of(leader, 0))
    assert not leader.effects


def test_deadlines_of_another_role_do_nothing() -> None:
    follower = linked()
    follower.receive(1, append(1))
    follower.clear()
    for deadline in (Deadline.HEARTBEAT, Deadline.CHECK_QUORUM, Deadline.CAMPAIGN):
        follower.fire(deadline)
    assert not follower.effects


def test_answers_for_a_leadership_that_is_over_are_dropped() -> None:
    follower = linked()
    follower.module.on_log_read(follower.now, Seat(1), tuple(HandLog().frames))
    follower.drain()
    assert not follower.effects
    assert follower.module.log_time(follower.now) is None
    assert follower.module.propose(follower.now, b"", 0) is Rejection.NOT_LEADER


def test_a_leader_of_a_higher_term_ends_ours() -> None:
    leader = linked()
    leader.be_elected(1)
    leader.receive(2, append(4))
    assert (leader.module.role, leader.module.leader, leader.module.term) == (Role.FOLLOWER, 2, 4)
    assert leader.module.leading is None
    assert Deadline.HEARTBEAT not in leader.module.deadlines()
    assert leader.module.propose_empty(leader.now) is Rejection.NOT_LEADER


def test_a_leader_of_a_higher_term_ends_a_campaign() -> None:
    member = linked()
    member.canvass()
    member.receive(2, append(4))
    assert member.module.election.state is ElectionState.IDLE
    assert set(member.module.deadlines()) == {Deadline.ELECTION}


# -- time -------------------------------------------------------------------------------------


def test_ticks_fire_what_is_due_and_only_that() -> None:
    member = linked()
    assert member.module.next_deadline == member.now.loop + 500_000_000
    member.tick(499.9)
    assert member.hears_a_leader()
    member.tick(0.1)
    assert member.module.leader_unheard
    blank = Driven(HandLog(frames=()), state=node_state(founded=False))
    assert blank.module.next_deadline == NEVER


def test_what_one_deadline_disarms_does_not_fire_in_the_same_tick() -> None:
    leader = linked()
    leader.be_elected(1)
    leader.wait(1000)
    leader.core.deadlines[Deadline.CHECK_QUORUM] = 0
    leader.core.deadlines = dict(
        sorted(leader.core.deadlines.items(), key=lambda item: item[0] is Deadline.HEARTBEAT)
    )
    leader.clear()
    leader.tick(0)
    assert leader.has_role(Role.FOLLOWER)
    assert not leader.of(AppendToLog)


# -- a stopped module -------------------------------------------------------------------------


@pytest.mark.parametrize("leads", [True, False])
def test_a_stopped_module_does_nothing_any_more(*, leads: bool) -> None:
    leader = linked()
    if leads:
        leader.be_elected(1)
    else:
        leader.receive(1, append(1))
        leader.unlink(1)
    leader.core.halt(HaltCode.DAMAGED, "test")
    leader.drain()
    leader.clear()
    leader.wait(10)
    module, now = leader.module, leader.now
    before = (module.role, module.leader, module.term, module.deadlines(), leader.core.room_end)
    module.on_tick(now)
    module.on_deadline(now, Deadline.HEARTBEAT)
    module.on_persisted(now, leader.sequence + 9)
    module.on_storage_stalled(now, stalled=True)
    module.on_log_read(now, Seat(1), ())
    module.on_service_position(now, LogPosition(1 << 40))
    module.on_link_up(now, leader.lives[1])
    module.on_link_down(now, leader.lives[1])
    module.on_reconnect_refused(now, Seat(1))
    module.on_message(now, leader.lives[1], append(9))
    module.on_digest(now, LogPosition(0), b"")
    module.on_room(now, LogPosition(0))
    module.publish_commit(now)
    assert module.propose(now, b"", 0) is Rejection.HALTED
    assert module.propose_empty(now) is Rejection.HALTED
    assert module.request_found(now) == Rejection.HALTED.value
    assert module.request_transfer(now, None) == Rejection.HALTED.value
    assert module.log_time(now) is None
    assert module.drain() == []
    after = (module.role, module.leader, module.term, module.deadlines(), leader.core.room_end)
    assert after == before


# -- what the outside sees --------------------------------------------------------------------


def test_what_the_outside_may_look_at() -> None:
    leader = linked()
    leader.be_elected(1)
    module = leader.module
    assert module.seat_in_log == 0
    assert Driven(formatting=1).module.seat_in_log is None
    assert module.transfer_target is None
    assert linked().module.transfer_target is None
    assert module.leader == 0
    assert not module.is_volume_lost
    assert not module.is_recovering
    assert not module.is_undecided
    assert module.founding_broken == ""
    assert module.log_time(leader.now) == leader.leader.log_time()
    assert module.following.checked == 0


def test_the_service_position_is_told_to_the_leader() -> None:
    log = HandLog()
    log.begin_term(1)
    member = linked()
    member.receive(1, append(1, log.mark(1), log.frames[1:], commit=log.end.position))
    member.module.on_service_position(member.now, log.end.position)
    member.receive(1, append(1))
    assert member.sent(AppendReport)[-1].service_position == log.end.position
    with pytest.raises(AssertionError):
        member.module.on_service_position(member.now, LogPosition(log.end.position + 64))


def test_a_proposal_is_one_frame_of_our_term() -> None:
    leader = linked()
    leader.be_elected(1)
    leader.clear()
    at = leader.module.propose(leader.now, b"body", 3)
    assert at == leader.leader.term_frame_end
    leader.drain()
    (appended,) = leader.of(AppendToLog)
    (frame,) = appended.frames
    assert (frame.frame_type, frame.entry_count, frame.leadership_term_id) == (
        FrameType.ENTRIES,
        3,
        leader.module.term,
    )


def test_log_time_goes_on_while_leading() -> None:
    leader = linked()
    leader.be_elected(1)
    before = leader.module.log_time(leader.now)
    leader.wait(30)
    after = leader.module.log_time(leader.now)
    assert before is not None
    assert after is not None
    assert after - before == 30_000_000


# -- together ---------------------------------------------------------------------------------


def trio(config: ConsensusConfig | None = None) -> Together:
    together = Together(*(Driven(seat=seat, config=config) for seat in range(3)))
    together.link(0, 1, 2)
    together.settle()
    return together


def leaders(together: Together) -> list[int]:
    return [s for s, m in together.members.items() if m.has_role(Role.LEADER)]


def elect(together: Together, seat: int) -> Driven:
    for member in together.members.values():
        member.fire(Deadline.ELECTION)
    together.members[seat].fire(Deadline.STAND)
    together.settle()
    assert leaders(together) == [seat]
    return together.members[seat]


def test_three_members_elect_replicate_and_commit() -> None:
    together = trio()
    leader = elect(together, 1)
    leader.propose(100)
    together.settle()
    ends = {member.module.commit_position for member in together.members.values()}
    assert ends == {leader.core.log.end.position}


def test_leadership_goes_where_it_is_handed() -> None:
    together = trio()
    leader = elect(together, 0)
    assert leader.module.request_transfer(leader.now, Seat(2)) is None
    leader.drain()
    together.settle()
    assert leaders(together) == [2]
    assert leader.module.leader == 2
    # One vote was asked for and given: no failed attempts, no second term.
    assert {member.module.term for member in together.members.values()} == {2}


def test_who_was_stuck_at_a_higher_term_is_freed_by_one_election() -> None:
    together = trio()
    elect(together, 0)
    exile = Driven(seat=2, state=node_state(9, member_id(2)))
    together.replace(exile)
    together.link(0, 1, 2)
    together.settle()
    together.members[0].tick(50)
    together.settle()
    together.members[0].fire(Deadline.STAND)
    together.settle()
    assert len(leaders(together)) == 1
    terms = {member.module.term for member in together.members.values()}
    assert terms == {10}


@pytest.mark.parametrize("seed", range(20))
def test_time_alone_brings_a_leader_back(seed: int) -> None:
    """Whatever was lost before: when messages arrive again, a leader is heard within seconds."""
    together = trio()
    elect(together, seed % 3)
    state = seed * 2654435761 % (1 << 32)

    def lost(_sender: int, _receiver: int, _message: object) -> bool:
        nonlocal state
        state = (state * 1103515245 + 12345) % (1 << 31)
        return state >> 16 & 1 == 1

    together.lost = lost
    run(together, 60, seed)
    together.lost = lambda _a, _b, _m: False
    run(together, 80, seed)
    assert len(leaders(together)) == 1
    (leader,) = leaders(together)
    assert {m.module.leader for m in together.members.values()} == {leader}
    ends = {m.module.commit_position for m in together.members.values()}
    assert ends == {together.members[leader].core.log.end.position}


def run(together: Together, ticks: int, seed: int) -> None:
    for number in range(ticks):
        for seat, member in together.members.items():
            member.tick(50 + (number * (seat + 2) + seed) % 7)
            if member.has_role(Role.LEADER) and number % 5 == 0:
                member.propose(10)
            together.settle()
