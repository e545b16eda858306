"""What must be in order before a member is touched."""

from dataclasses import replace

import pytest

from quorate.control.status import DigestRow, MemberState
from quorate_kubernetes_model import looks
from quorate_operator import lenient
from quorate_operator.planning.actions import DeletePod, EvictPod, Transfer, WriteIdentity
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "ServiceAccount"])
def test_no_member_goes_while_an_object_around_it_is_somebody_elses(kind: str) -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    assert isinstance(looks.disruption(plan(look)), EvictPod)
    children = tuple(
        replace(child, controller_uid="another") if child.kind == kind else child
        for child in look.children
    )
    made = plan(replace(look, children=children))
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT


@pytest.mark.parametrize("is_dead", [False, True])
def test_no_member_goes_while_the_stateful_set_is_being_deleted(*, is_dead: bool) -> None:
    """Its controller makes no pod then, so a member that went stayed away for as long."""
    look = looks.outdated(looks.settled(), 0, 1, 2)
    look = looks.dead(look, looks.followers_of(look)[0]) if is_dead else look
    assert looks.disruption(plan(look)) is not None
    live = look.stateful_set
    assert live is not None
    ends = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.org/hold"]}
    body = {**live.body, "metadata": {**lenient.metadata(live.body), **ends}}
    made = plan(replace(look, stateful_set=replace(live, body=body)))
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT
    assert "held by example.org/hold" in looks.message_of(made, Condition.RECONCILED)


@pytest.mark.parametrize("seat", [0, 1, 2])
@pytest.mark.parametrize("is_dead", [False, True])
def test_no_member_goes_while_a_claim_is_being_deleted(seat: int, *, is_dead: bool) -> None:
    """Its pod is all that keeps the volume, and that of the next one may have been deleted too."""
    look = looks.outdated(looks.settled(), 0, 1, 2)
    look = looks.dead(look, looks.followers_of(look)[0]) if is_dead else look
    assert looks.disruption(plan(look)) is not None
    going = looks.with_claim(look, seat, deleting=True)
    made = plan(going)
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.VOLUME_GOING
    assert f"log-orders-{seat}" in looks.message_of(made, Condition.RECONCILED)
    assert Reason.VOLUME_GOING in {note.reason for note in made.notes if note.warning}
    healed = plan(looks.later(looks.with_claim(going, seat, deleting=False), 5, made))
    assert looks.disruption(healed) is not None
    assert looks.reason_of(healed, Condition.RECONCILED) is Reason.APPLIED


def test_a_claim_beyond_the_seats_that_is_being_deleted_stops_nothing() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    extra = replace(look.claims[0], seat=7, name="log-orders-7", deleting=True)
    made = plan(replace(look, claims={**look.claims, 7: extra}))
    assert looks.disruption(made) is not None


def test_no_member_goes_before_the_founding_is_recorded() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    made = plan(looks.with_status(look, replace(look.resource.status, founded=False)))
    assert looks.steps_of(made, WriteIdentity)
    assert looks.disruption(made) is None


def test_no_member_goes_while_the_leader_has_not_caught_up_itself() -> None:
    look = looks.outdated(looks.settled(5), *range(5))
    made = plan(looks.with_word(look, looks.leader_of(look), caught_up=False))
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.WAITING_FOR_MAJORITY


@pytest.mark.parametrize("state", [MemberState.STOPPING, MemberState.DIVERGED])
def test_no_member_goes_while_who_leads_is_about_to_stop(state: MemberState) -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    made = plan(looks.with_word(look, looks.leader_of(look), state=state))
    assert looks.disruption(made) is None


def test_a_cordoned_leader_stays_during_an_update_until_its_turn() -> None:
    look = looks.later(looks.settled(), 1000)
    node = look.pods[looks.leader_of(look)].node
    look = replace(look, cordoned=frozenset({node}))
    assert isinstance(looks.disruption(plan(look)), Transfer)
    assert isinstance(looks.disruption(plan(looks.outdated(look, 0, 1, 2))), EvictPod)


def test_the_time_of_a_step_goes_on_while_only_its_words_change() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    first = plan(look)
    row = first.status.operation
    assert row is not None
    other = replace(first.status, operation=replace(row, step=f"{row.step} in other words"))
    again = plan(looks.later(looks.with_status(look, other), 50)).status.operation
    assert again is not None
    assert (again.since, again.deadline) == (row.since, row.deadline)


def test_an_updated_leader_is_compared_with_the_others_and_not_with_itself() -> None:
    look = looks.settled()
    look = looks.outdated(look, *looks.followers_of(look))
    for seat in look.pods:
        digest = "odd" if seat == looks.leader_of(look) else "even"
        look = looks.answering(look, {seat: digest})
    made = plan(look)
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED


def test_a_pod_made_anew_must_agree_anew() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, second, looks.leader_of(look))
    made = plan(look)
    assert made.status.operation is not None
    assert "agreed" in made.status.operation.step
    look = looks.with_word(looks.later(look, 5, made), first, digests=(DigestRow(7, "ee"),))
    assert isinstance(looks.disruption(plan(look)), EvictPod), "it agreed before"
    members = {**look.members, first: replace(look.members[first], pod_uid="another1")}
    other = replace(looks.with_pod(look, first, uid="another1"), members=members)
    assert looks.disruption(plan(other)) is None


@pytest.mark.parametrize("change", [{"controller_uid": "another"}, {"deleting": True}])
def test_a_dead_pod_that_is_not_ours_or_goes_already_is_not_deleted(
    change: dict[str, object],
) -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    seat = looks.followers_of(look)[0]
    look = looks.dead(look, seat)
    assert isinstance(looks.disruption(plan(look)), DeletePod)
    assert looks.disruption(plan(looks.with_pod(look, seat, **change))) is None


def test_a_leader_that_is_not_heard_is_believed_only_from_a_majority() -> None:
    look = looks.settled()
    first = looks.followers_of(look)[0]
    look = looks.silent(look, looks.leader_of(look), 3)
    assert plan(look).status.leader == look.resource.status.leader
    assert plan(looks.with_word(look, first, leader=None)).status.leader is None
