"""The table of rights is what the operator uses: every call is allowed, and every right used."""

from __future__ import annotations

import asyncio
from typing import Any

import yaml

from quorate.clock import SystemClock
from quorate_api_server.bed import RULES, Bed, body_of, cluster_service, pod_body
from quorate_operator import lenient
from quorate_operator.bodies import read_resource
from quorate_operator.errors import Conflict, Deferred, Gone, OperatorError
from quorate_operator.handlers import CHILDREN
from quorate_operator.kube import kinds
from quorate_operator.kube.act import Actor
from quorate_operator.kube.api import Api
from quorate_operator.kube.events import Herald
from quorate_operator.kube.observe import Observed, Observer
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeleteChild,
    DeletePod,
    EvictPod,
    LabelPod,
    Note,
    PatchClaim,
    Step,
    WriteIdentity,
)
from quorate_operator.queue import WorkQueue
from quorate_operator.reasons import Reason
from quorate_operator.resources.children import children
from quorate_operator.resources.intent import Intent
from quorate_operator.resync import Resync

Right = tuple[str, str, str]


def table() -> set[Right]:
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def watched() -> set[Right]:
    """What kopf lists and watches; it says so itself in another test."""
    places = {("", "nodes"), ("quorate.io", "clusterservices")}
    for child in CHILDREN:
        plural, _, *group = child.split(".", 2)
        places.add((group[0] if group else "", plural))
    return {(group, plural, verb) for group, plural in places for verb in ("list", "watch")}


def test_every_right_is_used_and_no_call_lacks_one(bed: Bed, namespace: str) -> None:
    used: set[Right] = set()
    refused: list[tuple[str, ...]] = []

    def on_call(verb: str, group: str, resource: str, code: str) -> None:
        used.add((group, resource, verb))
        if code in ("401", "403"):
            refused.append((verb, group, resource, code))

    async def story() -> None:
        async with asyncio.timeout(90), bed.admin() as admin, bed.operator(on_call=on_call) as api:
            await everything(admin, api, namespace)

    asyncio.run(story())
    assert not refused
    # A server-side apply is `patch`, and `create` too when there is nothing of that name yet.
    applied = {(group, resource, "create") for group, resource, verb in used if verb == "patch"}
    used |= watched() | (applied & table())
    # Whether monitors are served is asked of the API server's own list, which needs no right.
    monitors = {right for right in table() | used if right[0] == "monitoring.coreos.com"}
    assert used - monitors == table() - monitors


async def everything(admin: Api, api: Api, namespace: str) -> None:
    """Make each kind of call that the operator makes."""
    body = cluster_service(
        "bank", namespace, service={"class": "m:C", "codeFrom": {"configMap": "source"}}
    )
    await admin.create(kinds.CLUSTER_SERVICE, namespace, body, "t")
    await Resync(api, WorkQueue(SystemClock(), lambda: 0.5), 60.0).wait_until_served()
    observer, actor = Observer(api, SystemClock(), "test"), Actor(api)
    observed = await observer.observe(namespace, "bank")
    assert isinstance(observed, Observed)
    resource = observed.resource
    assert resource.spec is not None, resource.problems
    intent = Intent("bank", namespace, resource.uid, resource.spec, "a" * 32, {"m.py": ""}, "i")
    applied = children(intent, pod_monitors_served=False)
    pod = await admin.create(kinds.POD, namespace, pod_body("bank-0", namespace), "t")
    pod = await admin.merge(kinds.POD, namespace, "bank-0", {"metadata": {"labels": {}}}, "t")
    claim = await admin.create(kinds.CLAIM, namespace, claim_body(namespace), "t")
    secret = body_of(kinds.SECRET, "bank-auth", namespace)
    steps: list[Step] = [
        CreateChild(secret),
        *(ApplyChild(child, "") for child in applied),
        PatchClaim("log-bank-0", uid(claim), version(claim), {"metadata": {"annotations": {}}}),
        LabelPod("bank-0", uid(pod), {"quorate.io/role": "leader"}, {}),
    ]
    for step in steps:
        await actor.act(resource, step)  # type: ignore[arg-type]
    made = await admin.list(kinds.CONFIG_MAP, namespace, "quorate.io/cluster=bank")
    await actor.act(resource, DeleteChild("ConfigMap", name(made[0]), uid(made[0])))
    await bind_to_a_node(admin, namespace)
    await observer.observe(namespace, "bank")
    await actor.act(
        resource, WriteIdentity(resource.uid, version_of(resource), "a" * 32, 0, founded=False)
    )
    newest = read_resource(await api.get(kinds.CLUSTER_SERVICE, namespace, "bank"))
    await actor.report(newest, ClusterStatus(state="Creating"))
    await Herald(api, SystemClock(), "test").tell(resource, Note(Reason.FOUNDED, "founded"))
    for kind in (EvictPod, DeletePod):
        pod = await admin.get(kinds.POD, namespace, "bank-0")
        try:
            await actor.act(resource, kind(0, "bank-0", uid(pod), version(pod), Reason.UPDATING))
        except OperatorError as error:
            assert type(error) in (Conflict, Gone, Deferred)  # noqa: PT017 - any but refused


async def bind_to_a_node(admin: Api, namespace: str) -> None:
    """Do what a scheduler does, so that the pod's node is looked at."""
    node = body_of(kinds.NODE, f"node-of-{namespace}")
    await admin.create(kinds.NODE, None, node, "t")
    target = {"apiVersion": "v1", "kind": "Node", "name": f"node-of-{namespace}"}
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "bank-0", "namespace": namespace},
        "target": target,
    }
    path = kinds.POD.path(namespace, "bank-0", "binding")
    await admin.request("create", kinds.POD, path, body=binding)


def claim_body(namespace: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    body = body_of(kinds.CLAIM, "log-bank-0", namespace, spec=spec)
    body["metadata"]["labels"] = {"quorate.io/cluster": "bank"}
    return body


def name(body: Any) -> str:  # noqa: ANN401 - JSON
    return lenient.text(lenient.metadata(body).get("name"))


def uid(body: Any) -> str:  # noqa: ANN401 - JSON
    return lenient.text(lenient.metadata(body).get("uid"))


def version(body: Any) -> str:  # noqa: ANN401 - JSON
    return lenient.text(lenient.metadata(body).get("resourceVersion"))


def version_of(resource: Any) -> str:  # noqa: ANN401 - a Resource
    return str(resource.resource_version)
