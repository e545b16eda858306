"""How long a member waits before it stands, and that it never waits for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import Trace
from quorate.consensus.election import ElectionState
from quorate.consensus.messages import (
    Canvass,
    CanvassAnswer,
    Message,
    RequestVote,
    StandNow,
    TransferToken,
    Vote,
)
from quorate.consensus.types import (
    NOT_RECOVERING,
    ROOM_UNBOUNDED,
    LeadershipTermId,
    LogMark,
    LogPosition,
    Role,
)
from quorate_consensus.driven import WALL, Driven, append, canvass_answer, hello, request_vote
from quorate_consensus.elections import (
    LOST,
    REPLICATED,
    canvass_of,
    heard,
    linked,
    state_of,
    wait_left,
)
from quorate_consensus.logs import HandLog, node_state

RANK_MS = ConsensusConfig().canvass_rank_ns / 1_000_000


def shows_in_a_canvass(end: LogMark) -> Message:
    return canvass_of(0, end)


def shows_in_an_answer(end: LogMark) -> Message:
    return CanvassAnswer(LeadershipTermId(0), 9, False, end, NOT_RECOVERING, WALL)


def shows_in_a_request(end: LogMark) -> Message:
    return request_vote(0, end)


def shows_in_a_vote(end: LogMark) -> Message:
    return Vote(LeadershipTermId(0), False, False, end, WALL)


def shows_in_a_greeting(end: LogMark) -> Message:
    return hello(end=end)


@pytest.mark.parametrize(
    "shown",
    [
        shows_in_a_canvass,
        shows_in_an_answer,
        shows_in_a_request,
        shows_in_a_vote,
        shows_in_a_greeting,
    ],
)
def test_whoever_has_shown_a_better_log_goes_first(shown: Callable[[LogMark], Message]) -> None:
    """Whatever message has shown it: the rank decides who stands alone."""
    log = HandLog()
    log.begin_term(1)
    member = heard(linked(log))
    member.receive(2, shown(log.end._replace(leadership_term_id=LeadershipTermId(9))))
    member.receive(1, append(1))
    member.refuse(1)
    assert wait_left(member) == RANK_MS


def test_a_second_sign_that_the_leader_is_gone_does_not_begin_the_wait_anew() -> None:
    member = heard(linked(seat=2))
    member.refuse(1)
    assert state_of(member) is ElectionState.WAITING
    stands_at = member.module.deadlines()[Deadline.STAND]
    member.wait(RANK_MS / 2)
    for reason in ("greeting", "time-out"):
        member.module.election.on_unheard(reason, fast=reason != "time-out")
        assert member.module.deadlines()[Deadline.STAND] == stands_at


def test_who_leaves_office_lets_a_better_one_go_first() -> None:
    leader = linked()
    leader.be_elected(1)
    better = leader.core.log.end._replace(leadership_term_id=LeadershipTermId(9))
    leader.receive(2, hello(end=better))
    leader.wait(2000)
    leader.fire(Deadline.CHECK_QUORUM)
    assert leader.has_role(Role.FOLLOWER)
    assert wait_left(leader) == RANK_MS


def stalled(member: Driven, *, over: bool) -> None:
    member.module.on_storage_stalled(member.now, stalled=not over)


def full(member: Driven, *, over: bool) -> None:
    room = ROOM_UNBOUNDED if over else member.core.log.end.position
    member.module.on_room(member.now, LogPosition(room))


@pytest.mark.parametrize("obstacle", [stalled, full])
def test_who_may_not_stand_now_tries_again_until_it_may(obstacle: Callable[..., None]) -> None:
    """Nobody tells it to: the wait is armed whenever the leader is unheard."""
    member = linked()
    obstacle(member, over=False)
    for _ in range(30):
        member.tick(60)
    assert not member.sent(Canvass)
    obstacle(member, over=True)
    for _ in range(30):
        member.tick(60)
    assert member.sent(Canvass)


def test_each_failure_is_counted_in_the_log() -> None:
    member = linked()
    for _ in range(3):
        member.canvass()
        member.fire(Deadline.CAMPAIGN)
    failed = [dict(t.fields)["failures"] for t in member.of(Trace) if t.event == "election_failed"]
    assert failed == [1, 2, 3]


def test_a_token_asks_for_a_majority_whatever_was_tried_before() -> None:
    """A unanimous ballot may elect a log with a loss; one with a token never does."""
    log = HandLog()
    log.begin_term(1)
    member = linked(log, config=REPLICATED)
    for seat in (1, 2):
        member.receive(seat, hello(end=log.end, term=1, recovering=LOST))
    assert member.canvass().unanimous
    member.receive(1, append(1, log.end))
    token = TransferToken(LeadershipTermId(1), log.end.position)
    member.receive(1, StandNow(token))
    assert [asked.unanimous for asked in member.sent(RequestVote)] == [False, False]


def test_who_stood_with_a_token_in_vain_tries_again() -> None:
    """The former leader may be gone by then, and nobody else left who could stand."""
    log = HandLog()
    log.begin_term(1)
    member = linked(log)
    member.receive(1, append(1, log.end), StandNow(TransferToken(LeadershipTermId(1), log.end[0])))
    member.fire(Deadline.CAMPAIGN)
    member.fire(Deadline.STAND)
    assert [asked.leadership_term_id for asked in member.sent(Canvass, 2)] == [2]


@pytest.mark.parametrize("stands", ["canvass", "ballot"])
def test_whom_the_ballot_of_a_worse_log_stops_tries_again_soon(stands: str) -> None:
    """It has no vote for that one, and its own attempt, of a lower term, leads nowhere now."""
    log = HandLog()
    log.begin_term(1)
    member = linked(log)
    asked = member.canvass()
    if stands == "ballot":
        member.receive(1, canvass_answer(asked, term=1))
    member.receive(2, request_vote(9, HandLog().end))
    assert state_of(member) is ElectionState.WAITING
    assert Deadline.CAMPAIGN not in member.module.deadlines()
    assert wait_left(member) <= member.core.config.retry_max_ns / 1_000_000


@pytest.mark.parametrize("term", [0, 1, 2])
def test_a_leader_gives_its_office_to_a_later_term_only(term: int) -> None:
    leader = linked()
    leader.be_elected(1)
    leader.accept(1, 2)
    own = leader.module.term
    end = leader.core.log.end
    token = TransferToken(own, end.position)
    leader.receive(1, request_vote(own - 1 + term, end, token=token))
    assert leader.has_role(Role.FOLLOWER if term == 2 else Role.LEADER)


def test_a_write_that_ends_says_nothing_of_the_leader() -> None:
    """Who has just started gives the leader that it had a whole time-out to be heard."""
    member = linked(by_hand=True, state=node_state(3))
    waits_until = member.module.deadlines()
    member.persist()
    assert member.hears_a_leader()
    assert member.module.deadlines() == waits_until


def test_a_leader_that_is_heard_ends_what_failures_have_added_to_the_waits() -> None:
    """The next election begins as quickly as the first one did, whatever went before."""
    waits = []
    member = linked()
    for _ in range(2):
        for _ in range(4):
            member.canvass()
            member.fire(Deadline.CAMPAIGN)
            member.receive(2, request_vote(member.module.term + 1, member.core.log.end))
            waits.append(wait_left(member))
        member.receive(1, append(member.module.term, member.core.log.end))
    assert waits[:4] == waits[4:]
    assert waits == sorted(waits[:4]) * 2


def test_who_was_voted_for_and_is_gone_again_holds_nobody_back() -> None:
    member = linked()
    member.fire(Deadline.ELECTION)
    member.receive(1, request_vote(1, member.core.log.end))
    member.receive(1, append(1, member.core.log.end))
    member.refuse(1)
    assert wait_left(member) == 0


@pytest.mark.parametrize("by_token", [False, True])
def test_a_ballot_has_a_whole_time_out_and_is_the_only_thing_waited_for(*, by_token: bool) -> None:
    log = HandLog()
    log.begin_term(1)
    member = linked(log)
    if by_token:
        member.receive(1, append(1, log.end))
        token = TransferToken(LeadershipTermId(1), log.end.position)
        member.receive(1, StandNow(token))
    else:
        asked = member.canvass()
        member.wait(100)
        member.receive(1, canvass_answer(asked, term=1))
    assert state_of(member) is ElectionState.BALLOT
    until = member.now.loop + member.core.config.election_timeout_min_ns
    assert member.module.deadlines() == {Deadline.CAMPAIGN: until}


def test_failures_before_a_leader_was_heard_make_no_later_wait_longer() -> None:
    member = linked()
    waits = []
    for _ in range(2):
        for _ in range(4):
            member.canvass()
            member.fire(Deadline.CAMPAIGN)
            waits.append(wait_left(member))
        member.receive(1, append(1, member.core.log.end))
    assert waits[:4] == sorted(set(waits[:4]))
    assert waits[4:] == waits[:4]


def test_a_leader_of_an_earlier_term_is_not_heard() -> None:
    member = linked(state=node_state(2))
    member.fire(Deadline.ELECTION)
    member.receive(1, append(1))
    assert member.module.leader_unheard
    assert Deadline.STAND in member.module.deadlines()


def test_an_address_that_refuses_is_news_only_of_the_leader() -> None:
    member = heard(linked())
    member.refuse(2)
    assert member.hears_a_leader()
    member.refuse(1)
    assert member.module.leader_unheard


def test_an_answer_counts_in_its_own_canvass_only() -> None:
    member = linked(seats=5)
    asked = member.canvass()
    member.receive(1, canvass_answer(asked, term=member.module.term))
    member.fire(Deadline.CAMPAIGN)
    member.fire(Deadline.STAND)
    asked = member.sent(Canvass)[-1]
    member.receive(2, canvass_answer(asked, term=member.module.term))
    assert state_of(member) is ElectionState.CANVASS
    assert not member.sent(RequestVote)
    member.receive(3, canvass_answer(asked, term=member.module.term))
    assert member.sent(RequestVote)
