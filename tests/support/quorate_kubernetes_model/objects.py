"""What the API server of the model stores about one ClusterService, and its rules of change."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from quorate_kubernetes_model.members import Volume
from quorate_operator import labels
from quorate_operator.bodies import read_status, write_status
from quorate_operator.errors import Conflict, Gone, Refused
from quorate_operator.model import ClusterSpec, ClusterStatus
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeleteChild,
    LabelPod,
    PatchClaim,
    WriteIdentity,
)
from quorate_operator.planning.observed import Body, Child, Claim, Pod, Resource

NAME, NAMESPACE = "orders", "shop"
SET = ("StatefulSet", NAME)


@dataclass(slots=True)
class StoredResource:
    """The ClusterService."""

    uid: str
    spec: ClusterSpec
    generation: int = 1
    version: int = 1
    status: dict[str, object] = field(default_factory=dict)
    """As JSON. Replaced as a whole, never changed in place."""
    transfer: str = ""
    held_by: tuple[str, ...] = ()
    """Finalizers that hold it while it is being deleted."""
    _read: tuple[dict[str, object], ClusterStatus] | None = None

    def read(self) -> ClusterStatus:
        """Return the status as an operator reads it."""
        if self._read is None or self._read[0] is not self.status:
            self._read = (self.status, read_status(self.status))
        return self._read[1]


@dataclass(slots=True)
class StoredPod:
    """A pod as kubelet and controllers see it."""

    pod: Pod
    claim_uid: str
    ends_at: int | None = None
    """When its graceful end is over."""
    starts_at: int = 0
    crashed_at: int = 0
    labels_term: int = -1


@dataclass(slots=True)
class StoredClaim:
    """A claim and the volume behind it."""

    claim: Claim
    volume: Volume


class Store:
    """All objects of one name."""

    def __init__(self, spec: ClusterSpec) -> None:
        """Hold a resource that has just been made."""
        self._numbers = itertools.count(1)
        self.now = 1_000_000
        self.resource: StoredResource | None = StoredResource(self.uid("res"), spec)
        self.children: dict[tuple[str, str], dict[str, object]] = {}
        self.pods: dict[int, StoredPod] = {}
        self.claims: dict[int, StoredClaim] = {}
        self.writes = 0

    def uid(self, kind: str) -> str:
        """Return a new uid."""
        return f"{kind}{next(self._numbers):05d}"

    def version(self) -> str:
        """Return a new resource version."""
        return str(next(self._numbers))

    # ------------------------------------------------------------------ reading

    def read_resource(self) -> Resource | None:
        """Return the resource as the operator reads it."""
        held = self.resource
        if held is None:
            return None
        return Resource(
            NAME,
            NAMESPACE,
            held.uid,
            str(held.version),
            held.generation,
            held.spec,
            held.read(),
            transfer_request=held.transfer,
            held_by=held.held_by,
        )

    def read_children(self) -> tuple[Child | None, tuple[Child, ...]]:
        """Return the StatefulSet and all others."""
        found = {key: _child(body) for key, body in self.children.items()}
        live = found.pop(SET, None)
        return live, tuple(found.values())

    # ------------------------------------------------------------------ writing by the operator

    def write_identity(self, step: WriteIdentity) -> None:
        """Write the identity on exactly this version."""
        held = self._resource(step.uid)
        if str(held.version) != step.resource_version:
            raise Conflict("the resource changed")
        before = held.read()
        if before.cluster_id not in ("", step.cluster_id) or (before.founded and not step.founded):
            raise Refused("clusterId and founded never change")
        held.status = {
            **held.status,
            "clusterId": step.cluster_id,
            "epoch": step.epoch,
            "founded": step.founded,
        }
        self._touch(held)

    def write_status(self, read: Resource, status: ClusterStatus) -> bool:
        """Write the periodic status on the version that was read, if it differs."""
        held = self._resource(read.uid)
        if str(held.version) != read.resource_version:
            raise Conflict("the resource changed")
        if status == held.read():
            return False
        wanted = write_status(status)
        if wanted == write_status(held.read()):
            return False
        identity = {k: v for k, v in held.status.items() if k in ("clusterId", "epoch", "founded")}
        held.status = {**wanted, **identity}
        self._touch(held)
        return True

    def apply(self, step: ApplyChild) -> None:
        """Apply an object server-side."""
        key = (str(step.body["kind"]), str(_meta(step.body)["name"]))
        live = self.children.get(key)
        if step.uid and (live is None or _meta(live)["uid"] != step.uid):
            raise Conflict("another object has this name by now")
        old: Mapping[str, object] = {} if live is None else _meta(live)
        generation = old.get("generation", 0)
        assert isinstance(generation, int)
        if live is None or live.get("spec") != step.body.get("spec"):
            generation += 1
        meta = {
            **_meta(step.body),
            "uid": old.get("uid") or self.uid("obj"),
            "generation": generation,
            "resourceVersion": self.version(),
        }
        status = {} if live is None else live.get("status", {})
        self.children[key] = {**step.body, "metadata": meta, "status": status}
        self.writes += 1

    def create(self, step: CreateChild) -> None:
        """Create an object unless it is there."""
        key = (str(step.body["kind"]), str(_meta(step.body)["name"]))
        if key not in self.children:
            self.apply(ApplyChild(step.body, ""))

    def delete_child(self, step: DeleteChild) -> None:
        """Delete an object with its uid."""
        live = self.children.get((step.kind, step.name))
        if live is None or _meta(live)["uid"] != step.uid:
            raise Gone("it is gone")
        del self.children[step.kind, step.name]
        self.writes += 1

    def patch_claim(self, step: PatchClaim) -> None:
        """Patch annotations and owner of a claim."""
        found = [c for c in self.claims.values() if c.claim.uid == step.uid]
        if not found or found[0].claim.resource_version != step.resource_version:
            raise Conflict("the claim changed")
        meta = step.patch["metadata"]
        assert isinstance(meta, Mapping)
        marks = meta.get("annotations", {})
        assert isinstance(marks, Mapping)
        claim = found[0].claim
        owner = claim.owner_uid
        if "ownerReferences" in meta:
            owners = meta["ownerReferences"]
            assert isinstance(owners, list)
            owner = str(owners[0]["uid"]) if owners else ""
        found[0].claim = replace(
            claim,
            cluster_id=str(marks.get(labels.CLUSTER_ID_ANNOTATION, claim.cluster_id)),
            founded=marks.get(labels.FOUNDED_ANNOTATION) == "true" or claim.founded,
            owner_uid=owner,
            resource_version=self.version(),
        )
        self.writes += 1

    def label_pod(self, step: LabelPod) -> None:
        """Patch labels and annotations of a pod."""
        held = self.pod_of(step.uid)
        role = step.labels.get(labels.ROLE_LABEL, held.pod.role)
        term = step.annotations.get(labels.TERM_ANNOTATION, str(held.pod.term))
        mark = step.labels.get(labels.CLUSTER_LABEL, held.pod.cluster_label)
        self.change(held, role=role or "", term=int(term or -1), cluster_label=mark or "")
        self.writes += 1

    def pod_of(self, uid: str) -> StoredPod:
        """Return the pod with this uid.

        Raises:
            Gone: There is none.

        """
        for held in self.pods.values():
            if held.pod.uid == uid:
                return held
        raise Gone(f"no pod {uid}")

    def change(self, held: StoredPod, **values: object) -> None:
        """Change fields of a pod; nothing happens if they have these values."""
        changed = replace(held.pod, **values)  # type: ignore[arg-type]
        if changed != held.pod:
            held.pod = replace(changed, resource_version=self.version())

    def _resource(self, uid: str) -> StoredResource:
        if self.resource is None or self.resource.uid != uid:
            raise Gone("the resource is gone, or another one has its name")
        return self.resource

    def _touch(self, held: StoredResource) -> None:
        held.version = int(self.version())
        self.writes += 1


def as_another_version_made_it(body: Body, version: str) -> dict[str, object]:
    """Return a StatefulSet whose template differs in what no user asks for."""
    spec, meta = _object(body["spec"]), _meta(body)
    template = _object(spec["template"])
    inner = _object(template["metadata"])
    marks = {**_object(inner["annotations"]), "example/version": version}
    generation = meta["generation"]
    assert isinstance(generation, int)
    stamps = {**_object(meta["annotations"]), labels.APPLIED_HASH_ANNOTATION: version}
    changed = {**template, "metadata": {**inner, "annotations": marks}}
    return {
        **body,
        "spec": {**spec, "template": changed},
        "metadata": {**meta, "annotations": stamps, "generation": generation + 1},
    }


def template_of(body: Body) -> tuple[str, str, str, frozenset[str]]:
    """Return image, input hash, placement hash and ConfigMaps of a StatefulSet's template."""
    spec = _object(body["spec"])
    template = _object(spec["template"])
    pod = _object(template["spec"])
    containers = pod["containers"]
    assert isinstance(containers, list)
    marks = _object(_object(template["metadata"])["annotations"])
    volumes = pod["volumes"]
    assert isinstance(volumes, list)
    maps = (_object(row.get("configMap", {})).get("name") for row in volumes)
    names = frozenset(str(name) for name in maps if name)
    hashes = (labels.INPUT_HASH_ANNOTATION, labels.PLACEMENT_HASH_ANNOTATION)
    inputs, placement = (str(marks[name]) for name in hashes)
    return str(containers[0]["image"]), inputs, placement, names


def claim_id_of(body: Body) -> str:
    """Return the cluster id in a StatefulSet's claim template."""
    templates = _object(body["spec"])["volumeClaimTemplates"]
    assert isinstance(templates, list)
    marks = _object(_object(templates[0]["metadata"])["annotations"])
    return str(marks[labels.CLUSTER_ID_ANNOTATION])


def owner_of(body: Body) -> str:
    """Return the uid of an object's controller; empty for none."""
    owners = _meta(body).get("ownerReferences", [])
    assert isinstance(owners, list)
    return next((str(row["uid"]) for row in owners if row.get("controller")), "")


def _child(body: Body) -> Child:
    meta = _meta(body)
    return Child(
        str(body["kind"]),
        str(meta["name"]),
        str(meta["uid"]),
        str(meta["resourceVersion"]),
        owner_of(body),
        body,
    )


def _meta(body: Body) -> Mapping[str, object]:
    return _object(body["metadata"])


def _object(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping), f"{value!r} is no object"
    return value
