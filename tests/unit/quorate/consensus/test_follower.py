"""What a follower accepts, cuts, reports and commits."""

from __future__ import annotations

import pytest

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import (
    AppendToLog,
    CloseLink,
    CommitTo,
    Halt,
    HaltCode,
    RoleChanged,
    StoreNodeState,
    TruncateLog,
)
from quorate.consensus.messages import AppendReport, CureTarget, Hello
from quorate.consensus.types import (
    LOG_START,
    NOT_RECOVERING,
    FoundingState,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    Recovering,
    RecoveringReason,
    Role,
)
from quorate_consensus.driven import Driven, append, hello, report, request_vote
from quorate_consensus.logs import HandLog, node_state

LOST = Recovering(RecoveringReason.DAMAGED, LeadershipTermId(1), LogPosition(999))


def leaders_log(*terms: int) -> HandLog:
    log = HandLog()
    for term in terms:
        log.begin_term(term)
        log.add(term)
    return log


def linked(
    log: HandLog | None = None,
    *,
    by_hand: bool = False,
    term: int | None = None,
    founded: bool = True,
    recovering: Recovering = NOT_RECOVERING,
) -> Driven:
    given = None
    if term is not None:
        given = node_state(term, founded=founded, recovering=recovering)
    member = Driven(log, by_hand=by_hand, state=given)
    member.link(1, 2)
    member.clear()
    return member


def last_report(member: Driven, seat: int = 1) -> AppendReport:
    return member.sent(AppendReport, seat)[-1]


# -- who is listened to -----------------------------------------------------------------------


def test_a_leader_of_an_earlier_term_learns_ours_and_nothing_else() -> None:
    log = leaders_log(1, 3)
    member = linked(log, term=4)
    member.receive(1, append(3, log.end))
    told = last_report(member)
    assert (told.leadership_term_id, told.durable, told.checked, told.round) == (4, 0, 0, 0)
    assert member.module.leader is None


def test_what_was_checked_against_one_leader_is_not_told_in_a_later_term() -> None:
    log = leaders_log(1)
    member = linked()
    member.receive(1, append(1, log.mark(1), log.frames[1:]))
    assert last_report(member).durable == log.end.position
    member.fire(Deadline.ELECTION)
    member.receive(2, request_vote(2, log.end))
    member.receive(1, append(1, log.end, round_number=7))
    told = last_report(member)
    assert (told.leadership_term_id, told.durable, told.checked, told.round) == (2, 0, 0, 0)


def test_telling_a_former_leader_does_not_hide_progress_from_the_present_one() -> None:
    log = leaders_log(1, 3)
    member = linked(leaders_log(1), by_hand=True, term=3)
    member.receive(2, append(3, log.mark(3), log.frames[3:]))
    member.receive(1, append(1, log.mark(1)))
    member.clear()
    member.persist()
    assert last_report(member, 2).durable == log.end.position


def test_a_member_that_was_not_founded_does_not_follow() -> None:
    member = linked(term=0, founded=False)
    member.receive(1, append(1, LOG_START))
    assert not member.effects


def test_a_strange_directory_does_not_lead_us() -> None:
    member = linked()
    member.link(1, formatting=1)
    member.receive(1, append(1, LOG_START))
    assert member.module.leader is None


def test_who_lost_its_whole_log_listens_to_any_leader() -> None:
    log = leaders_log(1)
    member = Driven(HandLog(frames=()), state=node_state(1, recovering=LOST))
    member.link(1)
    member.receive(1, append(1, LOG_START, log.frames, commit=log.end.position))
    assert member.module.leader == 1
    assert member.core.log.end == log.end
    assert member.module.membership.by_id(member.life.member_id) is not None
    assert member.module.commit_position == log.end.position
    told = last_report(member)
    assert told.recovering == LOST
    assert told.durable == log.end.position


def test_the_term_is_durable_before_the_report() -> None:
    member = linked(by_hand=True)
    member.receive(1, append(5, LOG_START))
    assert member.of(StoreNodeState)[0].state.candidate_term_id == 5
    assert not member.sent(AppendReport)
    member.persist()
    assert last_report(member).leadership_term_id == 5


def test_hearing_the_leader_again_only_starts_the_clock_anew() -> None:
    member = linked()
    member.receive(1, append(1))
    changes = len(member.of(RoleChanged))
    member.wait(400)
    member.receive(1, append(1, round_number=2))
    assert len(member.of(RoleChanged)) == changes
    assert member.module.deadlines()[Deadline.ELECTION] == member.now.loop + 500_000_000
    assert member.module.following.is_of(member.lives[1])
    assert not member.module.following.is_of(member.lives[2])


def test_two_leaders_in_one_term_are_a_broken_invariant() -> None:
    member = linked()
    member.receive(1, append(1))
    with pytest.raises(AssertionError, match="two leaders in term 1"):
        member.receive(2, append(1))


# -- where the logs agree ---------------------------------------------------------------------


def test_frames_behind_our_end_are_appended_and_reported_when_durable() -> None:
    log = leaders_log(1)
    member = linked(by_hand=True, term=1)
    member.receive(1, append(1, log.mark(1), log.frames[1:], commit=log.end.position))
    assert member.of(AppendToLog)[0].frames == tuple(log.frames[1:])
    assert not member.sent(AppendReport)
    member.receive(1, append(1))
    told = last_report(member)
    assert (told.durable, told.checked) == (log.mark(1).position, log.end.position)
    member.persist()
    assert last_report(member).durable == log.end.position
    assert member.of(CommitTo)[-1].position == log.end.position


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_boundary_beyond_our_end_or_of_another_term_does_not_match(in_memory: bool) -> None:
    held = leaders_log(1, 2)
    member = Driven(held) if not in_memory else linked()
    if in_memory:
        member.receive(1, append(2, held.mark(1), held.frames[1:]))
    else:
        member.link(1, 2)
    beyond = held.copy()
    beyond.add(2)
    other = leaders_log(1, 3)
    for mark in (beyond.end, other.mark(4), other.end):
        member.clear()
        member.receive(2, append(3, mark))
        told = last_report(member, 2)
        assert not told.matched
        assert told.end == held.end
        assert told.terms == held.terms


def test_a_chain_that_differs_does_not_match() -> None:
    log = leaders_log(1)
    member = linked(log)
    member.receive(1, append(1, log.end._replace(chain=log.end.chain ^ 1)))  # type: ignore[arg-type]
    assert not last_report(member).matched


def test_a_boundary_inside_an_old_term_is_known_by_its_term() -> None:
    log = leaders_log(1)
    log.add(1)
    member = linked(log)
    member.receive(1, append(1, log.mark(3)))
    assert last_report(member).matched
    assert last_report(member).checked == log.mark(3).position


def test_a_long_term_table_is_shown_in_pieces() -> None:
    log = leaders_log(*range(1, 9))
    member = Driven(log, config=ConsensusConfig(terms_reported_max=3))
    member.link(1)
    beyond = log.copy()
    beyond.add(8)
    member.receive(1, append(9, beyond.end))
    told = last_report(member)
    assert (told.end, told.terms) == (log.end, log.terms[-3:])
    probed = log.terms[4]
    wrong = log.mark(7)._replace(chain=probed.chain ^ 1)  # type: ignore[arg-type]
    assert wrong.position == log.terms[4].base
    member.receive(1, append(9, wrong))
    told = last_report(member)
    assert told.terms == log.terms[1:4]
    assert told.end == log.mark(7)


def test_progress_is_told_once() -> None:
    log = leaders_log(1)
    member = linked(by_hand=True)
    member.receive(1, append(1, log.mark(1), log.frames[1:]))
    member.persist()
    assert last_report(member).durable == log.end.position
    member.clear()
    for told in (0, 1):
        member.persist()
        assert len(member.sent(AppendReport)) == told
        member.receive(1, append(1, log.end))


def test_a_new_leader_is_told_what_it_asked_and_nothing_that_another_was_told() -> None:
    """A round that it has not begun would confirm to it that it leads."""
    held, log = leaders_log(1, 1), leaders_log(1, 2)
    member = linked(by_hand=True)
    member.receive(1, append(1, held.mark(1), held.frames[1:], round_number=9))
    member.persist()
    assert (last_report(member).durable, last_report(member).round) == (held.end.position, 9)
    assert log.end.position > held.mark(3).position
    shorter = log.mark(4)
    assert shorter.position < held.end.position
    member.receive(2, append(2, log.mark(3), log.frames[3:4], round_number=1))
    member.clear()
    member.persist()
    told = last_report(member, 2)
    assert (told.durable, told.round) == (shorter.position, 1)


# -- conflicts --------------------------------------------------------------------------------


def test_a_conflicting_tail_is_cut_where_the_first_frame_differs() -> None:
    held, log = leaders_log(1, 2), leaders_log(1, 3)
    member = linked(held)
    member.receive(1, append(3, log.mark(1), log.frames[1:], commit=log.end.position))
    assert [cut.end for cut in member.of(TruncateLog)] == [log.mark(3)]
    assert member.core.log.end == log.end
    assert last_report(member).durable == log.end.position


def test_frames_that_we_hold_are_checked_and_not_written_again() -> None:
    log = leaders_log(1)
    member = linked(log)
    member.receive(1, append(1, LOG_START, log.frames[:2]))
    assert last_report(member).checked == log.mark(2).position
    member.receive(1, append(1, LOG_START, log.frames))
    assert not member.of(AppendToLog)
    assert last_report(member).checked == last_report(member).durable == log.end.position


def test_a_longer_old_tail_is_neither_reported_nor_applied() -> None:
    held = leaders_log(1, 2)
    log = HandLog(3, tuple(held.frames[:3]))
    member = linked(held)
    member.receive(1, append(3, log.end, commit=held.end.position))
    told = last_report(member)
    assert told.durable == told.checked == log.end.position
    assert told.end == held.end
    assert member.module.commit_position == log.end.position


def bad_chain(frames: list[LogFrame]) -> list[LogFrame]:
    wrong = frames[-1].previous_chain ^ 1
    return [*frames[:-1], frames[-1]._replace(previous_chain=wrong)]  # type: ignore[arg-type]


def bad_term(frames: list[LogFrame]) -> list[LogFrame]:
    return [*frames[:-1], frames[-1]._replace(leadership_term_id=LeadershipTermId(9))]


def falling_term(frames: list[LogFrame]) -> list[LogFrame]:
    return [*frames[:-1], frames[-1]._replace(leadership_term_id=LeadershipTermId(1))]


def gap(frames: list[LogFrame]) -> list[LogFrame]:
    return [*frames[:-2], frames[-1]]


def bad_first_chain(frames: list[LogFrame]) -> list[LogFrame]:
    return [frames[0]._replace(previous_chain=frames[0].previous_chain ^ 1), *frames[1:]]  # type: ignore[arg-type]


@pytest.mark.parametrize("spoil", [bad_chain, bad_term, falling_term, gap, bad_first_chain])
@pytest.mark.parametrize("conflict", [False, True])
def test_frames_that_do_not_follow_close_the_link_and_write_nothing(
    spoil: object, conflict: bool
) -> None:
    log = leaders_log(1, 3)
    log.add(3)
    held = leaders_log(1, 2) if conflict else leaders_log(1)
    member = linked(held, term=3)
    frames = spoil(log.frames[3:])  # type: ignore[operator]
    member.receive(1, append(3, log.mark(3), frames, commit=log.mark(1).position))
    assert [closed.seat for closed in member.of(CloseLink)] == [1]
    assert not member.of(AppendToLog)
    assert not member.of(TruncateLog)
    assert member.core.log.end == held.end
    assert not member.sent(AppendReport), "nothing of the message is answered"
    assert member.module.commit_position == 0, "nor its commit position followed"


def test_frames_that_leave_out_what_is_not_checked_close_the_link() -> None:
    log = leaders_log(1, 3)
    member = linked(log)
    member.receive(1, append(3, log.mark(1), log.frames[3:]))
    assert [closed.seat for closed in member.of(CloseLink)] == [1]


def test_another_frame_of_the_same_length_in_the_same_place_and_term_is_damage() -> None:
    log = HandLog()
    log.begin_term(1)
    other = log.copy()
    log.add(1)
    other.add(1, FrameType.EMPTY)
    member = linked()
    member.receive(1, append(1, log.mark(1), log.frames[1:]))
    assert len(other.frames[2].data) == len(log.frames[2].data)
    member.receive(2, append(2, log.mark(2), other.frames[2:]))
    assert [halt.code for halt in member.of(Halt)] == [HaltCode.DAMAGED]
    assert not member.of(TruncateLog)


@pytest.mark.parametrize("in_memory", [True, False])
def test_another_frame_of_the_same_term_is_damage(in_memory: bool) -> None:
    log, other = HandLog(), HandLog()
    for one, size in ((log, 0), (other, 200)):
        one.begin_term(1)
        one.add(1, size=size if in_memory else 2000)
    other.frames[2] = other.frames[2]._replace(chain=other.frames[2].chain ^ 1)  # type: ignore[arg-type]
    member = linked() if in_memory else linked(HandLog(3, tuple(log.frames)))
    if in_memory:
        member.receive(1, append(1, log.mark(1), log.frames[1:]))
        member.receive(2, append(2, log.mark(2), other.frames[2:]))
    else:
        longer = other.frames[2]._replace(data=other.frames[2].data + bytes(64))
        member.receive(2, append(2, log.mark(2), [longer]))
    assert [halt.code for halt in member.of(Halt)] == [HaltCode.DAMAGED]
    assert not member.of(TruncateLog)
    member.clear()
    member.receive(2, append(2, log.mark(2)))
    assert not member.effects, "nothing leaves a member that has stopped"


def test_a_cut_below_the_commit_position_is_a_broken_invariant() -> None:
    held, log = leaders_log(1), leaders_log(2)
    member = linked()
    member.receive(1, append(1, held.mark(1), held.frames[1:], commit=held.end.position))
    with pytest.raises(AssertionError):
        member.receive(2, append(2, log.mark(1), log.frames[1:]))


# -- recovering -------------------------------------------------------------------------------


def recovering() -> tuple[Driven, HandLog]:
    log = leaders_log(1)
    member = linked(term=1, recovering=LOST)
    member.receive(1, append(1, log.mark(1), log.frames[1:2]))
    return member, log


def target(position: int, term: int = 1) -> CureTarget:
    return CureTarget(LeadershipTermId(term), LogPosition(position))


def test_it_is_cured_when_it_durably_holds_the_target() -> None:
    member, log = recovering()
    member.receive(1, target(log.end.position))
    assert member.module.is_recovering
    member.by_hand = True
    member.receive(1, append(1, log.mark(2), log.frames[2:]))
    assert member.module.is_recovering
    member.clear()
    member.persist()
    assert member.of(StoreNodeState)[-1].state.recovering == NOT_RECOVERING
    assert not member.sent(Hello), "nobody is told before it is durable"
    member.persist()
    assert {told.recovering for told in member.sent(Hello)} == {NOT_RECOVERING}
    assert len(member.sent(Hello)) == 2
    member.receive(1, append(1))
    assert last_report(member).recovering == NOT_RECOVERING


def test_everybody_is_told_of_a_cure_at_once_reached() -> None:
    member, log = recovering()
    member.clear()
    member.receive(1, target(log.mark(2).position))
    assert not member.module.is_recovering
    assert [told.recovering for told in member.sent(Hello, 2)] == [NOT_RECOVERING]


def test_only_the_leader_of_the_present_term_cures() -> None:
    member, log = recovering()
    member.receive(2, target(0))
    member.receive(1, target(0, term=2))
    assert member.module.is_recovering
    # A later term of the same leader, of which no frame has come yet.
    member.core.adopt_term(LeadershipTermId(2))
    member.drain()
    member.receive(1, target(log.mark(2).position, term=2))
    assert member.module.is_recovering
    member.receive(1, append(2, log.mark(2)), target(log.mark(2).position, term=2))
    assert not member.module.is_recovering


def test_a_target_that_was_received_and_not_synced_cures_nobody() -> None:
    member, log = recovering()
    member.by_hand = True
    member.receive(1, append(1, log.mark(2), log.frames[2:]), target(log.end.position))
    assert member.module.is_recovering
    member.persist()
    assert not member.module.is_recovering


def test_a_tail_that_was_never_compared_cures_nobody() -> None:
    own = leaders_log(1)
    own.add(1)
    theirs = HandLog()
    theirs.begin_term(2)
    theirs.add(2)
    member = Driven(own, state=node_state(2, recovering=LOST))
    member.link(1, 2)
    assert own.end.position >= theirs.end.position
    member.receive(1, append(2, theirs.mark(1)), target(theirs.end.position, term=2))
    assert member.module.is_recovering
    member.receive(1, append(2, theirs.mark(1), theirs.frames[1:]))
    assert not member.module.is_recovering


def test_a_target_of_a_former_leader_is_forgotten() -> None:
    member, log = recovering()
    member.receive(1, target(log.end.position))
    member.receive(2, append(2, log.mark(2)), append(2, log.mark(2), log.frames[2:]))
    assert member.module.is_recovering


def test_a_sound_member_needs_no_cure() -> None:
    log = leaders_log(1)
    member = linked(term=1)
    member.receive(1, append(1, log.mark(1)), target(0))
    assert not member.of(StoreNodeState)


def test_lag_is_known_while_the_leader_is_ahead() -> None:
    log = leaders_log(1)
    member = linked()
    member.receive(1, append(1, log.end))
    assert member.module.following.caught_up_lag == log.end.position
    member.receive(1, append(1, log.mark(1), log.frames[1:]))
    assert member.module.following.caught_up_lag == 0


def test_who_takes_office_forgets_whom_it_followed() -> None:
    member = linked()
    member.receive(1, append(1))
    member.be_elected(2)
    assert not member.module.following.is_of(member.lives[1])
    assert member.module.following.durable == 0
    member.receive(1, hello(FoundingState.FOUNDED), report(member))
    assert member.has_role(Role.LEADER)
