"""What a leader sends, counts, commits and cures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import (
    Alarm,
    AppendToLog,
    CommitTo,
    IngressChanged,
    IngressState,
    RoleChanged,
)
from quorate.consensus.messages import AppendFrames, CanvassAnswer, CureTarget, Hello
from quorate.consensus.progress import Flow
from quorate.consensus.types import (
    LOG_START,
    FrameType,
    LeadershipTermId,
    LogMark,
    LogPosition,
    Recovering,
    RecoveringReason,
    Role,
    Seat,
)
from quorate.protocol.log_codec import frame_body
from quorate.protocol.term_codec import decode_term
from quorate_consensus.driven import Driven, append, hello, report, vote
from quorate_consensus.leaders import frames_to, leading, streaming
from quorate_consensus.logs import CODEC, HandLog, member_id, node_state

LOST = Recovering(RecoveringReason.DAMAGED, LeadershipTermId(1), LogPosition(64))
SECOND = 1_000_000_000
SMALL = ConsensusConfig(
    frame_bytes_max=1024, segment_length=4096, append_bytes_max=1024, window_bytes=2048
)


# -- the first frame --------------------------------------------------------------------------


def test_a_term_begins_with_its_frame_and_a_probe_at_its_base() -> None:
    leader = Driven()
    leader.be_elected(1)
    frame = leader.core.log.frame_at(leader.leader.base)
    assert frame is not None
    assert frame.frame_type is FrameType.NEW_LEADERSHIP_TERM
    body = decode_term(frame_body(frame))
    assert (body.leadership_term_id, body.base) == (1, leader.leader.base)
    assert body.leader == member_id(0)
    assert not body.possible_loss
    assert body.membership == leader.module.membership
    probe = leader.sent(AppendFrames, 2)[0]
    assert (probe.previous.position, probe.frames, probe.round) == (leader.leader.base, (), 1)
    assert leader.of(IngressChanged) == [IngressChanged(IngressState.OPEN)]


def elected_with_walls(*ahead_s: int) -> Driven:
    """Return a leader whose voters in seats 1, 2 have clocks so many seconds ahead of its own."""
    leader = Driven()
    leader.link(1, 2)
    asked = leader.canvass()
    for seat, ahead in enumerate(ahead_s, start=1):
        answer = CanvassAnswer(
            leader.module.term,
            asked.round,
            granted=True,
            end=LOG_START,
            recovering=leader.core.node_state.recovering,
            wall=leader.now.wall + ahead * SECOND,
        )
        leader.receive(seat, answer)
    leader.core.persisted = leader.sequence
    leader.module._election.won = True
    leader.module._settle_outcome()
    leader.drain()
    return leader


def alarms(leader: Driven) -> list[tuple[str, bool]]:
    """Return the alarms raised and taken back."""
    return [(alarm.name, alarm.raised) for alarm in leader.of(Alarm)]


def test_the_log_begins_its_term_at_the_lower_median_of_the_wall_clocks() -> None:
    leader = elected_with_walls(50, -1)
    frame = leader.core.log.frame_at(leader.leader.base)
    assert frame is not None
    assert frame.timestamp == leader.now.wall
    assert leader.leader.log_time() == leader.now.wall


@pytest.mark.parametrize(
    ("ahead", "alarmed"),
    [((50, -1), True), ((-50, 0), True), ((10, 0), False), ((6, -5), True), ((5, -5), False)],
)
def test_clocks_far_apart_as_a_term_begins_are_an_alarm(
    ahead: tuple[int, int],
    alarmed: bool,
) -> None:
    leader = elected_with_walls(*ahead)
    assert alarms(leader) == [("clocks_apart", True)] * alarmed
    leader.fire(Deadline.HEARTBEAT)
    assert alarms(leader) == [("clocks_apart", True)] * alarmed


@pytest.mark.parametrize(("ahead_s", "over"), [(0, True), (5, True), (6, False), (-6, False)])
def test_clocks_well_within_the_limit_again_end_the_alarm(
    ahead_s: int,
    over: bool,
) -> None:
    leader = elected_with_walls(50, 0)
    wall = leader.now.wall + ahead_s * SECOND
    leader.receive(1, replace(report(leader), wall=wall))
    leader.fire(Deadline.HEARTBEAT)
    assert (alarms(leader)[-1] == ("clocks_apart", False)) == over


def test_a_report_that_waited_long_raises_no_alarm_of_clocks() -> None:
    leader = elected_with_walls(0, 0)
    late = replace(report(leader), wall=leader.now.wall - 60 * SECOND)
    leader.receive(1, late)
    leader.fire(Deadline.HEARTBEAT)
    assert alarms(leader) == []


def test_what_a_leader_alarmed_of_its_own_term_ends_with_it() -> None:
    leader = elected_with_walls(50, 0)
    for name in ("possible_loss", "recordings_contradict"):
        leader.core.alarm(name, "seen in this term")
    leader.drain()
    leader.clear()
    leader.receive(1, append(leader.module.term + 1, leader.core.log.end))
    assert leader.has_role(Role.FOLLOWER)
    names = ("clocks_apart", "recordings_contradict", "possible_loss")
    assert alarms(leader) == [(name, False) for name in names]


# -- replication ------------------------------------------------------------------------------


def test_what_one_turn_appends_goes_out_in_one_message() -> None:
    leader = streaming()
    for _ in range(3):
        assert isinstance(leader.module.propose(leader.now, b"", 0), int)
    leader.drain()
    for seat in (1, 2):
        (message,) = leader.sent(AppendFrames, seat)
        assert len(message.frames) == 3
        assert message.previous == LogMark(
            message.frames[0].position, leader.module.term, message.frames[0].previous_chain
        )


def test_the_window_bounds_what_is_sent_ahead_of_reports() -> None:
    leader = streaming(config=SMALL)
    for _ in range(4):
        leader.propose(900)
    first, end = frames_to(leader, 1), leader.core.log.end.position
    assert sum(len(frame.data) for frame in first) < end - first[0].position
    leader.clear()
    leader.receive(1, report(leader, checked=first[-1].end))
    assert frames_to(leader, 1)[0].position == first[-1].end


def test_nothing_is_streamed_without_a_link() -> None:
    leader = streaming()
    leader.unlink(1)
    leader.propose()
    assert not leader.sent(AppendFrames, 1)
    leader.link(1)
    leader.accept(1)
    leader.clear()
    leader.propose()
    assert len(frames_to(leader, 1)) == 1


def test_a_message_that_was_lost_is_sent_again_after_the_next_round() -> None:
    leader = streaming()
    at = leader.core.log.end.position
    leader.propose()
    leader.fire(Deadline.HEARTBEAT)
    leader.clear()
    leader.receive(1, report(leader, checked=at, round_number=leader.leader._round - 1))
    assert not frames_to(leader, 1), "it may still be on its way"
    leader.receive(1, report(leader, checked=at))
    assert [frame.position for frame in frames_to(leader, 1)] == [at]


def test_what_a_member_has_reported_is_not_sent_again_for_a_report_that_was_overtaken() -> None:
    leader = streaming()
    at = leader.propose()
    leader.accept(1)
    second = leader.propose()
    leader.fire(Deadline.HEARTBEAT)
    leader.clear()
    leader.receive(1, report(leader, checked=at))
    assert [frame.position for frame in frames_to(leader, 1)] == [second]
    progress = leader.leader.progress[Seat(1)]
    assert progress.match <= progress.checked <= progress.next_position


@pytest.mark.parametrize("news", ["commit", "round", "end"])
def test_frames_that_another_was_sent_go_out_with_the_news_of_since(news: str) -> None:
    leader = streaming()
    leader.unlink(2)
    at = leader.propose()
    before = leader.sent(AppendFrames, 1)[-1]
    if news == "commit":
        leader.accept(1)
    elif news == "round":
        leader.fire(Deadline.HEARTBEAT)
    else:
        leader.unlink(1)
        leader.propose()
    leader.link(2)
    leader.clear()
    leader.receive(2, report(leader, checked=at))
    message = leader.sent(AppendFrames, 2)[0]
    told = (message.commit_position, message.round, message.end_position)
    log = leader.core.log
    assert told == (leader.module.commit_position, leader.leader._round, log.end.position)
    assert told != (before.commit_position, before.round, before.end_position)


def test_a_probe_is_answered_before_anything_is_streamed() -> None:
    leader = leading()
    assert not frames_to(leader, 1)
    leader.receive(1, report(leader, checked=0))
    assert not frames_to(leader, 1)
    leader.receive(1, report(leader, checked=leader.leader.base))
    assert [frame.position for frame in frames_to(leader, 1)] == [leader.leader.base]


def test_a_mismatch_is_asked_about_once_between_heartbeats() -> None:
    log = HandLog()
    log.begin_term(1)
    leader = leading(log)
    short = HandLog()
    answer = report(leader, matched=False, checked=0, end=short.end, terms=short.terms)
    leader.receive(1, answer, answer, answer)
    assert [message.previous for message in leader.sent(AppendFrames, 1)] == [short.end]
    leader.fire(Deadline.HEARTBEAT)
    assert [message.previous for message in leader.sent(AppendFrames, 1)] == [short.end] * 2


def test_reports_of_other_lives_and_terms_do_not_count() -> None:
    leader = leading()
    early = report(leader)
    leader.receive(1, report(leader, term=0))
    assert leader.leader.progress[Seat(1)].match == 0
    leader.link(1, life=2)
    leader.leader.progress[Seat(1)].start_nonce = None
    leader.receive(1, early)
    assert leader.leader.progress[Seat(1)].match == 0


def test_a_report_of_a_higher_term_ends_the_leadership_and_frees_who_was_stuck() -> None:
    leader = streaming()
    leader.receive(1, report(leader, term=7))
    assert leader.has_role(Role.FOLLOWER)
    assert leader.module.term == 7
    assert leader.module.leader_unheard
    assert Deadline.STAND in leader.module.deadlines()
    assert leader.of(IngressChanged) == [IngressChanged(IngressState.CLOSED)]


def test_what_a_leader_has_committed_is_told_before_it_leads_no_more() -> None:
    """Both reports come in one turn: it commits, and then hears of the higher term."""
    leader = streaming()
    leader.propose()
    leader.clear()
    end, term = leader.core.log.end.position, leader.module.term
    leader.module.on_message(leader.now, leader.lives[Seat(1)], report(leader))
    leader.module.on_message(leader.now, leader.lives[Seat(2)], report(leader, term=7))
    leader.drain()
    news = [effect for effect in leader.effects if isinstance(effect, CommitTo | RoleChanged)]
    assert news[0] == CommitTo(end, term)
    assert len(leader.of(CommitTo)) == 1
    assert leader.has_role(Role.FOLLOWER)


# -- commit -----------------------------------------------------------------------------------


def test_a_commit_needs_a_quorum_above_the_base() -> None:
    log = HandLog()
    log.begin_term(1)
    leader = leading(log, by_hand=True)
    base = leader.leader.base
    leader.receive(1, report(leader, checked=base))
    leader.receive(2, report(leader, checked=base))
    assert leader.module.commit_position == 0, "two positions equal to the base commit nothing"
    leader.receive(1, report(leader))
    assert leader.module.commit_position == leader.core.log.end.position
    leader.persist()


def test_frames_of_older_terms_are_not_committed_by_counting() -> None:
    """One follower is ahead, our own term's frame is not durable: the quorum is at the base."""
    log = HandLog()
    log.begin_term(1)
    leader = Driven(log)
    leader.link(1, 2)
    leader.nominate(1)
    leader.by_hand = True
    leader.receive(1, vote(leader.module.term))
    leader.accept(1)
    assert leader.core.log.durable == leader.leader.base
    assert leader.module.commit_position == 0
    leader.persist()
    assert leader.module.commit_position == leader.core.log.end.position


def test_two_followers_commit_while_our_own_sync_runs() -> None:
    leader = leading(by_hand=True)
    leader.accept(1, 2)
    leader.propose()
    leader.clear()
    leader.accept(1)
    assert not leader.of(CommitTo)
    leader.accept(2)
    assert [told.position for told in leader.of(CommitTo)] == [leader.core.log.end.position]


def test_our_own_durable_position_counts_like_any() -> None:
    leader = leading(by_hand=True)
    leader.accept(1)
    leader.propose()
    leader.accept(1)
    leader.clear()
    leader.persist()
    assert [told.position for told in leader.of(CommitTo)] == [leader.core.log.end.position]


def test_what_a_follower_has_received_but_not_synced_commits_nothing() -> None:
    leader = streaming()
    before = leader.module.commit_position
    leader.propose()
    leader.receive(1, report(leader, durable=before))
    assert leader.module.commit_position == before


def test_a_report_that_was_overtaken_takes_nothing_back() -> None:
    leader = streaming()
    stale = report(leader)
    leader.propose()
    leader.accept(1)
    match = leader.leader.progress[Seat(1)].match
    leader.receive(1, stale)
    assert leader.leader.progress[Seat(1)].match == match


def test_a_new_life_of_a_member_has_promised_nothing_but_the_same_life_has() -> None:
    leader = streaming()
    match = leader.leader.progress[Seat(1)].match
    assert match
    leader.unlink(1)
    leader.link(1)
    assert leader.leader.progress[Seat(1)].match == match
    assert leader.leader.progress[Seat(1)].flow is Flow.PROBE
    leader.link(1, life=2)
    assert leader.leader.progress[Seat(1)].match == 0


def test_a_strange_directory_in_a_members_seat_gets_no_progress() -> None:
    leader = streaming()
    leader.link(1, formatting=1)
    leader.clear()
    before = leader.leader.progress[Seat(1)].match
    leader.receive(1, report(leader))
    assert leader.leader.progress[Seat(1)].match == before
    leader.receive(1, append(9))
    assert leader.has_role(Role.LEADER)
    leader.link(7)
    leader.unlink(7)


# -- the majority -----------------------------------------------------------------------------


def test_without_a_majority_for_an_election_timeout_the_leader_steps_down() -> None:
    leader = streaming()
    leader.wait(499)
    leader.fire(Deadline.CHECK_QUORUM)
    assert leader.has_role(Role.LEADER)
    leader.wait(1)
    leader.fire(Deadline.CHECK_QUORUM)
    assert leader.has_role(Role.FOLLOWER)
    assert leader.core.node_state.vote == member_id(0)
    assert leader.module.leader_unheard
    assert Deadline.STAND in leader.module.deadlines()
    assert {told.role for told in leader.sent(Hello)} == {Role.FOLLOWER}


def test_one_of_two_followers_is_a_majority() -> None:
    leader = streaming()
    leader.wait(499)
    leader.accept(1)
    leader.wait(499)
    leader.fire(Deadline.CHECK_QUORUM)
    assert leader.has_role(Role.LEADER)
    leader.tick(50)
    assert leader.has_role(Role.FOLLOWER)


def test_a_round_is_confirmed_by_a_majority_that_answered_it() -> None:
    leader = leading(seats=5)
    number = leader.leader._round
    leader.receive(1, report(leader, round_number=number))
    assert not leader.leader.confirmed_round(number)
    leader.receive(2, report(leader, round_number=number - 1))
    assert not leader.leader.confirmed_round(number)
    leader.receive(2, report(leader, round_number=number + 3))
    assert leader.leader.confirmed_round(number)


def test_a_member_whose_log_does_not_match_yet_is_there_all_the_same() -> None:
    leader = streaming()
    leader.wait(499)
    leader.fire(Deadline.HEARTBEAT)
    number = leader.leader._round
    old = HandLog()
    leader.receive(1, report(leader, matched=False, checked=0, end=old.end, terms=old.terms))
    assert leader.leader.confirmed_round(number)
    leader.wait(1)
    leader.fire(Deadline.CHECK_QUORUM)
    assert leader.has_role(Role.LEADER)


# -- recovering -------------------------------------------------------------------------------


def test_a_recovering_member_acknowledges_nothing_and_is_cured_by_a_later_round() -> None:
    leader = leading(by_hand=True)
    announced = leader.leader._round
    leader.receive(1, report(leader, recovering=LOST), report(leader, recovering=LOST))
    assert leader.module.commit_position == 0
    assert leader.leader.progress[Seat(1)].match == 0
    leader.receive(2, report(leader))
    assert not leader.sent(CureTarget), "this round began before the announcement"
    leader.fire(Deadline.HEARTBEAT)
    end = leader.core.log.end.position
    leader.receive(2, report(leader, round_number=announced))
    assert not leader.sent(CureTarget)
    leader.receive(2, report(leader))
    assert leader.sent(CureTarget) == [CureTarget(leader.module.term, end)]
    leader.propose()
    leader.receive(2, report(leader))
    assert len(leader.sent(CureTarget)) == 1, "told again with each heartbeat only"
    leader.fire(Deadline.HEARTBEAT)
    assert leader.sent(CureTarget, 1) == [CureTarget(leader.module.term, end)] * 2
    leader.receive(1, report(leader))
    assert leader.leader.progress[Seat(1)].match == leader.core.log.end.position
    leader.fire(Deadline.HEARTBEAT)
    assert len(leader.sent(CureTarget)) == 2


def test_a_target_of_a_former_life_is_not_told_to_the_next() -> None:
    leader = leading(by_hand=True)
    leader.receive(1, report(leader, recovering=LOST))
    leader.fire(Deadline.HEARTBEAT)
    leader.receive(2, report(leader))
    assert leader.sent(CureTarget, 1)
    leader.link(1, life=2)
    leader.clear()
    leader.fire(Deadline.HEARTBEAT)
    assert not leader.sent(CureTarget)


def test_a_cure_reaches_to_the_end_of_the_log_whatever_is_committed() -> None:
    """What the lost member may have acknowledged can lie above all that this leader knows of."""
    leader = leading(by_hand=True)
    base = leader.leader.base
    leader.propose()
    leader.receive(1, report(leader, recovering=LOST, checked=base))
    leader.fire(Deadline.HEARTBEAT)
    leader.receive(2, report(leader, checked=base))
    end = leader.core.log.end.position
    assert leader.module.commit_position < end
    assert leader.sent(CureTarget, 1) == [CureTarget(leader.module.term, end)]


def test_what_a_member_reported_before_it_announced_its_loss_is_forgotten() -> None:
    leader = streaming()
    leader.receive(1, report(leader, recovering=LOST))
    assert leader.leader.progress[Seat(1)].match == 0


def test_a_reconnected_member_is_still_known_to_be_recovering() -> None:
    leader = streaming()
    leader.receive(1, report(leader, recovering=LOST))
    leader.unlink(1)
    leader.link(1)
    assert not leader.leader.may_succeed(Seat(1))


def test_a_member_whose_loss_was_accepted_counts_and_is_cured() -> None:
    accepted = LOST._replace(reason=RecoveringReason.LOSS_ACCEPTED)
    leader = leading()
    leader.receive(1, report(leader, recovering=accepted))
    assert leader.module.commit_position == leader.core.log.end.position
    leader.fire(Deadline.HEARTBEAT)
    leader.receive(2, report(leader))
    assert len(leader.sent(CureTarget, 1)) == 1


@pytest.mark.parametrize("who", ["own", "voter", "bystander"])
def test_a_term_after_an_accepted_loss_says_so(who: str) -> None:
    accepted = LOST._replace(reason=RecoveringReason.LOSS_ACCEPTED)
    state = node_state(0, recovering=accepted) if who == "own" else None
    leader = Driven(state=state)
    leader.link(1, 2)
    if who != "own":
        leader.receive(1 if who == "voter" else 2, hello(recovering=accepted))
    leader.be_elected(1)
    assert leader.leader.possible_loss == (who != "bystander")
    (frame,) = [f for sent in leader.of(AppendToLog) for f in sent.frames]
    assert decode_term(frame_body(frame)).possible_loss == (who != "bystander")
    assert ("possible_loss" in [alarm.name for alarm in leader.of(Alarm)]) == (who != "bystander")
    assert not leader.core.node_state.recovering.reason


# -- segments ---------------------------------------------------------------------------------


def test_no_frame_crosses_the_end_of_a_segment() -> None:
    leader = streaming(config=SMALL)
    positions = [leader.propose(900) for _ in range(9)]
    segments = {position // 4096 for position in positions}
    assert len(segments) > 1
    frames = leader.core.log.frames_from(leader.leader.base, 1 << 20)
    assert frames is not None
    for frame in frames:
        assert frame.position // 4096 == (frame.end - 1) // 4096
        assert CODEC.encode(*frame[:4], frame.frame_type, frame_body(frame), 0).chain or True
    padding = [frame for frame in frames if frame.frame_type is FrameType.PADDING]
    assert padding
    assert all(frame.end % 4096 == 0 for frame in padding)


def test_a_report_that_knows_of_no_round_takes_no_confirmation_back() -> None:
    leader = streaming()
    leader.fire(Deadline.HEARTBEAT)
    begun = leader.leader._round
    leader.accept(1)
    assert leader.leader.confirmed_round(begun)
    leader.receive(1, report(leader, round_number=0))
    assert leader.leader.confirmed_round(begun)
