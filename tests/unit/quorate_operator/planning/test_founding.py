"""A cluster is founded once: when every member is blank and nothing remembers a founding."""

from dataclasses import replace

import pytest

from quorate.control.status import MemberState
from quorate_kubernetes_model import looks
from quorate_operator import labels, lenient
from quorate_operator.planning.actions import ApplyChild, Found, WriteIdentity
from quorate_operator.planning.observed import Child, Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


def unfounded() -> Observed:
    """Return blank members under a resource that remembers nothing."""
    look = looks.all_blank(looks.settled())
    for seat in look.claims:
        look = looks.with_claim(look, seat, founded=False)
    assert look.stateful_set is not None
    body = dict(look.stateful_set.body)
    metadata = dict(body["metadata"])
    marks = dict(metadata["annotations"])
    del marks[labels.FOUNDED_ANNOTATION]
    live = replace(look.stateful_set, body={**body, "metadata": {**metadata, "annotations": marks}})
    status = replace(look.resource.status, founded=False)
    return looks.with_status(replace(look, stateful_set=live), status)


def test_blank_members_are_founded_by_the_lowest_seat() -> None:
    (step,) = looks.steps_of(plan(unfounded()), Found)
    assert isinstance(step, Found)
    assert step.seat == 0


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_every_member_must_be_blank_and_heard(seat: int) -> None:
    look = unfounded()
    others = (
        looks.silent(look, seat, 1),
        looks.without_pod(look, seat),
        looks.with_word(look, seat, state=MemberState.RECOVERING),
        looks.with_word(look, seat, cluster_id="f" * 32),
        looks.with_pod(look, seat, uid="made anew"),
        looks.with_pod(look, seat, controller_uid="another set"),
        looks.with_pod(look, seat, deleting=True),
        looks.with_claim(look, seat, deleting=True),
        replace(look, claims={s: claim for s, claim in look.claims.items() if s != seat}),
    )
    for other in others:
        assert not looks.steps_of(plan(other), Found)


@pytest.mark.parametrize("state", [MemberState.BLANK, MemberState.FOUNDING])
def test_a_founding_waits_for_a_volume_that_stays_and_says_so(state: MemberState) -> None:
    """On a claim that is being deleted the seat was lost with the end of its first pod, for good:
    a volume that was emptied has no vote, and members cannot be replaced."""
    look = looks.with_word(looks.with_claim(unfounded(), 1, deleting=True), 1, state=state)
    made = plan(look)
    assert not looks.steps_of(made, Found)
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.VOLUME_GOING
    assert "delete the pod" in looks.message_of(made, Condition.RECONCILED)
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.CREATING
    assert "orders-1" in looks.message_of(made, Condition.PROGRESSING)
    another = looks.with_claim(look, 1, deleting=False, uid="another")
    assert looks.steps_of(plan(looks.later(another, 5, made)), Found)


def test_a_monitor_of_somebody_else_is_told_and_stops_nothing() -> None:
    """Members were made beside it, never founded, and later never updated."""
    body = {"metadata": {"name": "orders"}}
    monitor = Child("PodMonitor", "orders", "m", "1", "another", body)

    def beside(look: Observed) -> Observed:
        children = (*look.children, monitor)
        return replace(look, children=children, pod_monitors_served=True)

    first = plan(beside(unfounded()))
    assert looks.steps_of(first, Found)
    later = plan(beside(looks.outdated(looks.settled(), 0, 1, 2)))
    assert looks.disruption(later) is not None
    for made in (first, later):
        assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT
        assert "PodMonitor" in looks.message_of(made, Condition.RECONCILED)
    going = plan(beside(looks.with_claim(looks.outdated(looks.settled(), 0, 1), 0, deleting=True)))
    assert looks.disruption(going) is None
    assert looks.reason_of(going, Condition.RECONCILED) is Reason.VOLUME_GOING


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "Secret"])
def test_nothing_is_founded_beside_an_object_of_somebody_else(kind: str) -> None:
    look = unfounded()
    children = tuple(
        replace(child, controller_uid="another") if child.kind == kind else child
        for child in look.children
    )
    assert not looks.steps_of(plan(replace(look, children=children)), Found)


def test_one_claim_that_remembers_is_enough() -> None:
    made = plan(looks.with_claim(unfounded(), 2, founded=True))
    assert not looks.steps_of(made, Found)
    (step,) = looks.steps_of(made, WriteIdentity)
    assert isinstance(step, WriteIdentity)
    assert step.founded


def test_the_stateful_set_remembers_when_status_and_claims_are_gone() -> None:
    look = replace(unfounded(), stateful_set=looks.settled().stateful_set)
    assert not looks.steps_of(plan(look), Found)


def marked(look: Observed, cluster_id: str) -> Observed:
    """Return the look with the StatefulSet of a founded cluster of this id."""
    live = looks.settled().stateful_set
    assert live is not None
    metadata = lenient.metadata(live.body)
    marks = {**lenient.mapping(metadata["annotations"]), labels.CLUSTER_ID_ANNOTATION: cluster_id}
    body = {**live.body, "metadata": {**metadata, "annotations": marks}}
    return replace(look, stateful_set=replace(live, body=body))


def test_what_another_cluster_remembers_founds_nothing_here() -> None:
    """The founding is recorded for good: this cluster could never be founded then."""
    look, other = unfounded(), "f" * 32
    assert looks.steps_of(plan(marked(look, look.resource.status.cluster_id)), WriteIdentity)
    for seen in (
        marked(look, other),
        looks.with_claim(look, 1, cluster_id=other, founded=True),
        looks.with_word(look, 1, cluster_id=other, founded=True),
    ):
        assert not looks.steps_of(plan(seen), WriteIdentity)


def test_volumes_that_are_all_lost_are_told_and_left_alone() -> None:
    made = plan(looks.all_blank(looks.settled()))
    assert not looks.steps_of(made, Found)
    assert looks.reason_of(made, Condition.READY) is Reason.ALL_VOLUMES_LOST
    assert made.status.state == "VolumesLost"


def test_a_broken_founding_names_the_seat() -> None:
    look = looks.with_word(
        unfounded(), 1, state=MemberState.FOUNDING_BROKEN, reason="seat 2 changed"
    )
    made = plan(look)
    assert not looks.steps_of(made, Found)
    assert looks.reason_of(made, Condition.DEGRADED) is Reason.FOUNDING_BROKEN
    assert "seat 2 changed" in looks.message_of(made, Condition.DEGRADED)


def test_what_was_founded_is_written_on_every_volume() -> None:
    look = looks.settled()
    for seat in look.claims:
        look = looks.with_claim(look, seat, founded=False)
    patches = [s for s in plan(look).steps if type(s).__name__ == "PatchClaim"]
    assert len(patches) == 3


def test_the_stateful_set_is_marked() -> None:
    assert looks.settled().stateful_set is not None
    look = replace(looks.settled(), stateful_set=unfounded().stateful_set)
    (step,) = looks.steps_of(plan(look), ApplyChild)
    assert isinstance(step, ApplyChild)
    assert step.body["kind"] == "StatefulSet"


def test_a_paused_cluster_is_not_founded() -> None:
    assert not looks.steps_of(plan(looks.with_spec(unfounded(), paused=True)), Found)
