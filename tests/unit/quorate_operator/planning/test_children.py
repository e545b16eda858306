"""Objects are applied when they differ, never taken from others, and old copies go last."""

from dataclasses import replace

import pytest

from quorate.config import Durability
from quorate_kubernetes_model import looks, specs
from quorate_operator.model import ConsensusSpec, ServiceSpec, VolumeRetention
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeleteChild,
    LabelSource,
    PatchClaim,
)
from quorate_operator.planning.observed import Child, Observed, Source
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason

KINDS = sorted({child.kind for child in looks.settled().children})


def of_kind(look: Observed, kind: str) -> Child:
    return next(child for child in look.children if child.kind == kind)


def with_child(look: Observed, old: Child, new: Child | None) -> Observed:
    rest = tuple(child for child in look.children if child is not old)
    return replace(look, children=rest if new is None else (*rest, new))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_made_again_and_nothing_else(kind: str) -> None:
    look = looks.settled()
    made = plan(with_child(look, of_kind(look, kind), None))
    (step,) = made.steps
    assert isinstance(step, CreateChild if kind == "Secret" else ApplyChild)
    assert step.body["kind"] == kind


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Secret"])
@pytest.mark.parametrize("whose", ["another controller", "nobody's, unlabelled"])
def test_what_belongs_to_others_is_waited_for(kind: str, whose: str) -> None:
    look = looks.settled()
    child = of_kind(look, kind)
    if whose == "another controller":
        other = replace(child, controller_uid="another")
    else:
        body = {**child.body, "metadata": {"name": child.name, "uid": "u"}}
        other = replace(child, controller_uid="", body=body)
    made = plan(with_child(look, child, other))
    assert not made.steps
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT
    assert child.name in looks.message_of(made, Condition.RECONCILED)


def test_a_secret_that_is_about_to_go_is_waited_for_before_any_pod_is_made() -> None:
    look = looks.settled()
    secret = of_kind(look, "Secret")
    going = with_child(look, secret, replace(secret, controller_uid="another"))
    for start in (replace(going, stateful_set=None), looks.outdated(going, 0, 1, 2)):
        made = plan(start)
        assert looks.disruption(made) is None
        assert not [s for s in looks.steps_of(made, ApplyChild) if s.body["kind"] == "StatefulSet"]  # type: ignore[union-attr]
        assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT
        assert secret.name in looks.message_of(made, Condition.RECONCILED)
    kept = with_child(look, secret, replace(secret, controller_uid=""))
    assert not plan(kept).steps, "one that was orphaned goes on"


@pytest.mark.parametrize("volumes", list(VolumeRetention))
def test_the_secret_goes_with_the_resource_whatever_is_to_become_of_volumes(
    volumes: VolumeRetention,
) -> None:
    look = looks.with_spec(looks.settled(), volumes=volumes)
    (step,) = looks.steps_of(plan(with_child(look, of_kind(look, "Secret"), None)), CreateChild)
    assert isinstance(step, CreateChild)
    (reference,) = step.body["metadata"]["ownerReferences"]  # type: ignore[index]
    assert (reference["uid"], reference["controller"]) == (look.resource.uid, True)


def test_a_stateful_set_of_another_controller_is_not_touched_nor_its_pods() -> None:
    look = looks.settled()
    assert look.stateful_set is not None
    taken = replace(look.stateful_set, controller_uid="another")
    made = plan(replace(looks.outdated(look, 0, 1, 2), stateful_set=taken))
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT


def test_an_orphan_with_our_cluster_id_is_adopted() -> None:
    look = looks.settled()
    assert look.stateful_set is not None
    metadata = {**look.stateful_set.body["metadata"], "ownerReferences": []}
    orphan = replace(
        look.stateful_set,
        controller_uid="",
        body={**look.stateful_set.body, "metadata": metadata},
    )
    made = plan(replace(look, stateful_set=orphan))
    (step,) = looks.steps_of(made, ApplyChild)
    assert isinstance(step, ApplyChild)
    assert step.uid == orphan.uid


def test_another_installation_is_left_in_peace_with_its_status() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    made = plan(replace(look, installation="elsewhere/quorate"))
    assert not made.steps
    assert made.status == look.resource.status
    assert [note.reason for note in made.notes] == [Reason.OTHER_INSTALLATION]


def test_missing_code_stops_changes_and_not_the_cluster() -> None:
    look = looks.with_spec(looks.settled(), service=ServiceSpec("orders:Orders", "orders-code"))
    made = plan(look)
    assert not made.steps
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.CODE_MISSING
    assert "orders-code" in looks.message_of(made, Condition.RECONCILED)
    assert looks.reason_of(made, Condition.READY) is Reason.ALL_MEMBERS_CAUGHT_UP
    copied = plan(replace(look, code={"orders.py": "class Orders: ..."}))
    kinds = [s.body["kind"] for s in copied.steps if isinstance(s, ApplyChild)]
    assert kinds == ["ConfigMap", "StatefulSet"]


@pytest.mark.parametrize("is_readable", [True, False])
def test_an_update_whose_code_is_taken_away_has_not_finished(*, is_readable: bool) -> None:
    """It was told as finished, while old and new code served side by side."""
    look = looks.with_spec(looks.settled(), service=ServiceSpec("orders:Orders", "orders-code"))
    code = {"orders.py": "class Orders: ..."}
    begun = plan(replace(look, code=code))
    assert begun.status.update is not None
    look = looks.later(look, 5, begun)
    resource = look.resource
    blind = replace(look, resource=replace(resource, spec=resource.spec if is_readable else None))
    made = plan(blind)
    assert made.status.update == begun.status.update
    assert Reason.UPDATE_FINISHED not in {note.reason for note in made.notes}
    again = plan(replace(looks.later(look, 5, made), code=code))
    assert Reason.UPDATE_STARTED not in {note.reason for note in again.notes}, "it goes on"
    taken_back = looks.with_spec(looks.later(look, 5, made), service=ServiceSpec("orders:Orders"))
    notes = plan(taken_back).notes
    assert Reason.UPDATE_FINISHED in {note.reason for note in notes}


def test_the_source_of_the_code_is_labelled_once_so_that_a_change_is_news() -> None:
    look = looks.with_spec(looks.settled(), service=ServiceSpec("orders:Orders", "orders-code"))
    look = replace(look, code={"orders.py": ""}, source=Source("orders-code", "m", False))
    assert plan(look).label_source == LabelSource("orders-code", "m")
    for other in (
        replace(look, source=Source("orders-code", "m", True)),
        replace(look, source=None, code=None),
        looks.with_spec(look, paused=True),
        replace(look, installation="elsewhere/quorate"),
    ):
        assert plan(other).label_source is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Secret"])
def test_missing_code_does_not_stop_the_repair_of_what_needs_none(kind: str) -> None:
    look = looks.with_spec(looks.settled(), service=ServiceSpec("orders:Orders", "orders-code"))
    look, _ = with_old_copy(look)
    made = plan(with_child(look, of_kind(look, kind), None))
    (step,) = made.steps
    assert isinstance(step, ApplyChild)
    assert step.body["kind"] == kind
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.CODE_MISSING


def test_a_spec_that_cannot_be_read_changes_nothing() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    resource = replace(look.resource, spec=None, problems=("spec.replicas is 4: make it odd",))
    made = plan(replace(look, resource=resource))
    assert not made.steps
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.INVALID_SPEC
    assert "make it odd" in looks.message_of(made, Condition.RECONCILED)
    assert looks.reason_of(made, Condition.READY) is Reason.ALL_MEMBERS_CAUGHT_UP


def with_old_copy(look: Observed) -> tuple[Observed, Child]:
    old = replace(of_kind(look, "ConfigMap"), name="orders-config-0000", uid="old")
    return replace(look, children=(*look.children, old)), old


def test_an_old_copy_goes_when_nothing_names_it() -> None:
    look, old = with_old_copy(looks.settled())
    assert plan(look).steps == (DeleteChild("ConfigMap", old.name, "old"),)


def test_an_old_copy_stays_while_something_may_name_it() -> None:
    look, old = with_old_copy(looks.settled())
    named = look.pods[1].config_maps | {old.name}
    for other in (
        looks.with_pod(look, 1, config_maps=named),
        looks.with_pod(look, 1, config_maps=frozenset()),
        looks.with_spec(look, image=specs.ALSO_GOOD),
        with_child(look, old, replace(old, controller_uid="another")),
        with_child(look, old, replace(old, name="orders-configuration")),
    ):
        assert not looks.steps_of(plan(other), DeleteChild)


def test_volumes_belong_to_the_resource_only_if_it_says_so() -> None:
    look = looks.settled()
    made = plan(looks.with_spec(look, volumes=VolumeRetention.DELETE))
    patches = looks.steps_of(made, PatchClaim)
    assert len(patches) == len(look.claims)
    owned = looks.with_spec(look, volumes=VolumeRetention.DELETE)
    for seat in look.claims:
        owned = looks.with_claim(owned, seat, owner_uid=look.resource.uid)
    assert not plan(owned).steps
    freed = looks.steps_of(plan(looks.with_spec(owned, volumes=VolumeRetention.RETAIN)), PatchClaim)
    assert [step.patch for step in freed if isinstance(step, PatchClaim)] == [
        {"metadata": {"ownerReferences": []}}
    ] * len(look.claims)
    paused = looks.with_spec(owned, volumes=VolumeRetention.RETAIN, paused=True)
    assert not plan(paused).steps


def test_owners_that_others_have_given_a_claim_stay() -> None:
    """A merge patch replaces the whole list."""
    look = looks.settled()
    another = {"apiVersion": "v1", "kind": "ConfigMap", "name": "guard", "uid": "g"}
    guarded = looks.with_claim(look, 0, other_owners=(another,))
    for volumes, owner_uid, count in (
        (VolumeRetention.DELETE, "", 2),
        (VolumeRetention.RETAIN, look.resource.uid, 1),
    ):
        asked = looks.with_claim(looks.with_spec(guarded, volumes=volumes), 0, owner_uid=owner_uid)
        patches = [step for step in plan(asked).steps if isinstance(step, PatchClaim)]
        patch = next(step.patch for step in patches if step.name == look.claims[0].name)
        references = patch["metadata"]["ownerReferences"]  # type: ignore[index]
        assert another in references
        assert len(references) == count


def test_a_claim_that_is_going_is_left_alone() -> None:
    look = looks.with_claim(looks.settled(), 1, founded=False, deleting=True)
    assert not looks.steps_of(plan(look), PatchClaim)


@pytest.mark.parametrize("volumes", list(VolumeRetention))
def test_a_claim_beyond_the_seats_is_nobodys_business(volumes: VolumeRetention) -> None:
    """With an owner it would be deleted with the resource, whatever it holds."""
    look = looks.with_spec(looks.settled(), volumes=volumes)
    extra = replace(look.claims[0], seat=7, name="log-orders-7", cluster_id="", founded=False)
    made = plan(replace(look, claims={**look.claims, 7: extra}))
    patched = {step.name for step in looks.steps_of(made, PatchClaim)}  # type: ignore[union-attr]
    assert "log-orders-7" not in patched


def test_a_spec_that_a_member_would_refuse_is_told_and_changes_nothing() -> None:
    """A definition of another release may let it in; pods that start with it would all crash."""
    look = looks.outdated(looks.settled(), 0, 1, 2)
    made = plan(looks.with_spec(look, consensus=ConsensusSpec(100, 100, Durability.FSYNC)))
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.INVALID_SPEC
    assert "a member would refuse" in looks.message_of(made, Condition.RECONCILED)
    assert made.steps == ()


def test_missing_code_does_not_take_the_code_out_of_the_template() -> None:
    """Pods that restart meanwhile start with the copy; without it all of them would crash."""
    look = looks.with_spec(looks.settled(), service=ServiceSpec("orders:Orders", "orders-code"))
    steps = plan(replace(look, code={"orders.py": ""})).steps
    bodies = [step.body for step in steps if isinstance(step, ApplyChild)]
    (body,) = (body for body in bodies if body["kind"] == "StatefulSet")
    assert look.stateful_set is not None
    coded = replace(look, stateful_set=replace(look.stateful_set, body=body))
    made = plan(coded)
    kinds = [step.body["kind"] for step in made.steps if isinstance(step, ApplyChild)]
    assert "StatefulSet" not in kinds
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.CODE_MISSING
