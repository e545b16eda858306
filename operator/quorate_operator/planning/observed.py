"""Everything that a plan is made from, read live in one reconciliation.

Values only: no client object reaches the plan, so a test can write down any world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quorate.control.status import MemberStatus
from quorate_operator.model import ClusterSpec, ClusterStatus

Body = Mapping[str, object]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True)
class Resource:
    """The ClusterService itself."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    spec: ClusterSpec | None
    """None: it cannot be read; ``problems`` says why."""
    status: ClusterStatus
    problems: tuple[str, ...] = ()
    transfer_request: str = ""
    """Value of the annotation that asks for a hand-over; empty for none."""
    held_by: tuple[str, ...] = ()
    """The finalizers that hold it while it is being deleted; empty: it is not being deleted."""


@dataclass(frozen=True, slots=True)
class Child:
    """An object that the operator applies, as it is now."""

    kind: str
    name: str
    uid: str
    resource_version: str
    controller_uid: str
    """Of the ownerReference that controls it; empty for none."""
    body: Body


@dataclass(frozen=True, slots=True)
class Pod:
    """One member's pod."""

    seat: int
    name: str
    uid: str
    resource_version: str
    controller_uid: str
    """Uid of the StatefulSet that made it; empty for none."""
    created_s: float
    deleting: bool
    scheduled: bool
    running: bool
    """The member's container runs."""
    ready: bool
    reason: str
    """Why it does not run or cannot be scheduled: a word of Kubernetes, and its message."""
    restarts: int
    last_exit_code: int | None
    node: str
    ip: str
    image: str
    input_hash: str
    role: str
    """Value of the role label; empty for none."""
    term: int
    """The term that the role was stamped with; -1 for none."""
    not_running_since_s: float | None
    """Since when its container has not run or it could not be scheduled; None while it runs."""
    config_maps: frozenset[str] = frozenset()
    """Names of the ConfigMaps that its volumes name; empty: not known."""
    placement_hash: str = ""
    """Empty: it was made by an operator that did not know it, so it counts as placed well."""
    cluster_label: str = ""
    """Value of the cluster label; empty for none."""
    claim: str = ""
    """Name of the claim of its log; empty for none."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim of one seat's volume."""

    seat: int
    name: str
    uid: str
    resource_version: str
    deleting: bool
    cluster_id: str
    """Annotation; empty for none."""
    founded: bool
    owner_uid: str
    """Of a ClusterService in its ownerReferences; empty for none."""
    cluster_label: str
    """Value of the cluster label; empty for none."""
    other_owners: tuple[Body, ...] = ()
    """The ownerReferences to anything but a ClusterService, which others have set."""
    size: str = ""
    """The quantity that it asks for; empty: not known."""
    class_name: str = ""
    """Its storage class; empty: none, or not known."""


@dataclass(frozen=True, slots=True)
class Source:
    """The ConfigMap of a user that the spec names for the service's source."""

    name: str
    uid: str
    is_labelled: bool
    """It carries the cluster label, with whatever value, so that a change of it is news."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the process in a seat last said about itself, over its pod's address."""

    seat: int
    pod_uid: str
    """The pod that answered, or that was asked in vain."""
    status: MemberStatus | None
    """None: it has never answered. Cluster id and seat are checked; the rest is its word."""
    answered_s: float
    """When it last answered; 0 for never."""
    silent_since_s: float | None
    """Since when it has not answered; None while it does."""
    problem: str = ""
    """Why its last answer was not used: ``timeout``, ``garbage``, ``wrong-cluster``, …"""


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at everything. Times are seconds since the Unix epoch, from one clock reading."""

    now_s: float
    installation: str
    """This installation of the operator, in words that another one would not use."""
    resource: Resource
    stateful_set: Child | None
    pods: Mapping[int, Pod]
    """By seat; those under the names that this resource uses, whoever controls them."""
    claims: Mapping[int, Claim]
    members: Mapping[int, Member]
    children: tuple[Child, ...] = ()
    """All other kinds under the names and the label of this resource."""
    code: Mapping[str, str] | None = None
    """Data of the ConfigMap that the spec names; None: there is none (or none is named)."""
    source: Source | None = None
    """That ConfigMap itself."""
    cordoned: frozenset[str] = frozenset()
    """Names of nodes that take no new pods."""
    pod_monitors_served: bool = False
    cluster_domain: str = "cluster.local"
    """Ends the absolute names of Services in this Kubernetes cluster."""
    entropy: bytes = field(default=b"", repr=False)
    """64 fresh random bytes: a new cluster id and new secrets come from here."""
