"""What the operator writes, against a real API server: exactly the object that it means."""

from __future__ import annotations

from typing import Any, cast

import pytest

from quorate.clock import SystemClock
from quorate_api_server.bed import Bed, body_of, cluster_service, pod_body
from quorate_operator import lenient
from quorate_operator.bodies import read_resource
from quorate_operator.errors import Conflict, Deferred, Gone, OperatorError, Refused
from quorate_operator.kube import kinds, read
from quorate_operator.kube.act import Actor, ObjectStep
from quorate_operator.kube.api import MERGE, Api
from quorate_operator.kube.events import Herald
from quorate_operator.kube.kinds import Kind
from quorate_operator.model import ClusterStatus, QuorumRow
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeletePod,
    EvictPod,
    LabelPod,
    Note,
    WriteIdentity,
)
from quorate_operator.planning.observed import Body, Resource
from quorate_operator.reasons import Reason


async def resource_in(api: Api, namespace: str, name: str = "bank") -> Resource:
    return read_resource(await api.get(kinds.CLUSTER_SERVICE, namespace, name))


async def made(admin: Api, namespace: str) -> Resource:
    await admin.create(kinds.CLUSTER_SERVICE, namespace, cluster_service("bank", namespace), "t")
    return await resource_in(admin, namespace)


def uid(body: Body) -> str:
    return lenient.text(lenient.metadata(body).get("uid"))


def version(body: Body) -> str:
    return lenient.text(lenient.metadata(body).get("resourceVersion"))


def service(namespace: str, **labels: str) -> dict[str, Any]:
    body = body_of(kinds.SERVICE, "bank", namespace, spec={"ports": [{"port": 9010}]})
    body["metadata"]["labels"] = labels
    return body


def test_an_applied_child_is_changed_only_while_it_is_the_same_object(
    bed: Bed, namespace: str
) -> None:
    async def story(admin: Api, operator: Api) -> None:
        resource, actor = await made(admin, namespace), Actor(operator)
        await actor.act(resource, ApplyChild(service(namespace, a="1"), ""))
        first = await admin.get(kinds.SERVICE, namespace, "bank")
        await actor.act(resource, ApplyChild(service(namespace, b="2"), uid(first)))
        second = await admin.get(kinds.SERVICE, namespace, "bank")
        assert lenient.metadata(second)["labels"] == {"b": "2"}, "what is not intended goes"
        await admin.delete(kinds.SERVICE, namespace, "bank", uid(first))
        with pytest.raises(Conflict):
            await actor.act(resource, ApplyChild(service(namespace, c="3"), uid(first)))
        assert await admin.find(kinds.SERVICE, namespace, "bank") is None, "nor made anew"
        await admin.create(kinds.SERVICE, namespace, service(namespace, mine="yes"), "somebody")
        with pytest.raises(Conflict):
            await actor.act(resource, ApplyChild(service(namespace, c="3"), uid(first)))
        theirs = await admin.get(kinds.SERVICE, namespace, "bank")
        assert lenient.metadata(theirs)["labels"] == {"mine": "yes"}

    bed.run(story)


def test_a_secret_is_made_once_and_never_changed(bed: Bed, namespace: str) -> None:
    async def story(admin: Api, operator: Api) -> None:
        resource, actor = await made(admin, namespace), Actor(operator)
        for text in ("first", "second"):
            body = body_of(kinds.SECRET, "bank-auth", namespace, stringData={"token": text})
            await actor.act(resource, CreateChild(body))
        found = await admin.get(kinds.SECRET, namespace, "bank-auth")
        assert lenient.mapping(found["data"])["token"] == "Zmlyc3Q="

    bed.run(story)


def test_labels_reach_the_pod_that_was_seen_and_make_none(bed: Bed, namespace: str) -> None:
    async def story(admin: Api, operator: Api) -> None:
        resource, actor = await made(admin, namespace), Actor(operator)
        pod = await admin.create(kinds.POD, namespace, pod_body("bank-0", namespace), "t")
        label = LabelPod(
            "bank-0", uid(pod), {"quorate.io/role": "leader"}, {"quorate.io/term": "4"}
        )
        await actor.act(resource, label)
        seen = read.pod(await admin.get(kinds.POD, namespace, "bank-0"), 0)
        assert (seen.role, seen.term) == ("leader", 4)
        remove = LabelPod("bank-0", uid(pod), {"quorate.io/role": None}, {})
        await actor.act(resource, remove)
        assert read.pod(await admin.get(kinds.POD, namespace, "bank-0"), 0).role == ""
        await admin.delete(kinds.POD, namespace, "bank-0", uid(pod))
        with pytest.raises(Gone):
            await actor.act(resource, label)
        await admin.create(kinds.POD, namespace, pod_body("bank-0", namespace), "t")
        with pytest.raises(Conflict):
            await actor.act(resource, label)
        assert read.pod(await admin.get(kinds.POD, namespace, "bank-0"), 0).role == ""

    bed.run(story)


@pytest.mark.parametrize("kind", [EvictPod, DeletePod])
def test_a_pod_is_removed_only_in_the_state_in_which_it_was_seen(
    bed: Bed, namespace: str, kind: type[EvictPod | DeletePod]
) -> None:
    async def story(admin: Api, operator: Api) -> None:
        resource, actor = await made(admin, namespace), Actor(operator)
        pod = await admin.create(kinds.POD, namespace, pod_body("bank-0", namespace), "t")
        old = kind(0, "bank-0", uid(pod), version(pod), Reason.UPDATING)
        patch = {"metadata": {"labels": {"changed": "since"}}}
        pod = await admin.merge(kinds.POD, namespace, "bank-0", patch, "t")
        with pytest.raises(Conflict):
            await actor.act(resource, old)
        with pytest.raises(Conflict):
            await actor.act(resource, kind(0, "bank-0", "another", version(pod), Reason.UPDATING))
        assert await admin.find(kinds.POD, namespace, "bank-0") is not None
        await actor.act(resource, kind(0, "bank-0", uid(pod), version(pod), Reason.UPDATING))
        assert await admin.find(kinds.POD, namespace, "bank-0") is None
        with pytest.raises((Gone, Conflict)):
            await actor.act(resource, kind(0, "bank-0", uid(pod), version(pod), Reason.UPDATING))

    bed.run(story)


async def put_status(admin: Api, kind: Kind, namespace: str, name: str, status: Body) -> Body:
    path = kind.path(namespace, name, "status")
    return await admin.request(
        "patch", kind, path, body={"status": status}, content_type=MERGE, subresource="status"
    )


@pytest.mark.parametrize("allowed", [0, 1])
def test_the_budget_decides_over_an_eviction(bed: Bed, namespace: str, allowed: int) -> None:
    async def story(admin: Api, operator: Api) -> None:
        resource, actor = await made(admin, namespace), Actor(operator)
        pod = await admin.create(kinds.POD, namespace, pod_body("bank-0", namespace, a="b"), "t")
        ready = {"type": "Ready", "status": "True"}
        pod = await put_status(
            admin, kinds.POD, namespace, "bank-0", {"phase": "Running", "conditions": [ready]}
        )
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}
        budget = body_of(kinds.DISRUPTION_BUDGET, "bank", namespace, spec=spec)
        await admin.create(kinds.DISRUPTION_BUDGET, namespace, budget, "t")
        # As the controller would write it, which does not run here.
        healthy = {"expectedPods": 3, "currentHealthy": 3, "desiredHealthy": 2}
        await put_status(
            admin,
            kinds.DISRUPTION_BUDGET,
            namespace,
            "bank",
            {"observedGeneration": 1, "disruptionsAllowed": allowed, **healthy},
        )
        evict = EvictPod(0, "bank-0", uid(pod), version(pod), Reason.UPDATING)
        if allowed:
            await actor.act(resource, evict)
            assert await admin.find(kinds.POD, namespace, "bank-0") is None
        else:
            with pytest.raises(Deferred):
                await actor.act(resource, evict)
            assert await admin.find(kinds.POD, namespace, "bank-0") is not None

    bed.run(story)


def identity(resource: Resource, cluster_id: str, *, founded: bool = False) -> ObjectStep:
    return WriteIdentity(resource.uid, resource.resource_version, cluster_id, 0, founded=founded)


def test_the_identity_is_written_once_and_outlives_every_status(bed: Bed, namespace: str) -> None:
    async def story(admin: Api, operator: Api) -> None:
        blank, actor = await made(admin, namespace), Actor(operator)
        await actor.act(blank, identity(blank, "a" * 32))
        with pytest.raises(Conflict):
            await actor.act(blank, identity(blank, "b" * 32))
        resource = await resource_in(admin, namespace)
        assert resource.status.cluster_id == "a" * 32
        with pytest.raises(Refused):
            await actor.act(resource, identity(resource, "b" * 32))
        await actor.act(resource, identity(resource, "a" * 32, founded=True))
        resource = await resource_in(admin, namespace)
        status = ClusterStatus(observed_generation=1, quorum=QuorumRow(2, 3, 1))
        assert await actor.report(resource, status)
        resource = await resource_in(admin, namespace)
        assert (resource.status.cluster_id, resource.status.founded) == ("a" * 32, True)
        assert resource.status.quorum == QuorumRow(2, 3, 1)
        assert await actor.report(resource, ClusterStatus(observed_generation=1))
        resource = await resource_in(admin, namespace)
        assert (resource.status.cluster_id, resource.status.quorum) == ("a" * 32, None)

    bed.run(story)


def test_an_unchanged_status_makes_no_request(bed: Bed, namespace: str) -> None:
    async def story(admin: Api, operator: Api) -> None:
        actor = Actor(operator)
        status = ClusterStatus(observed_generation=1, quorum=QuorumRow(2, 3, 1), state="Ready")
        assert await actor.report(await made(admin, namespace), status)
        before = await resource_in(admin, namespace)
        assert not await actor.report(before, status)
        assert (await resource_in(admin, namespace)).resource_version == before.resource_version

    bed.run(story)


def test_a_status_does_not_reach_a_resource_made_anew(bed: Bed, namespace: str) -> None:
    async def story(admin: Api, operator: Api) -> None:
        old = await made(admin, namespace)
        await admin.delete(kinds.CLUSTER_SERVICE, namespace, "bank", old.uid)
        with pytest.raises(OperatorError):
            await Actor(operator).report(old, ClusterStatus(state="Ready"))
        assert await admin.find(kinds.CLUSTER_SERVICE, namespace, "bank") is None
        await made(admin, namespace)
        with pytest.raises(Conflict):
            await Actor(operator).report(old, ClusterStatus(state="Ready"))

    bed.run(story)


def test_events_are_told_once(bed: Bed, namespace: str) -> None:
    async def story(admin: Api, operator: Api) -> None:
        resource = await made(admin, namespace)
        note = Note(Reason.LEADER_CHANGED, "bank-1 leads term 4", warning=True)
        for instance in ("pod-1", "pod-1", "pod-2"):
            await Herald(operator, SystemClock(), instance).tell(resource, note)
        (event,) = await admin.list(kinds.EVENT, namespace)
        assert (event["reason"], event["type"]) == ("LeaderChanged", "Warning")
        assert cast("Body", event["regarding"])["uid"] == resource.uid

    bed.run(story)
