"""Who stands when, who votes for whom, and how an attempt ends."""

from __future__ import annotations

import pytest

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.effects import StoreNodeState
from quorate.consensus.election import ElectionState
from quorate.consensus.messages import (
    Canvass,
    CanvassAnswer,
    DigestVerdict,
    Hello,
    RequestVote,
    TransferToken,
    Vote,
)
from quorate.consensus.types import (
    NO_MEMBER,
    LeadershipTermId,
    LogMark,
    LogPosition,
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
    always_armed,
    answers,
    canvass_of,
    granted,
    heard,
    linked,
    state_of,
    wait_left,
)
from quorate_consensus.logs import HandLog, member_id, node_state

# -- the one flag -----------------------------------------------------------------------------


def test_while_the_leader_is_heard_nobody_else_is_voted_for_nor_its_term_adopted() -> None:
    member = heard(linked())
    end = member.core.log.end
    member.receive(2, canvass_of(9, end))
    assert not granted(member)
    member.receive(2, request_vote(9, end))
    assert not granted(member)
    assert member.sent(Vote)[0].candidate_term_id == member.module.term == 1
    assert member.module.leader == 1


def test_nobody_is_voted_for_before_the_first_election_timeout() -> None:
    member = linked()
    member.receive(2, request_vote(5, member.core.log.end))
    assert not granted(member)
    always_armed(member)


def test_a_broken_link_to_the_leader_changes_nothing_but_a_refused_reconnect_does() -> None:
    member = heard(linked())
    member.unlink(1)
    assert member.hears_a_leader()
    member.module.on_reconnect_refused(member.now, member.lives[2].seat)
    assert member.hears_a_leader()
    member.module.on_reconnect_refused(member.now, member.lives[1].seat)
    assert member.module.leader_unheard
    assert member.module.leader is None
    assert wait_left(member) < 30


def test_a_refusal_that_comes_after_the_link_is_back_is_old_news() -> None:
    member = heard(linked())
    member.module.on_reconnect_refused(member.now, member.lives[1].seat)
    assert member.hears_a_leader()


@pytest.mark.parametrize(("life", "unheard"), [(1, False), (2, True)])
def test_another_life_at_the_leaders_address_is_not_the_leader(life: int, unheard: bool) -> None:
    member = heard(linked())
    member.unlink(1)
    member.link(1, life=life)
    assert member.module.leader_unheard == unheard


@pytest.mark.parametrize(
    ("seat", "role", "term", "unheard"),
    [
        (1, Role.LEADER, 1, False),
        (1, Role.FOLLOWER, 1, True),
        (1, Role.LEADER, 2, True),
        (2, Role.FOLLOWER, 1, False),
    ],
)
def test_a_leader_that_says_it_leads_no_more(
    seat: int, role: Role, term: int, unheard: bool
) -> None:
    member = heard(linked())
    member.receive(seat, hello(role=role, term=term))
    assert member.module.leader_unheard == unheard
    always_armed(member)


def test_any_message_of_the_leader_clears_the_flag() -> None:
    member = linked()
    member.canvass()
    member.receive(1, append(1))
    assert member.hears_a_leader()
    assert state_of(member) is ElectionState.IDLE
    assert set(member.module.deadlines()) == {Deadline.ELECTION}


# -- canvass ----------------------------------------------------------------------------------


def test_the_time_out_canvasses_at_once_and_raises_no_term() -> None:
    member = linked()
    member.tick(500)
    member.tick(0)
    assert len(member.sent(Canvass)) == 2
    assert member.module.term == 0
    assert not member.of(StoreNodeState)


@pytest.mark.parametrize(
    ("own", "theirs", "expected"),
    [((1,), (1,), True), ((1,), (2,), True), ((2,), (1,), False), ((1, 2), (2,), False)],
)
def test_only_a_log_that_is_not_behind_ours_is_voted_for(
    own: tuple[int, ...], theirs: tuple[int, ...], expected: bool
) -> None:
    logs = []
    for terms in (own, theirs):
        log = HandLog()
        for term in terms:
            log.begin_term(term)
        logs.append(log)
    member = linked(logs[0])
    member.fire(Deadline.ELECTION)
    member.receive(1, canvass_of(2, logs[1].end))
    assert granted(member) == expected
    member.receive(1, request_vote(3, logs[1].end))
    assert granted(member) == expected


def test_a_canvass_of_a_lower_term_learns_ours() -> None:
    member = linked(state=node_state(4))
    member.fire(Deadline.ELECTION)
    member.receive(1, canvass_of(3, member.core.log.end))
    assert not granted(member)
    assert member.sent(CanvassAnswer)[0].leadership_term_id == 4


def test_a_leader_refuses() -> None:
    member = linked()
    member.be_elected(1)
    member.receive(2, canvass_of(9, member.core.log.end), request_vote(9, member.core.log.end))
    assert not any(answers(member))
    assert member.has_role(Role.LEADER)


def test_who_canvasses_adopts_a_higher_term_and_tries_again() -> None:
    member = linked()
    asked = member.canvass()
    member.receive(1, canvass_answer(asked, term=6, granted=False))
    assert member.module.term == 6
    assert state_of(member) is ElectionState.WAITING
    assert wait_left(member) == 20


def test_answers_of_another_round_or_to_nobody_do_not_count() -> None:
    member = linked()
    asked = member.canvass()
    member.fire(Deadline.CAMPAIGN)
    member.receive(1, canvass_answer(asked, term=0), canvass_answer(asked, term=9))
    assert state_of(member) is ElectionState.WAITING
    assert member.module.term == 0
    member.fire(Deadline.STAND)
    member.receive(1, canvass_answer(asked, term=0))
    assert state_of(member) is ElectionState.CANVASS


def test_refusals_of_a_majority_end_a_canvass_and_a_ballot() -> None:
    member = linked()
    asked = member.canvass()
    member.receive(1, canvass_answer(asked, term=0, granted=False))
    assert state_of(member) is ElectionState.CANVASS
    member.receive(2, canvass_answer(asked, term=0, granted=False))
    assert state_of(member) is ElectionState.WAITING
    member.fire(Deadline.STAND)
    member.receive(1, canvass_answer(member.sent(Canvass)[-1], term=0))
    assert member.has_role(Role.CANDIDATE)
    member.receive(1, vote(1, granted=False))
    member.receive(2, vote(1, granted=False))
    assert member.has_role(Role.FOLLOWER)
    assert state_of(member) is ElectionState.WAITING
    always_armed(member)


def test_nobody_waits_for_the_answer_of_a_seat_without_a_link() -> None:
    member = linked()
    member.unlink(2)
    member.nominate(1)
    member.receive(1, vote(1, granted=False))
    assert state_of(member) is ElectionState.WAITING
    assert wait_left(member) == 20
    assert member.has_role(Role.FOLLOWER)


def test_a_link_that_breaks_may_end_a_canvass_and_a_ballot() -> None:
    member = linked()
    asked = member.canvass()
    member.receive(1, canvass_answer(asked, term=0, granted=False))
    member.unlink(2)
    assert state_of(member) is ElectionState.WAITING
    member.link(2)
    member.fire(Deadline.STAND)
    member.receive(2, canvass_answer(member.sent(Canvass)[-1], term=0))
    member.receive(1, vote(1, granted=False))
    assert member.has_role(Role.CANDIDATE)
    member.unlink(2)
    assert member.has_role(Role.FOLLOWER)
    assert state_of(member) is ElectionState.WAITING
    always_armed(member)


def test_a_yes_counts_though_its_link_has_broken_since() -> None:
    member = linked(seats=5)
    asked = member.canvass()
    member.receive(1, canvass_answer(asked, term=0))
    member.receive(3, canvass_answer(asked, term=0, granted=False))
    member.unlink(1)
    member.unlink(4)
    assert state_of(member) is ElectionState.CANVASS
    member.receive(2, canvass_answer(asked, term=0))
    assert member.has_role(Role.CANDIDATE)


def test_without_links_an_attempt_is_over_at_once_and_tried_again() -> None:
    member = Driven()
    member.fire(Deadline.ELECTION)
    waits = []
    for _ in range(6):
        member.fire(Deadline.STAND)
        assert state_of(member) is ElectionState.WAITING
        waits.append(wait_left(member))
    assert waits == [20, 40, 80, 160, 320, 500]


def test_a_broken_link_makes_nobody_stand() -> None:
    member = heard(linked())
    member.unlink(2)
    assert state_of(member) is ElectionState.IDLE
    assert not member.sent(Canvass)


@pytest.mark.parametrize("stands", [False, True])
def test_the_better_claim_goes_first_where_two_canvass_at_once(stands: bool) -> None:
    """Else both would grant both canvasses, and then refuse both ballots."""
    better, worse = linked(seat=0), linked(seat=1)
    asked = better.canvass()
    if stands:
        worse.canvass()
    else:
        worse.fire(Deadline.ELECTION)
    worse.receive(0, asked)
    assert granted(worse)
    assert state_of(worse) is ElectionState.WAITING
    assert wait_left(worse) == 50
    assert Deadline.CAMPAIGN not in worse.module.deadlines()
    better.receive(1, canvass_of(0, worse.core.log.end))
    assert granted(better)
    assert state_of(better) is ElectionState.CANVASS


def test_the_longer_log_has_the_better_claim_whatever_its_seat() -> None:
    log = HandLog()
    log.begin_term(1)
    member = linked(log, seat=0)
    member.canvass()
    member.receive(2, canvass_of(1, log.end))
    assert state_of(member) is ElectionState.CANVASS, "its equal in a higher seat"
    longer = log.end._replace(position=LogPosition(log.end.position + 64))
    member.receive(2, canvass_of(1, longer))
    assert state_of(member) is ElectionState.WAITING
    assert wait_left(member) == 50


def test_giving_way_shortens_no_wait_and_ends_no_ballot() -> None:
    member = linked(seat=1, random=lambda _low, high: high)
    asked = member.canvass()
    member.receive(0, canvass_answer(asked, term=0, granted=False))
    member.receive(2, canvass_answer(asked, term=0, granted=False))
    assert wait_left(member) == 60
    member.receive(0, canvass_of(0, member.core.log.end))
    assert granted(member)
    assert wait_left(member) == 60
    member.fire(Deadline.STAND)
    member.receive(2, canvass_answer(member.sent(Canvass)[-1], term=0))
    member.receive(0, canvass_of(1, member.core.log.end))
    assert state_of(member) is ElectionState.BALLOT


def test_a_canvass_that_is_refused_holds_up_nobody() -> None:
    log = HandLog()
    log.begin_term(1)
    member = linked(log, seat=2)
    member.canvass()
    member.receive(0, canvass_of(1, log.mark(1)))
    assert not granted(member)
    assert state_of(member) is ElectionState.CANVASS


def test_who_fails_says_again_what_it_is() -> None:
    """A Hello that a full send buffer has dropped must not keep a cluster waiting for ever."""
    member = linked()
    member.canvass()
    before = len(member.sent(Hello))
    member.fire(Deadline.CAMPAIGN)
    assert len(member.sent(Hello)) == before + 2, "one to each linked voter"


def test_a_campaign_ends_after_an_election_timeout() -> None:
    member = linked()
    member.canvass()
    member.tick(500)
    assert state_of(member) is ElectionState.WAITING
    member.fire(Deadline.CAMPAIGN)
    assert state_of(member) is ElectionState.WAITING
    always_armed(member)


# -- ballot -----------------------------------------------------------------------------------


def test_the_vote_for_oneself_is_in_the_next_term() -> None:
    member = linked()
    asked = member.nominate(1)
    assert asked == RequestVote(LeadershipTermId(1), member.core.log.end, False, None)
    assert member.of(StoreNodeState)[-1].state.vote == member_id(0)
    member.receive(1, vote(1))
    assert member.has_role(Role.LEADER)


def test_votes_of_another_term_or_without_a_ballot_do_not_count() -> None:
    member = linked(state=node_state(3))
    member.nominate(1)
    member.receive(1, vote(3))
    assert member.has_role(Role.CANDIDATE)
    member.receive(1, append(4))
    member.receive(2, vote(4))
    assert member.has_role(Role.FOLLOWER)


def test_a_refusal_of_one_in_a_lower_term_that_hears_a_leader_counts() -> None:
    member = linked(state=node_state(3))
    member.nominate(1)
    member.receive(1, vote(3, granted=False))
    assert member.has_role(Role.CANDIDATE)
    member.receive(2, vote(2, granted=False))
    assert member.has_role(Role.FOLLOWER)
    assert state_of(member) is ElectionState.WAITING


def test_a_vote_that_names_a_higher_term_ends_a_ballot_but_disturbs_no_follower() -> None:
    member = linked()
    member.nominate(1)
    member.receive(1, vote(8, granted=False))
    assert (member.module.term, member.module.role) == (8, Role.FOLLOWER)
    assert state_of(member) is ElectionState.WAITING
    member.receive(1, append(8))
    member.receive(2, vote(9, granted=False))
    assert (member.module.term, member.module.leader) == (8, 1)


def test_a_report_of_a_higher_term_disturbs_no_follower() -> None:
    member = heard(linked())
    ahead = report(member, term=9, round_number=0)
    member.receive(2, ahead)
    assert (member.module.term, member.module.leader) == (1, 1)


def test_one_vote_in_a_term_however_often_asked() -> None:
    member = linked()
    member.fire(Deadline.ELECTION)
    end = member.core.log.end
    member.receive(1, request_vote(2, end), request_vote(2, end))
    assert [answer.granted for answer in member.sent(Vote, 1)] == [True, True]
    assert len([e for e in member.of(StoreNodeState) if e.state.vote != NO_MEMBER]) == 1
    member.receive(2, request_vote(2, end))
    assert [answer.granted for answer in member.sent(Vote, 2)] == [False]
    member.receive(2, request_vote(1, end))
    assert member.sent(Vote, 2)[-1].candidate_term_id == 2


def test_a_candidate_votes_for_nobody_else_in_its_term() -> None:
    member = linked()
    member.nominate(1)
    member.receive(2, request_vote(1, member.core.log.end))
    assert not granted(member)
    member.receive(2, request_vote(2, member.core.log.end))
    assert granted(member)
    assert member.has_role(Role.FOLLOWER)


def test_a_vote_given_ends_the_own_canvass() -> None:
    member = linked(state=node_state(2))
    asked = member.canvass()
    member.receive(2, request_vote(2, member.core.log.end))
    assert granted(member)
    member.receive(1, canvass_answer(asked, term=2))
    assert member.has_role(Role.FOLLOWER)
    assert state_of(member) is ElectionState.WAITING
    assert Deadline.CAMPAIGN not in member.module.deadlines()


def test_a_member_alone_elects_itself() -> None:
    member = Driven(seats=1)
    assert member.module.leader_unheard
    member.fire(Deadline.STAND)
    assert member.has_role(Role.LEADER)
    assert member.module.commit_position == member.core.log.end.position


# -- waits ------------------------------------------------------------------------------------


def test_each_failure_doubles_the_wait_up_to_an_election_timeout() -> None:
    member = linked(random=lambda _low, high: high)
    member.fire(Deadline.ELECTION)
    waits = []
    for _ in range(6):
        member.fire(Deadline.STAND)
        member.fire(Deadline.CAMPAIGN)
        waits.append(wait_left(member))
    assert waits == [60, 120, 240, 480, 500, 500]


def test_each_vote_given_holds_back_twice_as_long_until_a_leader_is_heard() -> None:
    member = linked()
    member.fire(Deadline.ELECTION)
    waits = []
    for term in range(1, 7):
        member.receive(1, request_vote(term, member.core.log.end))
        waits.append(wait_left(member))
    assert waits == [50, 100, 200, 400, 500, 500]
    member.receive(1, append(6))
    member.unlink(1)
    member.fire(Deadline.ELECTION)
    member.receive(2, request_vote(7, member.core.log.end))
    assert wait_left(member) == 50


def test_who_has_voted_does_not_stand_meanwhile() -> None:
    member = linked()
    member.fire(Deadline.ELECTION)
    member.receive(1, request_vote(1, member.core.log.end))
    member.wait(10)
    member.fire(Deadline.STAND)
    member.fire(Deadline.CAMPAIGN)
    assert wait_left(member) == 40


@pytest.mark.parametrize(
    ("own", "others", "rank"),
    [(0, {}, 0), (2, {}, 1), (0, {2: 9}, 1), (2, {0: 0}, 0), (0, {1: 9, 2: 9}, 1)],
)
def test_a_fast_canvass_waits_for_its_rank(own: int, others: dict[int, int], rank: int) -> None:
    log = HandLog()
    log.begin_term(1)
    member = linked(log, seat=own)
    for seat, term in others.items():
        shown = log.end._replace(leadership_term_id=LeadershipTermId(term))
        member.receive(seat, hello(end=shown))
    leader = 1
    member.receive(leader, append(1))
    member.refuse(leader)
    assert wait_left(member) == 5 * rank


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(("beyond", "applied"), [(0, False), (1, False), (1, True)])
def test_who_would_serve_late_stands_behind_all_others(
    beyond: int, *, applied: bool, fast: bool
) -> None:
    """A member that was just restarted holds the log long before its service has applied it."""
    log = HandLog()
    log.begin_term(1)
    end = log.end.position
    member = linked(log, config=ConsensusConfig(service_lag_bytes=end - beyond))
    member.receive(1, append(1, log.end, commit=end))
    if applied:
        member.module.on_service_position(member.now, end)
    if fast:
        member.refuse(1)
    else:
        member.fire(Deadline.ELECTION)
    is_late = beyond and not applied
    assert wait_left(member) == (15 + 3 * 5 if is_late else 0)


def test_who_will_never_serve_stands_behind_all_others() -> None:
    """Its service has stopped, and would not go on if it were elected."""
    member = heard(linked())
    member.module.on_digest(member.now, LogPosition(0), b"own")
    member.receive(1, DigestVerdict(LogPosition(0), b"majority"))
    member.fire(Deadline.ELECTION)
    assert wait_left(member) == 15 + 3 * 5


def test_a_wait_that_ends_after_the_leader_is_heard_is_over() -> None:
    member = heard(linked())
    member.fire(Deadline.STAND)
    assert state_of(member) is ElectionState.IDLE
    assert not member.sent(Canvass)
    always_armed(member)


def test_a_leader_does_not_stand() -> None:
    member = linked()
    member.be_elected(1)
    for deadline in (Deadline.STAND, Deadline.ELECTION, Deadline.CAMPAIGN):
        member.fire(deadline)
    assert member.has_role(Role.LEADER)
    member.module.election.on_unheard("no", fast=True)
    assert member.hears_a_leader()


def test_a_stalled_disk_waits_until_it_moves() -> None:
    member = linked()
    member.module.on_storage_stalled(member.now, stalled=True)
    member.fire(Deadline.ELECTION)
    member.fire(Deadline.STAND)
    assert not member.sent(Canvass)
    member.module.on_storage_stalled(member.now, stalled=False)
    member.fire(Deadline.STAND)
    assert member.sent(Canvass)


# -- a token ----------------------------------------------------------------------------------


def token(term: int, end: LogMark) -> TransferToken:
    return TransferToken(LeadershipTermId(term), end.position)


def test_a_token_opens_a_heard_voter_and_its_former_leader_is_unheard_then() -> None:
    member = heard(linked())
    end = member.core.log.end._replace(leadership_term_id=LeadershipTermId(1))
    member.receive(2, request_vote(2, end, token=token(1, end)))
    assert granted(member)
    assert member.module.leader_unheard
    assert wait_left(member) == 50


def test_a_token_is_honoured_by_a_longer_log_of_an_earlier_term() -> None:
    log = HandLog()
    log.begin_term(1)
    leaders = log.copy()
    for _ in range(9):
        log.add(1)
    leaders.begin_term(2)
    member = linked(log)
    member.receive(1, append(2))
    assert log.end.position > leaders.end.position
    member.receive(2, request_vote(3, leaders.end, token=token(2, leaders.end)))
    assert granted(member)


def test_a_token_for_a_worse_log_is_honoured_with_a_refusal_and_a_wait() -> None:
    log = HandLog()
    log.begin_term(1)
    member = heard(linked(log))
    behind = log.mark(1)
    member.receive(2, request_vote(2, behind, token=token(1, log.end)))
    assert not granted(member)
    assert member.module.term == 2
    always_armed(member)


@pytest.mark.parametrize(("term", "beyond"), [(2, 0), (0, 0), (1, -64)])
def test_a_token_of_another_term_or_that_is_behind_us_is_ignored(term: int, beyond: int) -> None:
    log = HandLog()
    log.begin_term(1)
    member = heard(linked(log))
    end = log.end._replace(position=LogPosition(log.end.position + beyond))
    member.receive(2, request_vote(5, log.end, token=token(term, end)))
    assert not granted(member)
    assert member.module.term == 1
    assert member.module.leader == 1
