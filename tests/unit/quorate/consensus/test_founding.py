"""The birth of a cluster: interrupted anywhere, repeated, refused, broken, discarded."""

from __future__ import annotations

import pytest

from quorate.consensus.core import Deadline
from quorate.consensus.effects import Effect, FoundingEnded, Halt, StoreNodeState
from quorate.consensus.messages import (
    AppendReport,
    CanvassAnswer,
    Founded,
    FoundingDiscard,
    FoundingFrame,
    FoundingStored,
    FoundRequest,
    Hello,
    Message,
    Refusal,
    Vote,
)
from quorate.consensus.types import (
    LOG_START,
    FoundingState,
    Member,
    PeerLife,
    Role,
    Seat,
    StartNonce,
)
from quorate_consensus.driven import Driven, append, hello, request_vote
from quorate_consensus.foundings import BLANK, blank, found, greeted
from quorate_consensus.logs import HandLog, founding_frame, member_id, members_of, node_state
from quorate_consensus.together import Together


def all_blank() -> Together:
    together = Together(*(blank(seat) for seat in range(3)))
    together.link(0, 1, 2)
    together.settle()
    return together


def with_two_frames() -> Together:
    """Return three members of which two hold founding frames that are not the same."""
    together = all_blank()
    other = founding_frame(tuple(Member(m.member_id, m.seat, "x") for m in members_of(3)))
    together.replace(blank(1, held=HandLog(3, (other,))))
    together.replace(blank(2, held=HandLog()))
    together.link(0, 1, 2)
    together.settle()
    return together


def states(together: Together) -> list[FoundingState]:
    return [together.members[seat].module.founding_state for seat in range(3)]


def restarted(member: Driven, nonce: int) -> Driven:
    """Return the next process on the directory of this one: what was durable is there."""
    durable = member.core.log.durable
    held = HandLog(frames=())
    if durable and member.core.log.founding is not None:
        held.frames.append(member.core.log.founding)
    stored = [e.state for e in member.of(StoreNodeState) if e.sequence <= member.core.persisted]
    again = Driven(held, member.seat, state=stored[-1] if stored else BLANK)
    again.life = PeerLife(Seat(member.seat), member.life.member_id, StartNonce(nonce))
    return again


ALL_FOUNDED = [FoundingState.FOUNDED] * 3
DISCARDED = "the unfinished founding was discarded"


def test_all_seats_found_and_then_elect() -> None:
    together = all_blank()
    assert found(together.members[0]) is None
    together.settle()
    assert states(together) == ALL_FOUNDED
    for member in together.members.values():
        assert member.core.log.end == HandLog().end
        assert member.of(FoundingEnded)[-1] == FoundingEnded(True, "founded")
    together.members[1].fire(Deadline.STAND)
    together.settle()
    assert [m.module.role for m in together.members.values()].count(Role.LEADER) == 1


def test_any_member_forwards_the_request() -> None:
    together = all_blank()
    assert found(together.members[2]) is None
    together.settle()
    assert states(together) == ALL_FOUNDED
    assert together.members[2].of(FoundingEnded)


def test_one_seat_founds_itself() -> None:
    alone = Driven(HandLog(frames=()), state=BLANK, seats=1)
    assert found(alone) is None
    alone.fire(Deadline.STAND)
    assert alone.has_role(Role.LEADER)


@pytest.mark.parametrize("kind", [FoundingFrame, FoundingStored, Founded, Hello])
@pytest.mark.parametrize("seat", [1, 2])
def test_a_message_lost_at_any_step_and_asked_again(kind: type[Message], seat: int) -> None:
    together = all_blank()
    together.lost = lambda a, b, message: isinstance(message, kind) and seat in {a, b}
    found(together.members[0])
    together.settle()
    together.lost = lambda _a, _b, _message: False
    together.link(0, 1, 2)
    together.settle()
    assert found(together.members[0]) is None
    together.settle()
    assert states(together) == ALL_FOUNDED


@pytest.mark.parametrize("asked", [0, 2])
def test_who_has_not_heard_that_the_cluster_is_founded_hears_it_when_it_is_asked_again(
    asked: int,
) -> None:
    together = all_blank()
    together.lost = lambda _a, b, message: b == 2 and isinstance(message, Founded | Hello)
    found(together.members[0])
    together.settle()
    assert states(together) == [*ALL_FOUNDED[:2], FoundingState.FOUNDING]
    together.lost = lambda _a, _b, _message: False
    assert found(together.members[asked]) is None
    together.settle()
    assert states(together) == ALL_FOUNDED


@pytest.mark.parametrize("steps", range(14))
@pytest.mark.parametrize("seat", [0, 1])
def test_a_process_killed_at_any_step_and_asked_again(steps: int, seat: int) -> None:
    together = all_blank()
    count = 0

    def lost(_sender: int, _receiver: int, _message: Message) -> bool:
        nonlocal count
        count += 1
        return count > steps

    together.lost = lost
    found(together.members[0])
    together.settle()
    together.lost = lambda _a, _b, _message: False
    together.replace(restarted(together.members[seat], 500 + steps))
    together.link(0, 1, 2)
    together.settle()
    found(together.members[0])
    together.settle()
    assert states(together) == ALL_FOUNDED
    assert {m.core.log.end for m in together.members.values()} == {HandLog().end}


@pytest.mark.parametrize("writes", range(3))
def test_the_maker_killed_between_its_own_writes(writes: int) -> None:
    together = all_blank()
    maker = together.members[0]
    maker.by_hand = True
    found(maker)
    together.settle()
    for _ in range(writes):
        maker.persist()
        together.settle()
    marked = maker.core.node_state.founded and maker.core.persisted == maker.sequence
    told = [m for m in together.members.values() if m.module.founding_state == 2 and m is not maker]
    assert not told or marked, "nobody is told before the mark is durable"
    together.replace(restarted(maker, 500))
    together.link(0, 1, 2)
    together.settle()
    found(together.members[0])
    together.settle()
    assert states(together) == ALL_FOUNDED


# -- refusals ---------------------------------------------------------------------------------


def test_every_seat_must_be_connected_and_alike() -> None:
    maker = blank(0)
    assert "seat 1 is not connected" in str(found(maker))
    maker.link(1, 2)
    assert "seat 1 is not connected" in str(found(maker))
    maker.receive(1, hello(FoundingState.BLANK))
    maker.receive(2, hello(FoundingState.BLANK, configuration_hash=b"?" * 16))
    assert "seat 2 has another configuration" in str(found(maker))
    maker.receive(2, hello(FoundingState.FOUNDED))
    assert "seat 2 belongs to a founded cluster" in str(found(maker))
    assert "seat 2 belongs to a founded cluster" in str(found(maker, discard=True))
    maker.receive(2, hello(FoundingState.BLANK))
    assert found(maker) is None


def test_a_refused_request_of_another_seat_is_left_in_the_log_of_the_maker() -> None:
    maker = blank(0)
    maker.link(1)
    maker.receive(1, FoundRequest(discard=False))
    assert maker.founding() is FoundingState.BLANK
    other = blank(1)
    assert "seat 0, which founds, is not connected" in str(found(other))
    other.link(2)
    other.receive(2, FoundRequest(discard=False))
    assert not other.sent(FoundingFrame)


@pytest.mark.parametrize("discard", [False, True])
def test_who_would_forward_a_request_in_vain_is_refused_at_once(*, discard: bool) -> None:
    """What the lowest seat would refuse comes back to nobody: the asker would wait out its time."""
    asker = greeted(2)
    asker.unlink(1)
    assert "seat 1 is not connected" in str(found(asker, discard=discard))
    asker.link(1)
    asker.receive(1, hello(FoundingState.BLANK, configuration_hash=b"?" * 16))
    assert "seat 1 has another configuration" in str(found(asker, discard=discard))
    asker.receive(1, hello(FoundingState.FOUNDED))
    assert "seat 1 belongs to a founded cluster" in str(found(asker, discard=discard))
    assert not asker.sent(FoundRequest)
    asker.receive(1, hello(FoundingState.BROKEN))
    assert ("founding-broken: seat 1" in str(found(asker, discard=discard))) != discard
    assert len(asker.sent(FoundRequest)) == discard


def test_who_forwarded_a_request_learns_that_it_broke_the_founding() -> None:
    together = with_two_frames()
    assert found(together.members[2]) is None
    together.settle()
    (ended,) = together.members[2].of(FoundingEnded)
    assert not ended.completed
    assert "seat 0" in ended.reason
    assert "--discard" in ended.reason
    assert not together.members[1].of(FoundingEnded)
    assert found(together.members[2], discard=True) is None
    together.settle()
    assert together.members[2].of(FoundingEnded)[1:] == [
        FoundingEnded(True, DISCARDED, discarded=True)
    ]


def test_a_founded_member_founds_nothing_and_discards_nothing() -> None:
    member = Driven()
    member.link(1)
    assert found(member) is None
    assert member.of(FoundingEnded) == [FoundingEnded(True, "the cluster is founded already")]
    assert "nothing is discarded" in str(found(member, discard=True))
    other = Driven(seat=1)
    other.link(0)
    other.clear()
    frame = founding_frame(members_of(4)[:2])
    other.receive(0, FoundingDiscard(0), FoundingFrame(frame), FoundRequest(discard=True))
    member.receive(1, FoundRequest(discard=True))
    assert other.core.log.end == member.core.log.end == HandLog().end
    assert not other.of(StoreNodeState)
    assert not other.sent(Founded), "only the lowest seat answers"
    assert member.sent(Founded, 1)


def test_a_blank_directory_that_a_cluster_does_not_know_is_lost() -> None:
    old, new = Driven(seat=1), blank(0, formatting=1)
    together = Together(old, new)
    together.link(0, 1)
    together.settle()
    assert old.sent(Hello)[-1].refusal is Refusal.VOLUME_LOST
    assert new.module.is_volume_lost
    assert not new.module.is_not_a_member
    assert "volume-lost" in str(found(new))
    new.link_to(PeerLife(Seat(1), member_id(1), StartNonce(77)))
    assert not new.module.is_volume_lost


def test_two_directories_that_do_not_know_each_other_do_not_quarrel_for_ever() -> None:
    """Both founded, both sure that the other one is wrong."""
    others = tuple(Member(member_id(seat, 1), Seat(seat), f"m{seat}") for seat in range(3))
    one = Driven(seat=0)
    other = Driven(HandLog(3, (founding_frame(others),)), 1, formatting=1)
    together = Together(one, other)
    together.link(0, 1)
    together.settle(10)
    assert one.module.is_not_a_member
    assert other.module.is_not_a_member


def test_two_unfinished_foundings_that_do_not_list_each_other_come_to_rest() -> None:
    others = tuple(Member(member_id(seat, 1), Seat(seat), f"m{seat}") for seat in range(3))
    one = blank(0, held=HandLog())
    other = blank(1, 1, held=HandLog(3, (founding_frame(others),)))
    together = Together(one, other)
    together.link(0, 1)
    together.settle(10)
    assert one.module.founding_state is other.founding() is FoundingState.BROKEN


# -- broken and discarded ---------------------------------------------------------------------


def interrupted() -> Together:
    """Seats 0 and 1 hold the frame; seat 2 has not got it."""
    together = all_blank()
    together.lost = lambda _a, b, message: isinstance(message, FoundingFrame) and b == 2
    found(together.members[0])
    together.settle()
    together.lost = lambda _a, _b, _message: False
    assert states(together) == [FoundingState.FOUNDING] * 2 + [FoundingState.BLANK]
    return together


def wipe(together: Together, seat: int) -> None:
    together.replace(blank(seat, formatting=1))
    together.link(0, 1, 2)
    together.settle()


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_a_seat_wiped_in_between_breaks_the_founding_until_it_is_discarded(seat: int) -> None:
    together = interrupted()
    wipe(together, seat)
    refusal = str(found(together.members[0]))
    together.settle()
    assert "founding-broken" in refusal
    reasons = [member.module.founding_broken for member in together.members.values()]
    assert any(f"seat {seat}" in reason for reason in reasons)
    assert FoundingState.BROKEN in states(together)
    assert FoundingState.FOUNDED not in states(together)
    assert "founding-broken" in str(found(together.members[0]))
    together.settle()
    assert found(together.members[0], discard=True) is None
    together.settle()
    assert states(together) == [FoundingState.BLANK] * 3
    assert found(together.members[0]) is None
    together.settle()
    assert states(together) == ALL_FOUNDED
    assert together.members[0].core.log.end != HandLog().end


def test_the_last_answer_does_not_found_a_broken_founding() -> None:
    maker = blank(0)
    maker.link(1, 2)
    maker.receive(1, hello(FoundingState.BLANK))
    maker.receive(2, hello(FoundingState.BLANK))
    found(maker)
    chain = HandLog().end.chain
    maker.receive(1, FoundingStored(chain))
    maker.link(1, formatting=1)
    maker.receive(1, hello(FoundingState.BLANK))
    assert maker.founding() is FoundingState.BROKEN
    assert "seat 1" in maker.module.founding_broken
    maker.receive(2, FoundingStored(chain))
    assert maker.founding() is FoundingState.BROKEN


def test_a_seat_that_says_it_is_broken_is_not_founded_with() -> None:
    maker = blank(0)
    maker.link(1, 2)
    maker.receive(1, hello(FoundingState.BLANK))
    maker.receive(2, hello(FoundingState.BROKEN))
    assert "seat 2 cannot go on" in str(found(maker))


def test_two_founding_frames_break_the_founding() -> None:
    together = with_two_frames()
    assert "two founding frames are held" in str(found(together.members[0]))
    assert found(together.members[1], discard=True) is None
    together.settle()
    assert states(together) == [FoundingState.BLANK] * 3
    assert together.members[1].of(FoundingEnded) == [FoundingEnded(True, DISCARDED, discarded=True)]
    assert not together.members[2].of(FoundingEnded)


def test_a_held_frame_is_repeated_not_replaced() -> None:
    named = founding_frame(tuple(Member(m.member_id, m.seat, "x") for m in members_of(3)))
    together = all_blank()
    together.replace(blank(2, held=HandLog(3, (named,))))
    together.link(0, 1, 2)
    together.settle()
    assert found(together.members[0]) is None
    together.settle()
    assert states(together) == ALL_FOUNDED
    assert {m.core.log.end.chain for m in together.members.values()} == {named.chain}


@pytest.mark.parametrize(("formatting", "seat"), [(1, 0), (0, 2)])
def test_a_held_frame_must_list_every_directory_that_is_present(formatting: int, seat: int) -> None:
    maker = blank(0, formatting)
    maker.link(1)
    maker.link(2, formatting=1 - formatting)
    maker.receive(1, hello(FoundingState.FOUNDING, frame=HandLog().frames[0]))
    maker.receive(2, hello(FoundingState.BLANK))
    assert f"does not list the directory of seat {seat}" in str(found(maker))
    assert maker.founding() is FoundingState.BROKEN
    assert not maker.sent(FoundingFrame)


@pytest.mark.parametrize("who", ["unlisted", "other frame"])
def test_a_member_refuses_a_frame_that_is_not_its_own(who: str) -> None:
    member = blank(1, formatting=1) if who == "unlisted" else blank(1, held=HandLog())
    member.link(0, 2)
    named = founding_frame(tuple(Member(m.member_id, m.seat, "x") for m in members_of(3)))
    held = member.core.log.end
    member.receive(2, FoundingFrame(named))
    assert member.founding() is not FoundingState.BROKEN
    member.receive(0, FoundingFrame(named))
    assert member.founding() is FoundingState.BROKEN
    assert member.core.log.end == held
    assert not member.sent(FoundingStored)
    member.receive(2, FoundingDiscard(held.chain))
    assert member.founding() is FoundingState.BROKEN
    member.receive(0, FoundingDiscard(held.chain))
    assert member.founding() is FoundingState.BLANK


# -- the mark ---------------------------------------------------------------------------------


def test_the_frame_is_reported_when_it_is_durable_and_never_before() -> None:
    member = blank(1, by_hand=True)
    member.link(0, 2)
    frame = HandLog().frames[0]
    member.receive(0, FoundingFrame(frame), FoundingFrame(frame))
    assert not member.sent(FoundingStored)
    member.persist()
    assert member.sent(FoundingStored, 0) == [FoundingStored(frame.chain)]
    assert member.hears_a_leader(), "there is no leader to miss before there is a cluster"


def holding(*, by_hand: bool = False) -> Driven:
    member = blank(1, held=HandLog(), by_hand=by_hand)
    member.link(0, 2)
    member.clear()
    return member


def chain() -> int:
    return HandLog().end.chain


@pytest.mark.parametrize(
    ("message", "marked"),
    [
        (Founded(HandLog().end.chain), True),
        (Founded(HandLog().end.chain ^ 1), False),
        (hello(FoundingState.FOUNDED, chain=HandLog().end.chain), True),
        (hello(FoundingState.FOUNDED, chain=1), False),
        (hello(FoundingState.FOUNDING, chain=HandLog().end.chain), False),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_the_mark_comes_from_a_listed_member_that_names_our_frame(
    message: Message, marked: bool, listed: bool
) -> None:
    member = holding()
    if not listed:
        member.link(2, formatting=1)
    member.receive(2, message)
    assert member.core.node_state.founded == (marked and listed)
    assert not member.of(Halt)


def test_a_blank_member_takes_no_mark_and_counts_no_answer() -> None:
    member = blank(0)
    member.link(1)
    member.receive(1, Founded(chain()), FoundingStored(chain()))
    assert not member.core.node_state.founded


def test_the_answer_of_a_directory_that_the_frame_does_not_list_does_not_count() -> None:
    together = all_blank()
    maker = together.members[0]
    together.lost = lambda _a, _b, message: isinstance(message, FoundingStored)
    found(maker)
    together.settle()
    frame = HandLog().frames[0]
    maker.link(1, formatting=1)
    maker.receive(1, FoundingStored(frame.chain))
    maker.receive(2, FoundingStored(frame.chain))
    assert maker.founding() is not FoundingState.FOUNDED


def test_answers_for_another_frame_do_not_count() -> None:
    together = interrupted()
    together.members[0].receive(2, FoundingStored(chain() ^ 1))
    assert FoundingState.FOUNDED not in states(together)


def told_by(member: Driven) -> list[Effect]:
    return [m for kind in (Vote, CanvassAnswer, AppendReport) for m in member.sent(kind)]  # type: ignore[misc]


def test_without_the_mark_a_member_takes_no_part() -> None:
    member = holding()
    end = member.core.log.end
    member.receive(2, append(1, end), request_vote(1, end))
    assert not member.effects
    assert not member.module.deadlines()
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert not told_by(member)
    assert not member.of(StoreNodeState)


def test_a_new_mark_is_told_and_acted_upon_when_durable() -> None:
    member = holding(by_hand=True)
    member.receive(0, Founded(chain()), Founded(chain()))
    assert len(member.of(StoreNodeState)) == 1
    assert not member.sent(Founded)
    assert not member.module.deadlines()
    member.persist()
    assert member.sent(Founded, 2) == [Founded(chain())]
    assert [told.founding for told in member.sent(Hello, 2)] == [FoundingState.FOUNDED]
    assert Deadline.STAND in member.module.deadlines()


def test_a_leader_heard_while_the_mark_is_written_stays_heard() -> None:
    member = holding(by_hand=True)
    member.receive(0, Founded(chain()))
    member.receive(2, append(1, member.core.log.end))
    member.persist()
    assert member.module.leader == 2
    assert member.hears_a_leader()


def test_a_marked_member_is_never_blank_again() -> None:
    lost = Driven(HandLog(frames=()), state=node_state(1))
    assert lost.founding() is FoundingState.FOUNDED
    lost.link(1)
    lost.fire(Deadline.ELECTION)
    lost.fire(Deadline.STAND)
    assert lost.core.log.end == LOG_START
    lost.receive(1, request_vote(5, HandLog().end))
    assert not told_by(lost)


def test_the_founded_stand_at_random_moments() -> None:
    """All learn it at once, and would else split the first ballot."""
    member = Driven(HandLog(), 1, state=BLANK, random=lambda _low, high: high)
    member.link(0, 2)
    member.receive(0, Founded(chain()))
    wait = member.module.deadlines()[Deadline.STAND] - member.now.loop
    assert wait >= member.core.config.canvass_jitter_ns


def test_a_discarded_founding_has_to_be_asked_for_again() -> None:
    together = all_blank()
    maker = together.members[0]
    together.lost = lambda _a, _b, message: isinstance(message, FoundingStored)
    found(maker)
    together.settle()
    assert found(maker, discard=True) is None
    together.settle()
    together.lost = lambda _a, _b, _message: False
    restored = HandLog().frames[0]
    maker.core.append((restored,))
    maker.drain()
    maker.receive(1, FoundingStored(restored.chain))
    maker.receive(2, FoundingStored(restored.chain))
    assert maker.founding() is FoundingState.FOUNDING


@pytest.mark.parametrize("shown", ["never", "before", "after"])
def test_what_was_said_of_a_discarded_founding_does_not_count_for_the_next(shown: str) -> None:
    """The same directories, the same settings: only the attempt tells the two frames apart."""
    draws = iter(range(1, 10))
    maker = Driven(HandLog(frames=()), 0, state=BLANK, random=lambda _low, _high: next(draws))
    maker.link(1, 2)
    maker.receive(1, hello(FoundingState.BLANK))
    maker.receive(2, hello(FoundingState.BLANK))
    assert found(maker) is None
    first = maker.sent(FoundingFrame)[-1].frame
    if shown == "before":
        maker.receive(1, hello(FoundingState.FOUNDING, frame=first))
    assert found(maker, discard=True) is None
    if shown == "after":
        maker.receive(1, hello(FoundingState.FOUNDING, frame=first))
    maker.clear()
    assert found(maker) is None
    second = maker.sent(FoundingFrame)[-1].frame
    assert first.chain != second.chain
    assert bool(maker.sent(FoundingDiscard, 1)) == (shown != "never"), "dropped before it is told"
    for seat in (1, 2):
        maker.receive(seat, FoundingStored(first.chain))
    assert maker.founding() is FoundingState.FOUNDING
    for seat in (1, 2):
        maker.receive(seat, FoundingStored(second.chain))
    assert maker.founding() is FoundingState.FOUNDED
