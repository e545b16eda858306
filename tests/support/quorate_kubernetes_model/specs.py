"""What users of the model ask for, and how the images that they name behave."""

from __future__ import annotations

from quorate.config import Durability
from quorate_operator.model import (
    ClusterSpec,
    ConsensusSpec,
    ResourcesSpec,
    SchedulingSpec,
    ServiceSpec,
    StorageSpec,
    TlsMode,
    UpdateSpec,
    VolumeRetention,
)

GOOD, ALSO_GOOD = "example/orders:1", "example/orders:2"
CRASHING = "example/orders:crashes"
UNPULLABLE = "example/orders:gone"
DIVERGING = "example/orders:diverges"
IMAGES = (GOOD, ALSO_GOOD, CRASHING, UNPULLABLE, DIVERGING)
PROGRESS_DEADLINE_S = 120


def make_spec(
    replicas: int = 3,
    image: str = GOOD,
    *,
    paused: bool = False,
    volumes: VolumeRetention = VolumeRetention.RETAIN,
) -> ClusterSpec:
    """Return a spec with the fields that matter to a plan."""
    return ClusterSpec(
        replicas=replicas,
        image=image,
        service=ServiceSpec("orders:Orders"),
        config="",
        storage=StorageSpec("1Gi"),
        consensus=ConsensusSpec(1000, 100, Durability.FSYNC),
        update=UpdateSpec(5000, PROGRESS_DEADLINE_S * 1000),
        scheduling=SchedulingSpec(),
        resources=ResourcesSpec({"cpu": "100m"}, {"memory": "256Mi"}),
        tls=TlsMode.DISABLED,
        paused=paused,
        volumes=volumes,
    )
