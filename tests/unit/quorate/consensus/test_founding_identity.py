"""Whose founding it is: which directory, which frame, which attempt, and which configuration."""

from __future__ import annotations

import pytest

from quorate.consensus.effects import FoundingEnded, StoreNodeState
from quorate.consensus.messages import (
    Founded,
    FoundingDiscard,
    FoundingFrame,
    FoundingStored,
    FoundRequest,
    Hello,
    Refusal,
)
from quorate.consensus.types import (
    LOG_START,
    NO_MEMBERSHIP,
    FoundingState,
    LogFrame,
    Member,
    MemberId,
    PeerLife,
    Seat,
    StartNonce,
)
from quorate_consensus.driven import CONFIGURATION_HASH, Driven, hello, report
from quorate_consensus.foundings import blank, found, greeted
from quorate_consensus.leaders import streaming
from quorate_consensus.logs import HandLog, founding_frame, member_id, members_of
from quorate_consensus.together import Together


def renamed() -> LogFrame:
    """Return a frame that lists the same directories under another name."""
    return founding_frame(tuple(Member(m.member_id, m.seat, "x") for m in members_of(3)))


def swapped(a: int, b: int) -> LogFrame:
    """Return a frame that lists all directories, two of them in each other's seat."""
    seats = {a: b, b: a}
    return founding_frame(
        tuple(Member(member_id(seats.get(seat, seat)), Seat(seat), f"m{seat}") for seat in range(3))
    )


def altered(value: bytes, index: int) -> bytes:
    return value[:index] + bytes([value[index] ^ 1]) + value[index + 1 :]


# -- directories and configurations -----------------------------------------------------------


@pytest.mark.parametrize("index", range(16))
def test_every_byte_of_the_configuration_counts(index: int) -> None:
    maker = greeted()
    other = altered(CONFIGURATION_HASH, index)
    maker.receive(2, hello(FoundingState.BLANK, configuration_hash=other))
    assert "seat 2 has another configuration" in str(found(maker))
    assert maker.core.log.end == LOG_START


@pytest.mark.parametrize("index", range(16))
def test_every_byte_of_a_members_id_counts(index: int) -> None:
    leader = streaming()
    like = PeerLife(Seat(1), MemberId(altered(member_id(1), index)), StartNonce(7))
    leader.link_to(like)
    assert not leader.core.knows(like)
    term = leader.module.term
    leader.receive(1, report(leader, term=term + 1))
    assert leader.module.term == term


def test_a_directory_counts_in_its_own_seat_only() -> None:
    maker = greeted()
    assert found(maker) is None
    frame = maker.sent(FoundingFrame)[0].frame
    maker.receive(1, FoundingStored(frame.chain))
    maker.link_to(PeerLife(Seat(2), member_id(1), StartNonce(7)))
    maker.receive(2, FoundingStored(frame.chain))
    assert maker.founding() is FoundingState.FOUNDING


def test_a_frame_that_lists_us_in_another_seat_is_not_ours() -> None:
    member = greeted(1)
    member.receive(0, FoundingFrame(swapped(1, 2)))
    assert member.founding() is FoundingState.BROKEN
    assert member.core.log.end == LOG_START
    assert not member.sent(FoundingStored)
    told = [(seat, greeting.founding) for seat in (0, 2) for greeting in member.sent(Hello, seat)]
    assert told == [(0, FoundingState.BROKEN), (2, FoundingState.BROKEN)]


def test_a_held_frame_that_lists_others_in_each_others_seat_is_not_taken_up() -> None:
    maker = greeted()
    maker.receive(1, hello(FoundingState.FOUNDING, frame=swapped(1, 2)))
    assert "does not list the directory of seat 1" in str(found(maker))
    assert not maker.sent(FoundingFrame)


def test_a_founded_stranger_breaks_nothing() -> None:
    """It carries the mark of a cluster, and refuses us; our frame may still be right."""
    member = blank(1, held=HandLog())
    member.link(0)
    member.link(2, formatting=1)
    member.receive(2, hello(FoundingState.FOUNDED, chain=1))
    assert member.founding() is FoundingState.FOUNDING


@pytest.mark.parametrize("state", [s for s in FoundingState if s is not FoundingState.BLANK])
def test_only_a_blank_stranger_is_told_that_its_volume_is_lost(state: FoundingState) -> None:
    member = Driven()
    member.link(1, formatting=1)
    member.receive(1, hello(state))
    assert member.sent(Hello, 1)[-1].refusal is Refusal.NOT_A_MEMBER
    member.receive(1, hello(FoundingState.BLANK))
    assert member.sent(Hello, 1)[-1].refusal is Refusal.VOLUME_LOST


# -- who may ask, and when --------------------------------------------------------------------


def test_what_a_seat_said_before_its_link_broke_is_no_presence() -> None:
    maker = greeted()
    maker.unlink(1)
    assert "seat 1 is not connected" in str(found(maker))
    assert "seat 1 is not connected" in str(found(maker, discard=True))
    assert maker.core.log.end == LOG_START


@pytest.mark.parametrize("discard", [False, True])
def test_only_the_lowest_seat_acts_on_a_request(discard: bool) -> None:
    held = HandLog() if discard else None
    other = greeted(1, held=held)
    before = other.core.log.end
    other.receive(2, FoundRequest(discard=discard))
    assert not other.effects
    assert other.core.log.end == before


def test_a_founding_once_broken_is_refused_until_it_is_discarded() -> None:
    maker = greeted()
    assert found(maker) is None
    maker.link(1, formatting=1)
    maker.receive(1, hello(FoundingState.BLANK))
    maker.link(1, life=2)
    maker.receive(1, hello(FoundingState.BLANK))
    maker.clear()
    assert "founding-broken" in str(found(maker))
    assert not maker.sent(FoundingFrame)


def test_the_latest_reason_of_a_broken_founding_is_told() -> None:
    held = blank(1, held=HandLog())
    held.link(0, 2)
    held.receive(0, FoundingFrame(renamed()))
    assert "two founding frames" in held.module.founding_broken
    held.link(2, formatting=1)
    held.receive(2, hello(FoundingState.BLANK))
    assert "seat 2" in held.module.founding_broken


def test_a_frame_of_our_own_does_not_hide_that_another_holds_another() -> None:
    maker = greeted(held=HandLog())
    maker.receive(1, hello(FoundingState.FOUNDING, frame=renamed()))
    maker.clear()
    assert "two founding frames are held" in str(found(maker))
    assert not maker.sent(FoundingFrame)


# -- discarded --------------------------------------------------------------------------------


def test_a_discarded_frame_of_another_seat_is_not_taken_up_again() -> None:
    maker = greeted()
    maker.receive(1, hello(FoundingState.FOUNDING, frame=HandLog().frames[0]))
    assert found(maker, discard=True) is None
    maker.receive(1, hello(FoundingState.FOUNDING, frame=renamed()))
    maker.clear()
    assert found(maker, discard=True) is None
    maker.receive(1, hello(FoundingState.FOUNDING, frame=HandLog().frames[0]))
    maker.clear()
    assert found(maker) is None
    frames = {message.frame.chain for message in maker.sent(FoundingFrame)}
    assert len(frames) == 1
    assert not frames & {HandLog().end.chain, renamed().chain}
    assert maker.sent(FoundingDiscard, 1), "dropped before the new one is told"


@pytest.mark.parametrize("discarded", ["none", "first"])
def test_a_discard_that_comes_late_or_again_ends_no_later_founding(discarded: str) -> None:
    """The seat may have been counted since: a cluster whose frame it drops is short of it."""
    first, second = HandLog().frames[0], renamed()
    member = blank(1)
    member.link(0, 2)
    member.receive(0, FoundingFrame(first), FoundingDiscard(first.chain))
    assert member.founding() is FoundingState.BLANK
    member.receive(0, FoundingFrame(second))
    assert member.sent(FoundingStored)[-1] == FoundingStored(second.chain)
    member.receive(0, FoundingDiscard(first.chain if discarded == "first" else 0))
    assert member.core.log.founding == second
    member.receive(0, Founded(second.chain))
    assert member.founding() is FoundingState.FOUNDED


def test_a_discard_names_what_a_seat_has_shown_and_what_it_was_sent_since() -> None:
    maker = greeted()
    maker.receive(1, hello(FoundingState.FOUNDING, frame=HandLog().frames[0]))
    assert found(maker, discard=True) is None
    assert found(maker) is None
    made = maker.sent(FoundingFrame)[-1].frame
    maker.clear()
    assert found(maker, discard=True) is None
    assert {told.chain for told in maker.sent(FoundingDiscard, 1)} == {
        HandLog().end.chain,
        made.chain,
    }
    assert {told.chain for told in maker.sent(FoundingDiscard, 2)} == {0, made.chain}


def test_a_discard_asked_for_again_makes_good_what_was_not_heard_of_the_first() -> None:
    held = HandLog()
    together = Together(blank(0, formatting=1), blank(1, held=held), blank(2, held=held))
    together.link(0, 1, 2)
    together.settle()
    maker = together.members[0]
    assert found(maker) is not None, "what the others hold does not list this directory"
    together.lost = lambda a, _b, message: a != 0 and isinstance(message, Hello)
    assert found(maker, discard=True) is None
    together.settle()
    assert found(maker) is not None, "of the discard nobody has said anything"
    together.lost = lambda _a, _b, _message: False
    assert found(maker, discard=True) is None
    together.settle()
    assert found(maker) is None
    together.settle()
    assert all(m.founding() is FoundingState.FOUNDED for m in together.members.values())


def test_who_held_the_discarded_frame_is_not_counted_for_the_next() -> None:
    maker = greeted()
    assert found(maker) is None
    maker.receive(1, FoundingStored(maker.sent(FoundingFrame)[-1].frame.chain))
    assert found(maker, discard=True) is None
    assert found(maker) is None
    second = maker.sent(FoundingFrame)[-1].frame.chain
    maker.receive(2, FoundingStored(second))
    assert maker.founding() is FoundingState.FOUNDING
    maker.receive(1, FoundingStored(second))
    assert maker.founding() is FoundingState.FOUNDED


def test_a_discarded_founding_leaves_no_membership_behind() -> None:
    maker = greeted()
    assert found(maker) is None
    assert maker.module.seat_in_log == 0
    assert found(maker, discard=True) is None
    assert maker.module.membership == NO_MEMBERSHIP
    assert maker.module.seat_in_log is None


def test_a_founded_member_cannot_be_broken() -> None:
    other = Driven(seat=1)
    other.link(0, 2)
    other.receive(0, FoundingFrame(renamed()))
    assert not other.module.founding_broken


# -- the mark ---------------------------------------------------------------------------------


def marking() -> tuple[Driven, LogFrame]:
    """Return a maker whose founding all hold, and whose mark is being written."""
    maker = greeted()
    assert found(maker) is None
    frame = maker.sent(FoundingFrame)[0].frame
    maker.by_hand = True
    maker.receive(1, FoundingStored(frame.chain))
    maker.receive(2, FoundingStored(frame.chain))
    assert len(maker.of(StoreNodeState)) == 1
    assert not maker.sent(Founded)
    return maker, frame


def test_a_founding_whose_mark_is_being_written_is_not_discarded() -> None:
    maker, frame = marking()
    assert "nothing is discarded" in str(found(maker, discard=True))
    assert maker.core.log.founding == frame
    maker.persist()
    assert maker.sent(Founded, 1) == [Founded(frame.chain)]


def test_a_founding_ends_once() -> None:
    maker, _ = marking()
    maker.persist()
    maker.persist()
    assert maker.of(FoundingEnded) == [FoundingEnded(True, "founded")]
    assert len(maker.sent(Founded, 1)) == 1


def test_a_mark_that_is_being_written_is_not_told_on_a_new_link() -> None:
    maker, _ = marking()
    maker.clear()
    maker.link(1, life=2)
    assert not maker.sent(Hello)
    maker.persist()
    assert {told.founding for told in maker.sent(Hello, 1)} == {FoundingState.FOUNDED}


def test_an_earlier_write_is_not_the_mark() -> None:
    member = blank(1, by_hand=True)
    member.link(0, 2)
    frame = HandLog().frames[0]
    member.receive(0, FoundingFrame(frame))
    written = member.sequence
    member.receive(0, Founded(frame.chain))
    assert member.sequence > written
    member.persist(written)
    assert not member.sent(Founded)
    assert not member.of(FoundingEnded)
    member.persist()
    assert member.sent(Founded, 2) == [Founded(frame.chain)]


def test_the_mark_ends_a_broken_founding() -> None:
    member = blank(1, held=HandLog())
    member.link(0, 2)
    member.receive(0, FoundingFrame(renamed()))
    assert member.module.founding_broken
    member.receive(2, Founded(HandLog().end.chain))
    assert member.founding() is FoundingState.FOUNDED
    assert not member.module.founding_broken
