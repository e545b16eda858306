"""Nothing that depends on a write leaves before it is durable."""

from __future__ import annotations

import pytest

from quorate.consensus.effects import Alarm, CommitTo, RoleChanged, Send, StoreNodeState
from quorate.consensus.messages import AppendReport, CanvassAnswer, Hello, RequestVote, Vote
from quorate.consensus.types import (
    NO_MEMBER,
    FoundingState,
    FrameType,
    LeadershipTermId,
    LogMark,
    LogPosition,
    Role,
    Seat,
)
from quorate_consensus.driven import Driven, append, hello, request_vote, vote
from quorate_consensus.logs import HandLog, member_id, node_state


def by_hand() -> Driven:
    member = Driven(by_hand=True)
    member.link(1, 2)
    member.clear()
    return member


def test_a_granted_vote_leaves_when_it_and_the_log_before_it_are_durable() -> None:
    log = HandLog()
    log.begin_term(1)
    member = by_hand()
    member.receive(1, append(1, log.mark(1), log.frames[1:]))
    member.core.leader_unheard = True
    member.receive(2, request_vote(2, log.end))
    stored = [effect.state for effect in member.of(StoreNodeState)]
    assert (stored[-1].candidate_term_id, stored[-1].vote) == (2, member_id(2))
    for sequence in range(1, member.sequence):
        member.persist(sequence)
        assert not member.sent(Vote)
    member.persist()
    member.persist()
    assert [vote.granted for vote in member.sent(Vote, 2)] == [True]


def test_each_write_makes_durable_just_what_it_holds() -> None:
    log = HandLog()
    frames = [log.begin_term(1), *(log.add(1) for _ in range(3))]
    member = by_hand()
    durable = []
    for index, frame in enumerate(frames):
        member.receive(1, append(1, log.mark(index + 1), [frame]))
        durable.append((member.sequence, frame.end))
    member.clear()
    for sequence, end in durable:
        member.persist(sequence)
        assert member.core.log.durable == end
        assert member.sent(AppendReport)[-1].durable == end


def test_a_candidacy_leaves_when_our_vote_for_it_is_durable() -> None:
    member = by_hand()
    asked = member.canvass()
    for seat in (1, 2):
        answer = CanvassAnswer(
            asked.leadership_term_id,
            asked.round,
            granted=True,
            end=asked.end,
            recovering=member.core.node_state.recovering,
            wall=0,
        )
        member.receive(seat, answer)
    assert member.has_role(Role.CANDIDATE)
    assert not member.sent(RequestVote)
    member.receive(1, vote(member.module.term))
    assert member.has_role(Role.CANDIDATE), "our own vote does not count yet"
    member.persist()
    assert len(member.sent(RequestVote)) == 2
    assert member.has_role(Role.LEADER)


def test_what_waits_for_a_write_is_not_told_to_a_later_life() -> None:
    member = by_hand()
    member.receive(1, append(5))
    member.link(1, life=2)
    member.persist()
    told = [effect.message for effect in member.of(Send) if effect.seat == 1]
    assert [type(message) for message in told] == [Hello]


def test_nothing_is_sent_without_a_link() -> None:
    member = Driven()
    member.core.send(Seat(1), hello())
    member.core.send_durable(Seat(1), hello())
    member.drain()
    assert not member.of(Send)


def test_a_completion_out_of_order_is_a_broken_invariant() -> None:
    member = by_hand()
    member.receive(1, append(5))
    with pytest.raises(AssertionError):
        member.persist(member.sequence + 1)
    member.persist()
    with pytest.raises(AssertionError):
        member.persist(member.sequence - 1)


def test_a_term_is_never_adopted_twice_or_by_a_leader() -> None:
    member = Driven()
    with pytest.raises(AssertionError):
        member.core.adopt_term(LeadershipTermId(0))
    member.be_elected(1)
    with pytest.raises(AssertionError, match="leaves office first"):
        member.core.adopt_term(LeadershipTermId(9))


def test_a_new_term_forgets_the_vote() -> None:
    member = Driven(state=node_state(3, member_id(2)))
    member.core.adopt_term(LeadershipTermId(4))
    assert member.core.node_state.vote == NO_MEMBER


def test_a_frame_of_a_term_above_ours_is_a_broken_invariant() -> None:
    log = HandLog()
    member = Driven()
    with pytest.raises(AssertionError):
        member.core.append((log.begin_term(2),))


def test_a_log_beyond_its_term_is_a_broken_invariant() -> None:
    log = HandLog()
    log.begin_term(2)
    with pytest.raises(AssertionError):
        Driven(log, state=node_state(1))


def test_a_commit_beyond_the_log_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError):
        Driven().core.commit(LogPosition(1 << 20))


def test_commit_never_falls() -> None:
    member = Driven()
    end = member.core.log.end.position
    member.core.commit(end)
    member.core.commit(LogPosition(0))
    assert member.module.commit_position == end


def test_an_alarm_is_told_once_and_taken_back_once() -> None:
    member = Driven()
    member.core.alarm("name", "first")
    member.core.alarm("name", "first")
    member.core.alarm("name", "second")
    member.core.end_alarm("name")
    member.core.end_alarm("name")
    member.core.alarm("name", "second")
    assert member.core.effects == [
        Alarm("name", "first"),
        Alarm("name", "second"),
        Alarm("name", "", raised=False),
        Alarm("name", "second"),
    ]


def test_a_role_is_told_when_it_is_news() -> None:
    member = Driven()
    member.core.set_role(Role.FOLLOWER, Seat(1), "one")
    member.core.set_role(Role.FOLLOWER, Seat(1), "two")
    member.drain()
    assert [told.reason for told in member.of(RoleChanged)] == ["one"]
    member.core.adopt_term(LeadershipTermId(1))
    member.core.adopt_term(LeadershipTermId(2))
    member.drain()
    terms = [told.leadership_term_id for told in member.of(RoleChanged)]
    assert terms == [0, 1, 2], "each term is news, whoever leads in it"


def test_a_commit_is_news_until_it_is_told_though_nothing_else_is_asked() -> None:
    """By a report or a sync alone: nobody else would make the member look."""
    member = Driven()
    member.drain()
    member.clear()
    assert not member.core.has_news
    member.core.commit(member.core.log.end.position)
    assert not member.core.effects
    assert member.core.has_news
    member.drain()
    assert [told.position for told in member.of(CommitTo)] == [member.core.log.end.position]
    assert not member.core.has_news


def test_what_a_member_says_of_itself() -> None:
    blank = Driven(HandLog(frames=()), state=node_state(founded=False))
    assert blank.core.hello().founding is FoundingState.BLANK
    assert blank.core.hello().founding_chain == 0
    held = HandLog()
    founding = Driven(held, state=node_state(founded=False)).core.hello()
    assert founding.founding is FoundingState.FOUNDING
    assert (founding.founding_frame, founding.founding_chain) == (held.frames[0], held.end.chain)
    founded = Driven(held).core.hello()
    assert founded.founding is FoundingState.FOUNDED
    assert (founded.founding_frame, founded.founding_chain) == (None, held.end.chain)


def test_a_learner_or_a_stranger_is_no_voter() -> None:
    assert Driven().core.is_voter
    assert not Driven(formatting=1).core.is_voter
    assert not Driven(state=node_state(founded=False)).core.is_voter
    assert Driven().core.member_id_of(Seat(8)) == NO_MEMBER


def test_padding_fills_a_segment_to_its_end() -> None:
    member = Driven(state=node_state(1))
    length = member.core.config.segment_length
    log = member.core.log
    at = LogPosition(length - 128)
    log.end = LogMark(at, LeadershipTermId(1), log.end.chain)
    (fits,) = member.core.make_frame(FrameType.EMPTY, 5, bytes(64))
    assert fits.end == length
    padding, frame = member.core.make_frame(FrameType.ENTRIES, 5, bytes(65))
    assert (padding.frame_type, padding.position, padding.end) == (FrameType.PADDING, at, length)
    assert (frame.position, frame.previous_chain) == (length, padding.chain)
    log.last_timestamp = 99
    assert {made.timestamp for made in member.core.make_frame(FrameType.EMPTY, 5)} == {99}
