"""Elections in which somebody may have lost what it acknowledged."""

from __future__ import annotations

import pytest

from quorate.consensus.core import Deadline
from quorate.consensus.effects import Alarm, StoreNodeState
from quorate.consensus.election import ElectionState
from quorate.consensus.messages import (
    Canvass,
    Vote,
)
from quorate.consensus.types import (
    NOT_RECOVERING,
    FoundingState,
    RecoveringReason,
    Role,
)
from quorate_consensus.driven import (
    Driven,
    append,
    canvass_answer,
    hello,
    report,
    request_vote,
    vote,
)
from quorate_consensus.elections import (
    LOST,
    REPLICATED,
    always_armed,
    answers,
    canvass_of,
    granted,
    linked,
    state_of,
)
from quorate_consensus.logs import member_id, node_state


def test_who_lost_something_neither_votes_nor_stands_and_says_for_whom_it_waits() -> None:
    member = Driven(state=node_state(1, recovering=LOST))
    member.link(2)
    member.fire(Deadline.ELECTION)
    member.receive(2, canvass_of(1, member.core.log.end), request_vote(2, member.core.log.end))
    assert not any(answers(member))
    member.fire(Deadline.STAND)
    assert not member.sent(Canvass)
    (alarm,) = member.of(Alarm)
    assert alarm.name == "waiting_for_quorum"
    assert "seats [1] to connect" in alarm.detail
    member.link(1)
    member.fire(Deadline.STAND)
    assert "a sound leader" in member.of(Alarm)[-1].detail
    member.receive(1, append(2))
    assert not member.of(Alarm)[-1].raised
    always_armed(member)


def test_a_sound_voter_says_who_keeps_everybody_from_being_elected() -> None:
    member = linked()
    member.receive(1, hello(recovering=LOST))
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert not member.of(Alarm), "two of three are sound"
    member.receive(2, hello(recovering=LOST))
    member.fire(Deadline.STAND)
    assert member.of(Alarm)[-1].detail.startswith("too few sound voters: seats [1, 2] recover; ")
    member.unlink(1)
    member.fire(Deadline.STAND)
    said = "too few sound voters: seats [2] recover and seats [1] are not connected; "
    assert member.of(Alarm)[-1].detail.startswith(said)
    assert "quorate recover --accept-loss" in member.of(Alarm)[-1].detail
    assert all(alarm.name == "waiting_for_quorum" for alarm in member.of(Alarm))
    member.unlink(2)
    member.fire(Deadline.STAND)
    assert not member.of(Alarm)[-1].raised, "who is not there may be sound"
    member.clear()
    member.link(1, 2)
    member.receive(1, hello(recovering=LOST._replace(reason=RecoveringReason.LOSS_ACCEPTED)))
    member.receive(2, hello(recovering=LOST))
    member.fire(Deadline.STAND)
    assert not member.of(Alarm), "an accepted loss has a vote"
    assert member.sent(Canvass)


def test_where_all_may_vote_together_nobody_is_waited_for() -> None:
    member = unanimous(own=False, others=(1, 2))
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert not member.of(Alarm)
    member.unlink(1)
    member.fire(Deadline.STAND)
    assert "seats [2] recover and seats [1] are not connected" in member.of(Alarm)[-1].detail
    member.receive(2, append(2))
    assert not member.of(Alarm)[-1].raised


def unanimous(*, own: bool = True, others: tuple[int, ...] = (1,)) -> Driven:
    state = node_state(1, recovering=LOST) if own else node_state(1)
    member = linked(config=REPLICATED, state=state)
    for seat in (1, 2):
        lost = LOST if seat in others else node_state().recovering
        member.receive(seat, hello(recovering=lost))
    member.clear()
    return member


def test_with_every_voter_present_and_too_few_sound_all_must_vote() -> None:
    member = unanimous()
    asked = member.nominate(1, 2)
    assert asked.unanimous
    member.receive(1, vote(2, unanimous=True))
    assert member.has_role(Role.CANDIDATE)
    member.receive(2, vote(2))
    assert member.has_role(Role.LEADER)
    assert member.leader.possible_loss
    assert not member.module.is_recovering
    assert member.module.commit_position == 0
    member.accept(2)
    assert member.module.commit_position == member.core.log.end.position


def test_the_winners_own_disk_counts_only_when_its_term_frame_is_durable() -> None:
    member = unanimous()
    member.nominate(1, 2)
    member.receive(1, vote(2, unanimous=True))
    member.by_hand = True
    member.receive(2, vote(2))
    member.receive(2, report(member))
    member.persist(member.core.persisted)  # Nothing new is durable.
    assert member.core.node_state.recovering == LOST
    assert member.module.commit_position == 0
    member.persist()
    assert member.core.node_state.recovering == NOT_RECOVERING
    assert member.module.commit_position == member.core.log.end.position


def test_one_refusal_ends_a_unanimous_ballot() -> None:
    member = unanimous()
    asked = member.canvass()
    member.receive(2, canvass_answer(asked, term=1, granted=False))
    assert state_of(member) is ElectionState.WAITING


@pytest.mark.parametrize(
    "case", ["sound quorum", "fsync", "unlinked", "no greeting", "stranger", "sound"]
)
def test_no_unanimous_ballot(case: str) -> None:
    member = unanimous(own=case != "sound quorum", others=() if case == "sound" else (1,))
    if case == "fsync":
        member = linked(state=node_state(1, recovering=LOST))
        member.receive(1, hello(recovering=LOST))
        member.receive(2, hello(recovering=LOST))
    if case == "unlinked":
        member.unlink(2)
    if case == "no greeting":
        member.link(2, life=2)
    if case == "stranger":
        member.link(2, formatting=1)
        member.receive(2, hello(FoundingState.BLANK))
    member.clear()
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert not any(asked.unanimous for asked in member.sent(Canvass))


def test_a_cured_member_is_not_counted_among_the_lost_any_more() -> None:
    """Else three sound members would vote as if all had lost something."""
    member = unanimous(own=False, others=(1, 2))
    member.receive(1, hello())
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert not member.sent(Canvass)[0].unanimous


def test_a_member_whose_loss_was_accepted_is_sound() -> None:
    member = unanimous()
    accepted = LOST._replace(reason=RecoveringReason.LOSS_ACCEPTED)
    member.receive(1, hello(recovering=accepted))
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert not member.sent(Canvass), "two sound ones are a quorum: the lost one waits for them"


def test_who_lost_something_votes_once_a_term_in_a_unanimous_ballot_only() -> None:
    member = linked(config=REPLICATED, state=node_state(1, recovering=LOST))
    member.fire(Deadline.ELECTION)
    end = member.core.log.end
    member.receive(1, canvass_of(1, end, unanimous=True))
    assert granted(member)
    member.receive(1, request_vote(2, end, unanimous=True))
    member.receive(2, request_vote(2, end, unanimous=True))
    told = member.sent(Vote)
    assert [(answer.granted, answer.unanimous) for answer in told] == [
        (True, True),
        (False, True),
    ]
    assert member.of(StoreNodeState)[-1].state.vote == member_id(1)


def test_the_vote_of_the_lost_does_not_count_in_an_ordinary_ballot() -> None:
    member = linked()
    member.nominate(1)
    member.receive(1, vote(1, unanimous=True))
    assert member.has_role(Role.CANDIDATE)


def test_a_member_alone_that_lost_its_tail_goes_on_and_says_so() -> None:
    member = Driven(seats=1, config=REPLICATED, state=node_state(1, recovering=LOST))
    member.fire(Deadline.STAND)
    assert member.has_role(Role.LEADER)
    assert member.leader.possible_loss


def test_a_directory_that_is_no_voter_never_stands() -> None:
    member = linked(formatting=1)
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert state_of(member) is ElectionState.IDLE
    assert not member.sent(Canvass)
