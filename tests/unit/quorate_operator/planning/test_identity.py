"""A cluster's identity is chosen once, taken over where it is, and never guessed."""

from dataclasses import replace

import pytest

from quorate_kubernetes_model import looks
from quorate_operator import labels
from quorate_operator.model import ClusterStatus, StorageSpec
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    Found,
    PatchClaim,
    Plan,
    WriteIdentity,
)
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason

MAKING = ApplyChild | CreateChild | PatchClaim | Found


def wiped(look: Observed) -> Observed:
    return looks.with_status(look, ClusterStatus())


def makes_nothing(made: Plan) -> bool:
    return not any(isinstance(step, MAKING | WriteIdentity) for step in made.steps)


def test_a_first_look_chooses_an_id_and_does_nothing_else() -> None:
    made = plan(looks.blank())
    (step,) = made.steps
    assert isinstance(step, WriteIdentity)
    assert len(step.cluster_id) == 32
    assert not step.founded


@pytest.mark.parametrize("left", ["claims", "pods", "stateful_set"])
def test_no_id_is_chosen_while_anything_is_there(left: str) -> None:
    there = looks.settled()
    bare = replace(wiped(there), claims={}, pods={}, stateful_set=None, children=())
    made = plan(replace(bare, **{left: getattr(there, left)}))
    known = there.resource.status.cluster_id
    for step in looks.steps_of(made, WriteIdentity):
        assert isinstance(step, WriteIdentity)
        assert step.cluster_id == known, "an id was made up over what is there"
    if left != "claims":
        assert makes_nothing(made)


def test_a_wiped_status_is_taken_over_with_its_founding() -> None:
    there = looks.settled()
    made = plan(wiped(there))
    (step,) = looks.steps_of(made, WriteIdentity)
    assert isinstance(step, WriteIdentity)
    assert (step.cluster_id, step.founded) == (there.resource.status.cluster_id, True)
    assert looks.disruption(made) is None


def test_founding_is_learned_from_members_whose_claims_lost_the_mark() -> None:
    look = looks.settled()
    status = replace(look.resource.status, founded=False)
    for seat in look.claims:
        look = looks.with_claim(look, seat, founded=False)
    made = plan(looks.with_status(look, status))
    (step,) = looks.steps_of(made, WriteIdentity)
    assert isinstance(step, WriteIdentity)
    assert step.founded
    assert not looks.steps_of(made, Found)


def test_the_epoch_follows_a_majority_and_not_a_single_member() -> None:
    look = looks.settled()
    one = looks.with_word(look, 0, epoch=7)
    assert not looks.steps_of(plan(one), WriteIdentity)
    (step,) = looks.steps_of(plan(looks.with_word(one, 1, epoch=9)), WriteIdentity)
    assert isinstance(step, WriteIdentity)
    assert step.epoch == 7


@pytest.mark.parametrize("other", ["", "f" * 32])
def test_volumes_that_disagree_stop_everything(other: str) -> None:
    look = wiped(looks.settled())
    made = plan(looks.with_claim(look, 1, cluster_id=other))
    assert makes_nothing(made)
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.VOLUMES_DISAGREE
    assert "log-orders-1" in looks.message_of(made, Condition.RECONCILED)


def test_volumes_that_disagree_with_their_own_stateful_set_stop_everything() -> None:
    look = wiped(looks.settled())
    for seat in look.claims:
        look = looks.with_claim(look, seat, cluster_id="f" * 32)
    made = plan(look)
    assert makes_nothing(made)
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.VOLUMES_DISAGREE
    assert "StatefulSet" in looks.message_of(made, Condition.RECONCILED)


@pytest.mark.parametrize(
    "values",
    [{"cluster_label": "billing"}, {"owner_uid": "another"}, {"cluster_id": "f" * 32}],
)
@pytest.mark.parametrize("is_wiped", [False, True])
def test_a_foreign_volume_stops_everything(values: dict[str, str], *, is_wiped: bool) -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    look = looks.with_claim(wiped(look) if is_wiped else look, 1, **values)
    made = plan(look)
    assert makes_nothing(made)
    assert looks.disruption(made) is None
    wanted = {Reason.FOREIGN_VOLUME, Reason.VOLUMES_DISAGREE if "cluster_id" in values else None}
    assert looks.reason_of(made, Condition.RECONCILED) in wanted


def again(look: Observed, replicas: int) -> Observed:
    """Return the look after the resource was deleted and made again, with retained volumes."""
    made = looks.with_spec(wiped(look), replicas=replicas)
    resource = replace(made.resource, uid="another resource")
    return replace(made, resource=resource, stateful_set=None, pods={}, members={}, children=())


def test_a_resource_made_again_adopts_its_volumes() -> None:
    there = looks.settled()
    made = plan(again(there, 3))
    (step,) = looks.steps_of(made, WriteIdentity)
    assert isinstance(step, WriteIdentity)
    assert (step.cluster_id, step.founded) == (there.resource.status.cluster_id, True)


@pytest.mark.parametrize("held", ["512Mi", "20Gi"])
def test_volumes_of_another_size_are_taken_over_and_told(held: str) -> None:
    """The StatefulSet takes a claim by its name: its size is what it was, whatever is asked for."""
    look = again(looks.settled(), 3)
    for seat in look.claims:
        look = looks.with_claim(look, seat, size=held if seat else "1024Mi")
    made = plan(look)
    assert looks.steps_of(made, WriteIdentity)
    (note,) = (note for note in made.notes if note.reason is Reason.IDENTITY_TAKEN_OVER)
    words = f"log-orders-1, log-orders-2 has {held}, spec.storage.size is 1Gi"
    assert note.warning
    assert words in note.message
    assert "log-orders-0" not in note.message, "1024Mi is 1Gi"


def test_it_is_told_for_as_long_as_volumes_are_other_than_asked_for_and_stops_nothing() -> None:
    look = looks.with_claim(looks.outdated(looks.settled(), 0, 1, 2), 1, size="2Gi")
    extra = replace(look.claims[0], seat=7, name="log-orders-7", size="3Gi")
    made = plan(replace(look, claims={**look.claims, 7: extra}))
    assert looks.disruption(made) is not None
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.APPLIED
    words = looks.message_of(made, Condition.RECONCILED)
    assert words.endswith(": log-orders-1 has 2Gi, spec.storage.size is 1Gi")


def test_volumes_of_another_class_are_told() -> None:
    look = looks.with_claim(looks.settled(), 1, size="1Gi", class_name="slow")
    storage = StorageSpec("1Gi", "fast")
    made = plan(looks.with_spec(look, storage=storage))
    words = looks.message_of(made, Condition.RECONCILED)
    assert words.endswith(": log-orders-1 has slow, spec.storage.className is fast")


@pytest.mark.parametrize("values", [{}, {"size": "1Gi", "class_name": "standard"}])
def test_volumes_as_asked_for_or_of_the_default_class_are_not_told(values: dict[str, str]) -> None:
    look = again(looks.settled(), 3)
    for seat in look.claims:
        look = looks.with_claim(look, seat, **values)
    made = plan(look)
    (note,) = (note for note in made.notes if note.reason is Reason.IDENTITY_TAKEN_OVER)
    assert "spec.storage" not in note.message
    assert not note.warning


@pytest.mark.parametrize("seats", [[0, 1, 2], [1]])
def test_a_resource_made_again_waits_for_the_end_of_claims_that_are_being_deleted(
    seats: list[int],
) -> None:
    """Else it took over what its user had just thrown away, and stood with no volume at all."""
    look = again(looks.settled(), 3)
    for seat in seats:
        look = looks.with_claim(look, seat, deleting=True)
    made = plan(look)
    assert makes_nothing(made)
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.VOLUME_GOING
    assert f"log-orders-{seats[0]}" in looks.message_of(made, Condition.RECONCILED)
    (step,) = looks.steps_of(plan(replace(look, claims={})), WriteIdentity)
    assert isinstance(step, WriteIdentity)
    assert step.cluster_id != looks.settled().resource.status.cluster_id, "it begins anew"


def test_a_wiped_status_is_taken_over_also_while_a_claim_is_being_deleted() -> None:
    look = looks.with_claim(wiped(looks.settled()), 1, deleting=True)
    assert looks.steps_of(plan(look), WriteIdentity)


@pytest.mark.parametrize("replicas", [1, 5])
def test_a_resource_made_again_with_other_replicas_is_refused(replicas: int) -> None:
    made = plan(again(looks.settled(), replicas))
    assert not made.steps
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.REPLICAS_DIFFER
    words = looks.message_of(made, Condition.RECONCILED)
    assert str(replicas) in words
    assert "3 volumes" in words


def test_an_orphaned_stateful_set_does_not_make_kept_volumes_those_of_a_running_cluster() -> None:
    there = looks.settled().stateful_set
    assert there is not None
    orphan = replace(there, controller_uid="")
    more = plan(replace(again(looks.settled(), 5), stateful_set=orphan))
    assert looks.reason_of(more, Condition.RECONCILED) is Reason.REPLICAS_DIFFER
    look = replace(again(looks.settled(), 3), stateful_set=orphan)
    assert looks.steps_of(plan(look), WriteIdentity)
    going = plan(looks.with_claim(look, 1, deleting=True))
    assert makes_nothing(going)
    assert looks.reason_of(going, Condition.RECONCILED) is Reason.VOLUME_GOING


def test_a_claim_that_has_lost_its_cluster_id_gets_it_again() -> None:
    look = looks.settled()
    (step,) = looks.steps_of(plan(looks.with_claim(look, 1, cluster_id="")), PatchClaim)
    assert isinstance(step, PatchClaim)
    assert step.name == "log-orders-1"
    wanted = {labels.CLUSTER_ID_ANNOTATION: look.resource.status.cluster_id}
    assert step.patch == {"metadata": {"annotations": wanted}}


def test_a_status_wiped_while_a_volume_is_missing_is_taken_over() -> None:
    look = wiped(looks.settled())
    claims = {seat: claim for seat, claim in look.claims.items() if seat != 1}
    assert looks.steps_of(plan(replace(look, claims=claims)), WriteIdentity)


def test_an_id_that_is_recorded_stays() -> None:
    made = plan(looks.settled())
    assert not looks.steps_of(made, WriteIdentity)
