"""The deterministic world: what authors implement, and what feeds it the committed log.

Authors import from here. ``container.ServiceContainer`` is the member's side of it: frames of
the log go in, egress and session events come out, nothing else does.
"""

from quorate.service.api import (
    ClientSession,
    CloseReason,
    Cluster,
    ClusteredService,
    LeadershipTerm,
    LimitExceeded,
    NotAllowedHere,
    Role,
    SnapshotInput,
    SnapshotOutput,
)

__all__ = [
    "ClientSession",
    "CloseReason",
    "Cluster",
    "ClusteredService",
    "LeadershipTerm",
    "LimitExceeded",
    "NotAllowedHere",
    "Role",
    "SnapshotInput",
    "SnapshotOutput",
]
