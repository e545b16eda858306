"""One look at everything of one ClusterService, read live: never from a cache or an event.

A watch can miss a deletion and a cache then keeps a ghost; a list cannot. Members are asked
elsewhere: what is read here has none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from quorate.clock import Clock
from quorate_operator import labels, lenient
from quorate_operator.bodies import read_resource
from quorate_operator.errors import Gone
from quorate_operator.kube import kinds, read
from quorate_operator.kube.api import Api
from quorate_operator.kube.kinds import Kind
from quorate_operator.kube.together import together
from quorate_operator.planning.observed import Body, Child, Claim, Observed, Pod, Resource, Source

ENTROPY_BYTES = 64
SERVED_S = 300.0
"""How long an answer to whether a kind is served is believed."""
_NS = 1e-9


@dataclass(frozen=True, slots=True)
class Absent:
    """There is nothing to do for this key, and nothing may be written."""

    why: str


@dataclass(slots=True)
class Observer:
    """Reads what is; writes nothing."""

    api: Api
    clock: Clock
    installation: str
    cluster_domain: str = "cluster.local"
    _served: tuple[float, bool] = field(default=(float("-inf"), False))

    async def observe(self, namespace: str, name: str) -> Observed | Absent:
        """Return everything about one ClusterService, with no members in it.

        Raises:
            Conflict: Something changed while it was read.
            Unavailable: The API server did not answer in time.
            Refused: This process lacks a permission.

        Blocking: four rounds of calls, each at most the limit of a call.

        """
        resource = await self.find(namespace, name)
        if isinstance(resource, Absent):
            return resource
        monitors_served = await self._monitors_served()
        look = _Look(self.api, namespace, name, resource, monitors_served=monitors_served)
        try:
            async with together() as group:
                ending = group.create_task(
                    self._namespace_ends(namespace), name="observe namespace"
                )
                parts = group.create_task(look.parts(), name="observe parts")
        except Gone:
            # A kind that was served may not be any more: the next look asks.
            self._served = (float("-inf"), False)
            raise
        if ending.result():
            return Absent("the namespace is being deleted")
        pods, claims, stateful_set, children, source = parts.result()
        nodes = {pod.node for pod in pods.values() if pod.node}
        return Observed(
            now_s=self.clock.wall() * _NS,
            installation=self.installation,
            resource=resource,
            stateful_set=stateful_set,
            pods=pods,
            claims=claims,
            members={},
            children=children,
            code=_code_of(source),
            source=_source_of(source),
            cordoned=frozenset(await _cordoned(self.api, nodes)),
            pod_monitors_served=monitors_served,
            entropy=secrets.token_bytes(ENTROPY_BYTES),
            cluster_domain=self.cluster_domain,
        )

    async def find(self, namespace: str, name: str) -> Resource | Absent:
        """Return the ClusterService alone; raises as ``observe``."""
        body = await self.api.find(kinds.CLUSTER_SERVICE, namespace, name)
        if body is None:
            return Absent("the resource is gone")
        resource = read_resource(body)
        if lenient.is_going(body) and not resource.held_by:
            return Absent("the resource is being deleted")
        return resource

    async def _namespace_ends(self, namespace: str) -> bool:
        body = await self.api.find(kinds.NAMESPACE, None, namespace)
        return body is None or lenient.is_going(body)

    async def _monitors_served(self) -> bool:
        now = self.clock.boottime() * _NS
        asked, answer = self._served
        if now - asked < SERVED_S:
            return answer
        kind = kinds.POD_MONITOR
        try:
            group = await self.api.request("get", kind, f"/apis/{kind.api_version}")
        except Gone:
            answer = False
        else:
            # Its group may be served for the sake of other kinds alone.
            answer = any(
                row.get("name") == kind.plural for row in lenient.rows(group.get("resources"))
            )
        self._served = (now, answer)
        return answer


_Parts = tuple[dict[int, Pod], dict[int, Claim], Child | None, tuple[Child, ...], Body | None]


@dataclass(frozen=True, slots=True)
class _Look:
    """The objects of one resource, each kind read beside the others."""

    api: Api
    namespace: str
    name: str
    resource: Resource
    monitors_served: bool

    async def parts(self) -> _Parts:
        """Return pods, claims, StatefulSet, other children and the source of the code."""
        claims_prefix = labels.claim_name(self.name, 0).removesuffix("-0")
        async with together() as group:
            stateful_set = group.create_task(self._stateful_set(), name="observe set")
            pods = group.create_task(self._seats(kinds.POD, self.name), name="observe pods")
            claims = group.create_task(
                self._seats(kinds.CLAIM, claims_prefix), name="observe claims"
            )
            children = group.create_task(self._children(), name="observe children")
            source = group.create_task(self._source(), name="observe source")
        return (
            {seat: read.pod(body, seat) for seat, body in pods.result().items()},
            {seat: read.claim(body, seat) for seat, body in claims.result().items()},
            stateful_set.result(),
            children.result(),
            source.result(),
        )

    async def _stateful_set(self) -> Child | None:
        name = labels.stateful_set_name(self.name)
        body = await self.api.find(kinds.STATEFUL_SET, self.namespace, name)
        return None if body is None else read.child(body, kinds.STATEFUL_SET.name)

    async def _seats(self, kind: Kind, prefix: str) -> dict[int, Body]:
        """Return the objects named ``<prefix>-<seat>``.

        Before the resource has an identity its names decide, labelled or not: a volume under
        one of its names may be an older cluster's, and a new cluster must not be made over it.
        Afterwards a seat that the label does not find is looked up by its name: somebody may have
        taken the label away.
        """
        is_known = bool(self.resource.status.cluster_id)
        found = await self.api.list(kind, self.namespace, self._selector if is_known else "")
        seats = _by_seat(found, prefix)
        spec = self.resource.spec
        for seat in range(spec.replicas if spec is not None and is_known else 0):
            if seat not in seats:
                # A list, as nothing else needs the right to get one.
                name = f"metadata.name={prefix}-{seat}"
                seats |= _by_seat(await self.api.list(kind, self.namespace, fields=name), prefix)
        return seats

    async def _children(self) -> tuple[Child, ...]:
        monitors = (kinds.POD_MONITOR,) if self.monitors_served else ()
        async with together() as group:
            tasks = [
                group.create_task(self._of_kind(kind), name=f"observe {kind.plural}")
                for kind in (*kinds.CHILDREN, *monitors)
            ]
            secret = group.create_task(
                self._named(kinds.SECRET, labels.auth_secret_name(self.name)), name="observe secret"
            )
        listed = [child for task in tasks for child in task.result()]
        return (*listed, *secret.result())

    async def _of_kind(self, kind: Kind) -> list[Child]:
        """Return children of one kind by label, and whatever has the names that we would use."""
        bodies = await self.api.list(kind, self.namespace, self._selector)
        found = [read.child(body, kind.name) for body in bodies]
        if kind is kinds.CONFIG_MAP:
            ours = tuple(f"{self.name}-{part}-" for part in ("config", "code"))
            return [child for child in found if child.name.startswith(ours)]
        missing = _names(kind, self.name) - {child.name for child in found}
        for name in sorted(missing):
            found += await self._named(kind, name)
        return found

    async def _named(self, kind: Kind, name: str) -> list[Child]:
        body = await self.api.find(kind, self.namespace, name)
        return [] if body is None else [read.child(body, kind.name)]

    async def _source(self) -> Body | None:
        spec = self.resource.spec
        if spec is None or spec.service.code_config_map is None:
            return None
        name = spec.service.code_config_map
        return await self.api.find(kinds.CONFIG_MAP, self.namespace, name)

    @property
    def _selector(self) -> str:
        return f"{labels.CLUSTER_LABEL}={self.name}"


def _code_of(source: Body | None) -> Mapping[str, str] | None:
    if source is None:
        return None
    return {key: lenient.text(value) for key, value in lenient.mapping(source.get("data")).items()}


def _source_of(body: Body | None) -> Source | None:
    if body is None:
        return None
    meta = lenient.metadata(body)
    is_labelled = labels.CLUSTER_LABEL in lenient.mapping(meta.get("labels"))
    return Source(lenient.text(meta.get("name")), lenient.text(meta.get("uid")), is_labelled)


def _by_seat(bodies: list[Body], prefix: str) -> dict[int, Body]:
    seats = (
        (read.seat_of(lenient.text(lenient.metadata(b).get("name")), prefix), b) for b in bodies
    )
    return {seat: body for seat, body in seats if seat is not None}


def _names(kind: Kind, name: str) -> set[str]:
    """Return the names that the children of this kind always have."""
    if kind is kinds.SERVICE:
        return {
            labels.client_service_name(name),
            labels.leader_service_name(name),
            labels.members_service_name(name),
        }
    return {name}


async def _cordoned(api: Api, nodes: set[str]) -> list[str]:
    async with together() as group:
        tasks = {
            node: group.create_task(api.find(kinds.NODE, None, node), name=f"observe node {node}")
            for node in sorted(nodes)
        }
    found = ((node, task.result()) for node, task in tasks.items())
    return [
        node
        for node, body in found
        if body is not None and lenient.mapping(body.get("spec")).get("unschedulable") is True
    ]
