"""Names that two want: nobody takes or damages what is another's, and the words say what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from quorate_kubernetes_model import looks, specs
from quorate_kubernetes_model.walk import make_world, settle
from quorate_operator import labels
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import ApplyChild, CreateChild, Found, WriteIdentity
from quorate_operator.planning.observed import Child, Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason
from quorate_operator.resources import Intent, children

NEIGHBOURS = ["orders-leader", "orders-members"]


def of(name: str, uid: str = "neighbour") -> list[Child]:
    """Return the children of another ClusterService."""
    intent = Intent(name, "shop", uid, specs.make_spec(), "ab" * 16, None, "here")
    bodies = children(intent, pod_monitors_served=True)
    return [child_of(body) for body in bodies]


def child_of(body: Mapping[str, object], controller: str = "neighbour") -> Child:
    metadata = body["metadata"]
    assert isinstance(metadata, Mapping)
    return Child(str(body["kind"]), str(metadata["name"]), "n", "1", controller, body)


def beside(look: Observed, name: str) -> tuple[Observed, Child]:
    """Return the look where a neighbour has the Service that both need, and that Service."""
    ours = {(child.kind, child.name) for child in look.children}
    (shared,) = (child for child in of(name) if (child.kind, child.name) in ours)
    rest = (c for c in look.children if (c.kind, c.name) != (shared.kind, shared.name))
    return replace(look, children=(*rest, shared)), shared


def unfounded() -> Observed:
    """Return a look at a resource that has an identity and all children but the StatefulSet."""
    look = looks.settled()
    status = ClusterStatus(cluster_id=look.resource.status.cluster_id)
    return replace(
        looks.with_status(look, status), stateful_set=None, pods={}, claims={}, members={}
    )


def message(look: Observed) -> str:
    made = plan(look)
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT
    return looks.message_of(made, Condition.RECONCILED)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_neighbour_with_a_name_of_ours_shares_one_service_with_us(name: str) -> None:
    _, shared = beside(looks.settled(), name)
    assert (shared.kind, shared.name) == ("Service", name)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_what_a_neighbour_has_is_left_to_it_and_the_words_name_it(name: str) -> None:
    look, _ = beside(looks.settled(), name)
    made = plan(looks.outdated(look, 0, 1, 2))
    assert not made.steps, "neither its object nor a member is touched"
    words = message(look)
    assert f"Service {name} is controlled by ClusterService {name} neighbour" in words
    assert "under another name" in words
    assert "waiting" not in words, "it never goes by itself"
    assert looks.reason_of(made, Condition.READY) is Reason.ALL_MEMBERS_CAUGHT_UP


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_the_later_of_two_makes_no_pod_and_no_volume(name: str) -> None:
    look, _ = beside(unfounded(), name)
    made = plan(look)
    applied = {s.body["kind"] for s in made.steps if isinstance(s, ApplyChild)}
    assert "StatefulSet" not in applied
    assert not looks.steps_of(made, Found)
    free = plan(unfounded())
    assert "StatefulSet" in {s.body["kind"] for s in free.steps if isinstance(s, ApplyChild)}


def test_an_object_of_the_resource_before_is_waited_for() -> None:
    look = looks.settled()
    for kind in ("Service", "Secret", "StatefulSet"):
        before = [replace(child, kind=kind) for child in of("orders") if child.kind == "Service"]
        child = replace(before[0], name="orders-auth" if kind == "Secret" else "orders")
        if kind == "StatefulSet":
            held = replace(look, stateful_set=child)
        else:
            rest = (c for c in look.children if (c.kind, c.name) != (kind, child.name))
            held = replace(look, children=(*rest, child))
        words = message(held)
        assert f"{kind} {child.name} is controlled by ClusterService orders neighbour" in words
        assert "waiting for its end, which follows that of the resource before" in words


def test_what_another_operator_controls_is_named_with_both_ways_out() -> None:
    owner = {
        "apiVersion": "example.io/v1",
        "kind": "Shop",
        "name": "eu",
        "uid": "s",
        "controller": 1,
    }
    body = {"kind": "Service", "metadata": {"name": "orders", "ownerReferences": [owner]}}
    look = looks.settled()
    rest = (c for c in look.children if (c.kind, c.name) != ("Service", "orders"))
    words = message(replace(look, children=(*rest, child_of(body, "s"))))
    assert "Service orders is controlled by Shop eu s" in words
    assert "use another name for this resource" in words


@pytest.mark.parametrize("owner", ["", "another"])
def test_a_stateful_set_that_was_there_first_is_not_called_ours(owner: str) -> None:
    """Its user is not told to bring volumes back that never were, nor that it may be deleted."""
    body = {"kind": "StatefulSet", "metadata": {"name": "orders", "uid": "n"}, "spec": {}}
    look = replace(looks.blank(), stateful_set=child_of(body, owner))
    made = plan(look)
    assert not made.steps
    words = message(look)
    assert "StatefulSet orders" in words
    assert "use another name" in words


def test_an_orphan_of_ours_without_volumes_is_still_a_riddle() -> None:
    look = looks.settled()
    assert look.stateful_set is not None
    orphan = replace(look.stateful_set, controller_uid="")
    wiped = replace(looks.with_status(look, ClusterStatus()), stateful_set=orphan, claims={})
    made = plan(wiped)
    assert not looks.steps_of(made, WriteIdentity)
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.VOLUMES_DISAGREE


def with_secret(look: Observed, data: dict[str, str], marks: dict[str, str]) -> Observed:
    metadata = {"name": "orders-auth", "uid": "n", "labels": marks}
    secret = child_of({"kind": "Secret", "metadata": metadata, "data": data}, "")
    rest = (child for child in look.children if child.kind != "Secret")
    return replace(look, children=(*rest, secret))


@pytest.mark.parametrize("missing", [{"member"}, {"token"}, {"member", "token"}])
@pytest.mark.parametrize("marks", [{}, {labels.CLUSTER_LABEL: "orders"}])
def test_a_secret_without_what_members_need_stops_pods_and_says_which_key(
    missing: set[str], marks: dict[str, str]
) -> None:
    """Kubernetes would say only that volumes are not ready, and that for ever."""
    held = dict.fromkeys({"member", "token", "password"} - missing, "eA==")
    for look in (unfounded(), looks.outdated(looks.settled(), 0, 1, 2)):
        wrong = with_secret(look, held, marks)
        made = plan(wrong)
        assert looks.disruption(made) is None
        assert not looks.steps_of(made, CreateChild)
        kinds = {s.body["kind"] for s in made.steps if isinstance(s, ApplyChild)}
        assert "StatefulSet" not in kinds
        words = message(wrong)
        assert f"Secret orders-auth lacks {' and '.join(sorted(missing))}" in words
        assert "delete it if nothing else uses it" in words


@pytest.mark.parametrize("marks", [{}, {labels.CLUSTER_LABEL: "orders"}])
def test_a_secret_with_both_keys_serves_whoever_made_it(marks: dict[str, str]) -> None:
    look = with_secret(looks.settled(), {"member": "eA==", "token": "eA=="}, marks)
    made = plan(look)
    assert not made.steps
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.APPLIED


def test_what_was_in_the_way_goes_and_the_cluster_comes() -> None:
    """In the model: a Service that is somebody else's for a minute."""
    world = make_world(7, 3, errors=0.0)
    body: dict[str, object] = {
        "kind": "Service",
        "metadata": {"name": "orders-members", "uid": "n", "resourceVersion": "1"},
    }
    world.store.children["Service", "orders-members"] = body
    settle(world)
    assert not world.store.pods
    assert not world.store.claims
    assert world.status.state == "Blocked"
    assert world.store.children["Service", "orders-members"] is body
    del world.store.children["Service", "orders-members"]
    settle(world)
    assert world.status.state == "Ready"
