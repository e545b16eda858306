"""What a ClusterService asks for and what its status holds, as frozen values.

Bodies from the API server are read once, here; nothing behind it touches a dictionary of a
resource. Defaults live in the schema of the resource only: a body that lacks a field with a
default was not admitted by our schema and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from quorate.config import Durability
from quorate_operator.reasons import Condition, Reason


class TlsMode(StrEnum):
    """How links are encrypted."""

    DISABLED = "Disabled"


class VolumeRetention(StrEnum):
    """What happens to the volumes when the resource is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Spread(StrEnum):
    """How hard members are kept on different nodes."""

    PREFERRED = "Preferred"
    REQUIRED = "Required"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """The service to run."""

    service_class: str
    """``module:Class``."""
    code_config_map: str | None = None
    """Name of a ConfigMap whose keys are the files of the service's source."""


@dataclass(frozen=True, slots=True)
class StorageSpec:
    """The volume of each member. Immutable."""

    size: str
    """A Kubernetes quantity."""
    class_name: str | None = None
    """None: the default storage class."""


@dataclass(frozen=True, slots=True)
class ConsensusSpec:
    """When elections begin and what counts as durable."""

    election_timeout_ms: int
    """Shortest silence of the leader; the longest is 1.6 times as long."""
    heartbeat_ms: int
    durability: Durability


@dataclass(frozen=True, slots=True)
class UpdateSpec:
    """How planned disruptions are carried out."""

    handover_timeout_ms: int
    progress_deadline_ms: int
    restart: str = ""
    """Another one than the members were started with restarts them."""


@dataclass(frozen=True, slots=True)
class SchedulingSpec:
    """Where members may run."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()
    """As in a pod."""
    priority_class_name: str | None = None
    spread: Spread = Spread.PREFERRED


@dataclass(frozen=True, slots=True)
class ResourcesSpec:
    """What a member's container requests and may use: quantities by resource name."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """The ``spec`` of a ClusterService."""

    replicas: int
    """Odd, 1 to 9. Immutable for now."""
    image: str
    service: ServiceSpec
    config: str
    """Handed to the service's constructor; Quorate does not read it."""
    storage: StorageSpec
    consensus: ConsensusSpec
    update: UpdateSpec
    scheduling: SchedulingSpec
    resources: ResourcesSpec
    tls: TlsMode
    paused: bool
    volumes: VolumeRetention
    """``deletion.volumes``."""


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """One condition; the time of its last transition is kept while its status stays."""

    type: Condition
    status: bool | None
    """None is ``Unknown``."""
    reason: Reason
    message: str
    observed_generation: int
    last_transition: str
    """RFC 3339, UTC, whole seconds."""


@dataclass(frozen=True, slots=True)
class LeaderRow:
    """Who leads."""

    member: int
    """Its seat."""
    pod: str
    term: int
    since: str


@dataclass(frozen=True, slots=True)
class QuorumRow:
    """How many voters there must be, are, and could be lost."""

    required: int
    healthy: int
    can_lose: int


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One seat."""

    seat: int
    member_id: str = ""
    role: str = ""
    voter: bool = False
    health: str = ""
    """``Well``, ``CatchingUp``, ``Recovering``, ``Broken``, ``Missing``, ``VolumeLost``, ..."""
    lag_bytes: int = 0
    node: str = ""
    pvc_uid: str = ""
    input_hash: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OperationRow:
    """What is being done, and until when it must have moved."""

    type: str
    target: str
    step: str
    reason: Reason
    since: str
    deadline: str


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """How far an update is."""

    input_hash: str
    updated: int
    total: int


@dataclass(frozen=True, slots=True)
class TransferRow:
    """The last hand-over that a user asked for."""

    request: str
    """The whole value of the annotation."""
    result: str
    """``Done``, ``Failed`` or ``Invalid``."""
    leader: int | None
    message: str
    at: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The ``status`` of a ClusterService."""

    observed_generation: int = 0
    cluster_id: str = ""
    """32 hexadecimal digits; written once, by the identity manager."""
    epoch: int = 0
    founded: bool = False
    leader: LeaderRow | None = None
    lost_leader: LeaderRow | None = None
    """Who led last, while nobody leads; ``since`` is when it was missed."""
    quorum: QuorumRow | None = None
    members: tuple[MemberRow, ...] = ()
    operation: OperationRow | None = None
    update: UpdateRow | None = None
    last_transfer: TransferRow | None = None
    conditions: tuple[ConditionRow, ...] = ()
    state: str = ""
    """One word for the STATUS column."""
    version: str = ""
    """Of the software that the leader runs."""
