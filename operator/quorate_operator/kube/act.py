"""Carries out what a plan asks of the API server: each step is one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quorate_operator import labels, lenient
from quorate_operator.bodies import write_status
from quorate_operator.errors import AlreadyExists
from quorate_operator.kube import kinds
from quorate_operator.kube.api import Api
from quorate_operator.kube.kinds import Kind
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeleteChild,
    DeletePod,
    EvictPod,
    LabelPod,
    LabelSource,
    PatchClaim,
    WriteIdentity,
)
from quorate_operator.planning.observed import Body, Resource
from quorate_operator.resources import drift

ObjectStep = (
    WriteIdentity
    | CreateChild
    | ApplyChild
    | DeleteChild
    | PatchClaim
    | LabelPod
    | EvictPod
    | DeletePod
)
"""Steps that the API server carries out; the others are asked of a member."""

_API_VERSION = f"{labels.GROUP}/{labels.VERSION}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Does steps in the namespace of one resource."""

    api: Api

    async def act(self, resource: Resource, step: ObjectStep) -> str:
        """Carry out one step.

        Returns:
            What became of it that nobody asked for, such as a child that was changed on its way
            in; empty for nothing.

        Raises:
            Conflict: The object is not the one, or not in the state, that the plan saw.
            Gone: It is not there any more.
            Deferred: A disruption budget does not allow the eviction now.
            Refused: The API server does not accept it as it is.
            Unavailable: It did not answer in time; whether it was done is unknown.
            LeaseLost: This process must not act.

        Blocking: one call.

        """
        namespace = resource.namespace
        match step:
            case WriteIdentity():
                await self._write_identity(resource, step)
            case CreateChild():
                await self._create(namespace, step)
            case ApplyChild():
                return await self._apply(namespace, step)
            case DeleteChild():
                await self.api.delete(_kind(step.kind), namespace, step.name, step.uid)
            case PatchClaim() | LabelPod():
                await self._patch(namespace, step)
            case EvictPod():
                await self.api.evict(
                    kinds.POD, namespace, step.name, step.uid, step.resource_version
                )
            case DeletePod():
                await self.api.delete(
                    kinds.POD, namespace, step.name, step.uid, step.resource_version
                )
        return ""

    async def report(self, resource: Resource, status: ClusterStatus) -> bool:
        """Write the status if it differs from what is recorded; return whether it was written.

        On the version that was observed: the API server ignores the uid in an apply to the
        status of a custom resource, so that it could reach one that was made anew.

        Raises: as ``act``.
        """
        wanted = write_status(status)
        if wanted == write_status(resource.status):
            return False
        exact = {"uid": resource.uid, "resourceVersion": resource.resource_version}
        meta = _identified(resource.name, resource.namespace, exact)
        body = {"apiVersion": _API_VERSION, "kind": labels.KIND, "metadata": meta, "status": wanted}
        await self.api.apply(
            kinds.CLUSTER_SERVICE,
            resource.namespace,
            body,
            labels.STATUS_MANAGER,
            subresource="status",
        )
        return True

    async def label_source(self, resource: Resource, step: LabelSource) -> None:
        """Label the ConfigMap of a user.

        Raises: as ``act``.
        """
        body = {"metadata": {"uid": step.uid, "labels": {labels.CLUSTER_LABEL: ""}}}
        await self.api.merge(
            kinds.CONFIG_MAP, resource.namespace, step.name, body, labels.FIELD_MANAGER
        )

    async def _write_identity(self, resource: Resource, step: WriteIdentity) -> None:
        """Write cluster id, epoch and founded as their own manager, on this very version."""
        exact = {"uid": step.uid, "resourceVersion": step.resource_version}
        body = {
            "apiVersion": _API_VERSION,
            "kind": labels.KIND,
            "metadata": _identified(resource.name, resource.namespace, exact),
            "status": {
                "clusterId": step.cluster_id,
                "epoch": step.epoch,
                "founded": step.founded,
            },
        }
        await self.api.apply(
            kinds.CLUSTER_SERVICE,
            resource.namespace,
            body,
            labels.IDENTITY_MANAGER,
            subresource="status",
        )

    async def _apply(self, namespace: str, step: ApplyChild) -> str:
        """Apply a child; return what a policy makes of it, which would be applied for ever."""
        name = lenient.text(step.body.get("kind"))
        body = _with_metadata(step.body, {"uid": step.uid} if step.uid else {})
        stored = await self.api.apply(_kind(name), namespace, body, labels.FIELD_MANAGER)
        place = drift(step.body, stored)
        if not place:
            return ""
        which = f"{name} {lenient.text(lenient.metadata(body).get('name'))}"
        return (
            f"{place} of {which} is changed as it is written: exempt it from the admission webhook "
            "or policy that does that"
        )

    async def _create(self, namespace: str, step: CreateChild) -> None:
        kind = _kind(lenient.text(step.body.get("kind")))
        try:
            await self.api.create(kind, namespace, step.body, labels.FIELD_MANAGER)
        except AlreadyExists:
            return  # somebody made it between look and act: what it holds is for the next look

    async def _patch(self, namespace: str, step: PatchClaim | LabelPod) -> None:
        if isinstance(step, PatchClaim):
            exact = {"uid": step.uid, "resourceVersion": step.resource_version}
            patch, kind = step.patch, kinds.CLAIM
        else:
            exact, kind = {"uid": step.uid}, kinds.POD
            marks = {"labels": dict(step.labels), "annotations": dict(step.annotations)}
            patch = {"metadata": {key: value for key, value in marks.items() if value}}
        body = _with_metadata(patch, exact)
        await self.api.merge(kind, namespace, step.name, body, labels.FIELD_MANAGER)


def _kind(name: str) -> Kind:
    assert name in kinds.BY_NAME, f"a plan named the kind {name!r}, which kinds.BY_NAME lacks"
    return kinds.BY_NAME[name]


def _identified(name: str, namespace: str, exact: Mapping[str, str]) -> dict[str, object]:
    return {"name": name, "namespace": namespace, **exact}


def _with_metadata(body: Body, exact: Mapping[str, str]) -> Body:
    return {**body, "metadata": {**lenient.metadata(body), **exact}}
