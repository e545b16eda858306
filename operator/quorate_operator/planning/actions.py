"""What a plan may ask for. Each action is one call, and safe to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quorate_operator.model import ClusterStatus
from quorate_operator.planning.observed import Body
from quorate_operator.reasons import Reason


@dataclass(frozen=True, slots=True)
class WriteIdentity:
    """Put the cluster id into status, by the identity manager, on this very version."""

    uid: str
    resource_version: str
    cluster_id: str
    epoch: int
    founded: bool


@dataclass(frozen=True, slots=True)
class CreateChild:
    """Create an object that is never applied again, such as the Secret; exists already: fine."""

    body: Body


@dataclass(frozen=True, slots=True)
class ApplyChild:
    """Apply an object server-side."""

    body: Body
    uid: str
    """Of the object as observed; empty if there was none."""


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Delete an object that nothing names any more."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class PatchClaim:
    """Change annotations and our ownerReference of a claim by a merge patch with its uid."""

    name: str
    uid: str
    resource_version: str
    patch: Body


@dataclass(frozen=True, slots=True)
class LabelPod:
    """Set or remove (None) labels and annotations of a pod by a merge patch with its uid."""

    name: str
    uid: str
    labels: Mapping[str, str | None]
    annotations: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Give the ConfigMap of a user the empty cluster label, so that a change of it is news.

    Empty, because several ClusterServices may name one ConfigMap.
    """

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Found:
    """Ask the member in this seat to found the cluster."""

    seat: int
    pod_uid: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Ask the leader to hand over. Disruptive."""

    leader: int
    pod_uid: str
    to: int | None
    """None: the best voter."""
    reason: Reason


@dataclass(frozen=True, slots=True)
class EvictPod:
    """Remove a healthy pod through the Eviction API. Disruptive."""

    seat: int
    name: str
    uid: str
    resource_version: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Remove a broken pod, with uid and resourceVersion, in its own time. Disruptive."""

    seat: int
    name: str
    uid: str
    resource_version: str
    reason: Reason


Disruption = Transfer | EvictPod | DeletePod
Step = (
    WriteIdentity
    | CreateChild
    | ApplyChild
    | DeleteChild
    | PatchClaim
    | LabelPod
    | Found
    | Transfer
    | EvictPod
    | DeletePod
)


@dataclass(frozen=True, slots=True)
class Note:
    """An event about the resource."""

    reason: Reason
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in this order, and what to say."""

    steps: tuple[Step, ...]
    """At most one of them is a ``Disruption``, and it is the last."""
    status: ClusterStatus
    """To be written if it differs from what is recorded; identity fields left out."""
    notes: tuple[Note, ...] = ()
    look_again_s: float | None = None
    """A deadline falls due by then, whatever else happens; None: the resync is enough.
    0: what the status now says must be recorded before the next step."""
    ask_members: bool = False
    """The next look needs words that the members say then, not the latest that were heard."""
    label_source: LabelSource | None = None
    """No step: a comfort, and the object is its user's. If it is refused, nothing waits for it."""
