"""Handing leadership over, and giving it up again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quorate.consensus.config import MS, ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import (
    AppendToLog,
    IngressChanged,
    IngressState,
    StoreNodeState,
    TransferEnded,
)
from quorate.consensus.messages import (
    AppendReport,
    DigestReport,
    RequestVote,
    RoomReport,
    StandNow,
    TransferToken,
    Vote,
)
from quorate.consensus.module import Rejection
from quorate.consensus.types import (
    FrameType,
    LeadershipTermId,
    LogMark,
    LogPosition,
    Recovering,
    RecoveringReason,
    Role,
    Seat,
)
from quorate_consensus.driven import Driven, append, report, request_vote
from quorate_consensus.logs import HandLog, node_state

LOST = Recovering(RecoveringReason.DAMAGED, LeadershipTermId(1), LogPosition(64))


def leading(*, seats: int = 3, config: ConsensusConfig | None = None) -> Driven:
    leader = Driven(seats=seats, config=config)
    leader.be_elected(1, 2)
    leader.accept(1, 2)
    leader.clear()
    return leader


def hand_over(leader: Driven, target: int | None = 1) -> str | None:
    refusal = leader.module.request_transfer(leader.now, None if target is None else Seat(target))
    leader.drain()
    return refusal


def ended(leader: Driven) -> list[tuple[bool, int]]:
    return [(outcome.completed, outcome.target) for outcome in leader.of(TransferEnded)]


def test_the_token_goes_to_a_target_that_durably_holds_everything() -> None:
    leader = leading()
    leader.propose()
    assert hand_over(leader) is None
    assert leader.module.transfer_target == 1
    assert leader.of(IngressChanged) == [IngressChanged(IngressState.PAUSED)]
    end = leader.core.log.end.position
    leader.receive(1, report(leader, durable=end - 64))
    assert not leader.sent(StandNow)
    leader.accept(1)
    leader.accept(1)
    assert leader.sent(StandNow) == [StandNow(TransferToken(leader.module.term, end))]


def test_a_target_that_is_up_to_date_is_told_at_once() -> None:
    leader = leading()
    hand_over(leader)
    assert leader.sent(StandNow, 1)


def test_nothing_at_all_is_appended_until_the_outcome() -> None:
    leader = leading()
    hand_over(leader)
    assert leader.module.propose(leader.now, b"", 0) is Rejection.PAUSED
    assert leader.module.propose_empty(leader.now) is Rejection.PAUSED
    for deadline in (Deadline.HEARTBEAT, Deadline.CHECK_QUORUM):
        leader.fire(deadline)
    assert not leader.of(AppendToLog)


def test_the_best_successor_is_the_most_advanced_then_the_lowest_seat() -> None:
    leader = leading()
    assert leader.leader.best_successor() == 1
    leader.propose()
    leader.accept(2)
    assert leader.leader.best_successor() == 2
    leader.receive(2, report(leader, recovering=LOST))
    assert leader.leader.best_successor() == 1
    hand_over(leader, None)
    assert leader.module.transfer_target == 1


def test_the_best_successor_serves_at_once_even_if_another_is_further() -> None:
    leader = leading(config=ConsensusConfig(service_lag_bytes=64))
    held = leader.leader.term_frame_end
    leader.propose()
    end = leader.core.log.end.position
    late, prompt = LogPosition(end - 65), LogPosition(end - 64)
    further, other = report(leader), report(leader, checked=held)
    leader.receive(1, replace(further, service_position=late))
    leader.receive(2, replace(other, service_position=prompt))
    assert leader.leader.best_successor() == 2
    leader.receive(2, replace(other, service_position=late))
    assert leader.leader.best_successor() == 1
    leader.receive(2, replace(other, service_position=prompt))
    leader.receive(2, RoomReport(leader.module.term, LogPosition(end + (1 << 30))))
    assert leader.leader.best_successor() == 1


def test_of_equal_logs_the_one_whose_service_is_further_takes_over() -> None:
    leader = leading()
    end = leader.core.log.end.position
    for seat, applied in ((1, end - 1), (2, end)):
        leader.receive(seat, replace(report(leader), service_position=LogPosition(applied)))
    assert leader.leader.best_successor() == 2
    leader.receive(1, replace(report(leader), service_position=end))
    assert leader.leader.best_successor() == 1


def test_a_leader_whose_service_has_stopped_asks_until_somebody_takes_over() -> None:
    """It may have been elected so, or nobody was there to take over when it stopped."""
    leader = leading()
    leader.module.on_digest(leader.now, LogPosition(0), b"own")
    for seat in (1, 2):
        leader.receive(seat, DigestReport(LogPosition(0), b"majority"))
    for _ in range(3):
        assert leader.module.transfer_target is None
        leader.fire(Deadline.HEARTBEAT)
        assert leader.module.transfer_target == 1
        leader.fire(Deadline.TRANSFER)
        leader.fire(Deadline.HEARTBEAT)
        assert leader.module.transfer_target is None, "the last token is not void yet"
        leader.accept(1, 2)


@pytest.mark.parametrize(
    ("case", "target", "words"),
    [
        ("running", 2, "is going on"),
        ("own", 0, "leads already"),
        ("unknown", 7, "not a connected"),
        ("recovering", 1, "not a connected"),
        ("unlinked", 1, "not a connected"),
        ("new life", 1, "not a connected"),
        ("nobody", None, "no other voter"),
    ],
)
def test_refusals(case: str, target: int | None, words: str) -> None:
    leader = leading()
    if case == "running":
        hand_over(leader, 1)
    if case == "recovering":
        leader.receive(1, report(leader, recovering=LOST))
    if case in {"unlinked", "nobody"}:
        leader.unlink(1)
    if case == "nobody":
        leader.unlink(2)
    if case == "new life":
        leader.link(1, life=2)
    refusal = hand_over(leader, target)
    assert refusal is not None
    assert words in refusal
    assert not leader.of(TransferEnded)


def test_a_term_must_have_committed_its_first_frame() -> None:
    leader = Driven()
    leader.be_elected(1)
    leader.leader.progress[Seat(1)].heard = True
    refusal = hand_over(leader)
    assert refusal is not None
    assert "not committed" in refusal


def test_who_does_not_lead_names_the_leader() -> None:
    follower = Driven()
    follower.link(1)
    follower.receive(1, append(1))
    assert hand_over(follower, 2) == "not the leader; seat 1 is"


# -- giving up --------------------------------------------------------------------------------


def test_an_abort_voids_the_token_and_needs_a_commit_before_the_next() -> None:
    leader = leading()
    hand_over(leader)
    token = leader.sent(StandNow)[0].token
    leader.fire(Deadline.TRANSFER)
    assert ended(leader) == [(False, 1)]
    assert leader.of(IngressChanged)[-1] == IngressChanged(IngressState.OPEN)
    (appended,) = leader.of(AppendToLog)
    assert [frame.frame_type for frame in appended.frames] == [FrameType.EMPTY]
    assert leader.module.transfer_target is None
    refusal = hand_over(leader)
    assert refusal is not None
    assert "not committed" in refusal
    leader.receive(1, request_vote(leader.module.term + 1, leader.core.log.end, token=token))
    assert leader.has_role(Role.LEADER)
    leader.accept(1, 2)
    assert hand_over(leader) is None


def test_a_target_that_does_not_stand_in_an_election_timeout_is_given_up() -> None:
    leader = leading()
    hand_over(leader)
    timeout = leader.core.config.election_timeout_min_ns // MS
    for _ in range(timeout // 50):
        leader.accept(1, 2)
        assert not ended(leader)
        leader.tick(50)
    assert ended(leader) == [(False, 1)]
    assert leader.has_role(Role.LEADER)


def test_a_broken_link_to_the_target_ends_it() -> None:
    leader = leading()
    leader.propose()
    hand_over(leader)
    leader.unlink(2)
    assert not ended(leader)
    leader.unlink(1)
    assert ended(leader) == [(False, 1)]
    assert Deadline.TRANSFER not in leader.module.deadlines()


def test_a_time_out_without_a_transfer_does_nothing() -> None:
    leader = leading()
    leader.fire(Deadline.TRANSFER)
    assert not leader.effects
    follower = Driven()
    follower.fire(Deadline.TRANSFER)
    assert follower.has_role(Role.FOLLOWER)


def test_losing_the_majority_loses_the_transfer() -> None:
    leader = leading()
    hand_over(leader)
    leader.wait(600)
    leader.fire(Deadline.CHECK_QUORUM)
    assert ended(leader) == [(False, 1)]


# -- success ----------------------------------------------------------------------------------


def with_token(leader: Driven) -> RequestVote:
    hand_over(leader)
    token = leader.sent(StandNow)[0].token
    return request_vote(leader.module.term + 1, leader.core.log.end, token=token)


def test_the_leader_votes_for_who_shows_its_token() -> None:
    leader = leading()
    leader.receive(1, with_token(leader))
    assert ended(leader) == [(True, 1)]
    assert leader.has_role(Role.FOLLOWER)
    assert [vote.granted for vote in leader.sent(Vote, 1)] == [True]
    assert leader.of(IngressChanged)[-1] == IngressChanged(IngressState.CLOSED)
    assert Deadline.STAND in leader.module.deadlines()


def test_the_successor_may_be_heard_before_it_asked() -> None:
    leader = leading()
    hand_over(leader)
    leader.receive(1, append(leader.module.term + 1, leader.core.log.end))
    assert ended(leader) == [(True, 1)]
    assert leader.module.leader == 1


def test_another_leader_is_no_success() -> None:
    leader = leading()
    hand_over(leader)
    leader.receive(2, append(leader.module.term + 1, leader.core.log.end))
    assert ended(leader) == [(False, 1)]


def test_a_token_that_nobody_asked_for_moves_the_leader_without_an_outcome() -> None:
    leader = leading()
    token = TransferToken(leader.module.term, leader.core.log.end.position)
    leader.receive(1, request_vote(leader.module.term + 1, leader.core.log.end, token=token))
    assert not leader.has_role(Role.LEADER)
    assert not ended(leader)


# -- a stalled disk ---------------------------------------------------------------------------


def stall(member: Driven, *, stalled: bool = True) -> None:
    member.module.on_storage_stalled(member.now, stalled=stalled)
    member.drain()


def test_a_stalled_leader_hands_over() -> None:
    leader = leading()
    stall(leader)
    assert leader.sent(StandNow, 1)
    stall(leader)
    assert len(leader.sent(StandNow)) == 1


@pytest.mark.parametrize("how", ["no successor", "time-out", "broken link"])
def test_a_stalled_leader_that_cannot_hand_over_steps_down_and_lets_others_be_elected(
    how: str,
) -> None:
    leader = leading()
    if how == "no successor":
        leader.unlink(1, 2)
    stall(leader)
    if how == "time-out":
        leader.fire(Deadline.TRANSFER)
    if how == "broken link":
        leader.unlink(1)
    assert leader.has_role(Role.FOLLOWER)
    assert leader.module.leader_unheard
    assert Deadline.STAND in leader.module.deadlines()


def test_a_stall_during_a_transfer_waits_for_its_outcome() -> None:
    leader = leading()
    hand_over(leader)
    stall(leader)
    assert leader.module.transfer_target == 1


def test_a_stalled_member_alone_goes_on() -> None:
    alone = Driven(seats=1)
    alone.fire(Deadline.STAND)
    stall(alone)
    assert alone.has_role(Role.LEADER)


# -- the target -------------------------------------------------------------------------------


def target(log: HandLog | None = None, **more: object) -> tuple[Driven, HandLog]:
    held = HandLog()
    held.begin_term(1)
    member = Driven(held if log is None else log, **more)  # type: ignore[arg-type]
    member.link(1, 2)
    member.receive(1, append(1, held.end))
    member.clear()
    return member, held


def stand_now(term: int, end: LogMark) -> StandNow:
    return StandNow(TransferToken(LeadershipTermId(term), end.position))


def test_the_target_stands_at_once_and_shows_the_token() -> None:
    member, log = target()
    member.receive(1, stand_now(1, log.end))
    assert member.has_role(Role.CANDIDATE)
    asked = member.sent(RequestVote)
    token = TransferToken(LeadershipTermId(1), log.end.position)
    assert [request.token for request in asked] == [token, token]
    assert asked[0].candidate_term_id == 2


@pytest.mark.parametrize("case", ["term", "sender", "behind", "beyond", "recovering", "stalled"])
def test_a_token_that_does_not_fit_is_ignored(case: str) -> None:
    state = node_state(1, recovering=LOST) if case == "recovering" else None
    member, log = target(state=state)
    end = log.end
    if case == "beyond":
        # The leader gave up and appended: the token is void, and its leader is not disturbed.
        log.add(1, FrameType.EMPTY)
        member.receive(1, append(1, end, log.frames[2:]))
    if case == "behind":
        log.add(1)
    if case == "stalled":
        stall(member)
    member.clear()
    shown = log.end if case == "behind" else end
    member.receive(2 if case == "sender" else 1, stand_now(2 if case == "term" else 1, shown))
    assert member.has_role(Role.FOLLOWER)
    assert member.module.term == 1
    assert member.module.leader == 1
    assert not member.of(StoreNodeState)
    member.receive(1, append(1))
    assert member.sent(AppendReport)


def test_a_candidate_or_leader_ignores_a_token() -> None:
    leader = leading()
    leader.receive(1, stand_now(leader.module.term, leader.core.log.end))
    assert leader.has_role(Role.LEADER)
