"""Leadership moves on request once, and away from cordoned nodes now and then."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.control.status import MemberState
from quorate_kubernetes_model import looks
from quorate_operator.planning import times
from quorate_operator.planning.actions import EvictPod, Plan, Transfer
from quorate_operator.planning.handover import TRANSFER_S
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


def moved(look: Observed, to: int) -> Observed:
    """Return the look after leadership has moved."""
    leader = looks.leader_of(look)
    word = look.members[leader].status
    assert word is not None
    term = word.leadership_term_id + 1
    for seat in look.members:
        is_new = seat == to
        look = looks.with_word(
            look,
            seat,
            leader=to,
            leadership_term_id=term,
            role="leader" if is_new else "follower",
            state=MemberState.LEADER if is_new else MemberState.FOLLOWER,
            members=word.members if is_new else (),
        )
    return look


def asked(look: Observed, text: str) -> tuple[Observed, Plan]:
    """Return the look after the request was recorded, and the plan then."""
    look = looks.with_request(look, text)
    first = plan(look)
    assert looks.disruption(first) is None, "asked before it was recorded"
    assert first.look_again_s == 0
    look = looks.later(look, 1, first)
    return look, plan(look)


@pytest.mark.parametrize("form", ["orders-{}", "{}"])
def test_a_request_is_recorded_carried_out_and_answered_once(form: str) -> None:
    look = looks.settled()
    target = looks.followers_of(look)[1]
    text = form.format(target) + "/morning-1"
    look, made = asked(look, text)
    step = looks.disruption(made)
    assert isinstance(step, Transfer)
    assert (step.leader, step.to) == (looks.leader_of(look), target)
    done = plan(moved(looks.later(look, 1, made), target))
    assert done.status.last_transfer is not None
    assert (done.status.last_transfer.request, done.status.last_transfer.result) == (text, "Done")
    assert done.status.last_transfer.leader == target
    quiet = plan(looks.later(moved(look, target), 9, done))
    assert not any(note.reason is Reason.TRANSFER_DONE for note in quiet.notes)
    assert looks.disruption(quiet) is None


def test_anybody_is_not_asked_twice_by_an_operator_that_ended_in_between() -> None:
    look, made = asked(looks.settled(), "any/1")
    assert isinstance(looks.disruption(made), Transfer)
    # The operator ended before it wrote what it did.
    after = plan(moved(look, looks.followers_of(look)[0]))
    assert looks.disruption(after) is None
    assert after.status.last_transfer is not None
    assert after.status.last_transfer.result == "Done"


def test_who_leads_already_is_done() -> None:
    look = looks.settled()
    made = plan(looks.with_request(look, f"orders-{looks.leader_of(look)}/1"))
    assert looks.disruption(made) is None
    assert made.status.last_transfer is not None
    assert made.status.last_transfer.result == "Done"


@pytest.mark.parametrize(
    "text", ["orders-0", "orders-9/1", "/1", "any/", "any/ 1", "nobody/1", "any/" + "x" * 400]
)
def test_nonsense_is_answered_once_with_a_remedy(text: str) -> None:
    look = looks.with_request(looks.settled(), text)
    made = plan(look)
    assert made.status.last_transfer is not None
    assert made.status.last_transfer.result == "Invalid"
    assert "orders-0" in made.status.last_transfer.message
    assert [n.reason for n in made.notes] == [Reason.TRANSFER_INVALID]
    again = plan(looks.later(look, 5, made))
    assert not again.notes
    assert again.status == made.status


def test_a_target_that_stays_behind_is_told_as_failed() -> None:
    look = looks.settled()
    target = looks.followers_of(look)[0]
    look, made = asked(looks.with_word(look, target, caught_up=False), f"orders-{target}/1")
    assert looks.disruption(made) is None
    failed = plan(looks.later(look, 31, made))
    assert failed.status.last_transfer is not None
    assert failed.status.last_transfer.result == "Failed"
    assert "caught up" in failed.status.last_transfer.message


def test_a_request_waits_while_an_update_has_a_member_away_and_goes_before_its_next_step() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.with_request(looks.outdated(look, second), f"orders-{second}/1")
    away = plan(looks.with_word(look, first, caught_up=False))
    assert away.status.last_transfer is None
    assert looks.disruption(away) is None
    back = plan(look)
    assert looks.disruption(back) is None
    then = plan(looks.later(look, 1, back))
    assert isinstance(looks.disruption(then), Transfer)


def cordoned(look: Observed, *seats: int) -> Observed:
    nodes = frozenset(look.pods[seat].node for seat in seats)
    return replace(look, cordoned=nodes, now_s=look.now_s + 600)


def test_a_leader_leaves_its_cordoned_node_for_one_that_is_not() -> None:
    look = looks.settled()
    leader, (first, second) = looks.leader_of(look), looks.followers_of(look)
    made = plan(cordoned(look, leader, first))
    step = looks.disruption(made)
    assert isinstance(step, Transfer)
    assert step.to == second
    assert looks.disruption(plan(cordoned(look, 0, 1, 2))) is None
    assert looks.disruption(plan(cordoned(look, first))) is None


def test_cordons_move_leadership_at_most_once_a_minute() -> None:
    look = looks.settled()
    leader, first = looks.leader_of(look), looks.followers_of(look)[0]
    made = plan(cordoned(look, leader))
    assert isinstance(looks.disruption(made), Transfer)
    # It did not move: no second try within the minute.
    assert looks.disruption(plan(looks.later(cordoned(look, leader), 59, made))) is None
    assert looks.disruption(plan(looks.later(cordoned(look, leader), 61, made))) is not None
    # It did move, and the node of the new leader is cordoned at once.
    after = moved(cordoned(look, first), first)
    there = plan(after)
    assert looks.disruption(there) is None
    assert looks.disruption(plan(looks.later(after, 59, there))) is None
    assert isinstance(looks.disruption(plan(looks.later(after, 61, there))), Transfer)


def test_a_hand_over_in_an_update_prefers_a_node_that_stays() -> None:
    look = looks.settled()
    leader, (first, second) = looks.leader_of(look), looks.followers_of(look)
    step = looks.disruption(plan(cordoned(looks.outdated(look, leader), first)))
    assert isinstance(step, Transfer)
    assert step.to == second


def test_no_leader_is_nobody_to_ask() -> None:
    look = looks.settled()
    for seat in look.members:
        look = looks.with_word(look, seat, leader=None, role="follower", state=MemberState.FOLLOWER)
    made = plan(looks.with_request(looks.outdated(look, 0, 1, 2), "any/1"))
    assert looks.disruption(made) is None
    assert not [step for step in made.steps if isinstance(step, EvictPod)]
    assert looks.reason_of(made, Condition.READY) is Reason.NO_LEADER


@given(st.text() | st.from_regex(r"[a-z0-9-]+/[A-Za-z0-9._-]+", fullmatch=True))
def test_any_text_is_a_request_that_is_answered_or_begun(text: str) -> None:
    look = looks.with_request(looks.settled(), text)
    made = plan(look)
    last = made.status.last_transfer
    assert not text or made.status.operation is not None or last is not None
    assert looks.disruption(made) is None, "what is asked is recorded first"


def test_a_request_waits_for_who_is_away_also_while_the_update_is_stopped() -> None:
    look = looks.settled(5)
    first, second = looks.followers_of(look)[:2]
    look = looks.with_request(looks.outdated(look, *(set(look.pods) - {first, second})), "any/1")
    for seat in look.pods:
        digest = "odd" if seat == first else "even"
        look = looks.answering(look, {seat: digest})
    look = looks.later(look, 1, plan(look))
    assert isinstance(looks.disruption(plan(look)), Transfer)
    assert looks.disruption(plan(looks.with_pod(look, second, deleting=True))) is None


def test_a_request_that_replaces_another_one_begins_anew() -> None:
    """Else it had the deadline of the one before, and was done when that one was."""
    look = looks.with_request(looks.settled(), "any/one")
    look = looks.later(look, 20, plan(look))
    made = plan(looks.with_request(look, "any/two"))
    assert looks.disruption(made) is None, "it is recorded before it is asked"
    row = made.status.operation
    assert row is not None
    assert row.target == "any/two"
    assert times.read(row.deadline) == int(look.now_s) + TRANSFER_S
