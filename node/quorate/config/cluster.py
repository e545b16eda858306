"""What is equal on all members and decides what they compute and write.

A member's file gives these values for the founding only; afterwards they are read from the
log. ``Durability`` is per node, and stands here because its number is on disk as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

MIB = 1024 * 1024


class OnError(IntEnum):
    """What happens when a callback of the service raises. The numbers are on disk."""

    CONTINUE = 0
    """Count it, tell the session, go on with the next message."""
    HALT = 1
    """Stop every member there."""


class Durability(IntEnum):
    """When a member counts a frame as appended. The numbers are on disk."""

    FSYNC = 0
    """When a data sync that covers it has returned."""
    REPLICATED = 1
    """When it is in the page cache: a power cut of a majority loses data."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Values that decide results, so apply reads them from the log only."""

    on_error: OnError = OnError.CONTINUE
    """``continue`` or ``halt`` when a callback of the service raises."""
    sessions_max: int = 10_000
    """Open sessions; an open beyond it is answered with a close (reason: sessions)."""
    message_bytes_max: int = 256 * 1024
    """One ingress or egress message; a batch with a longer one closes its session."""
    session_timeout_ns: int = 30_000_000_000
    """Silence after which the leader closes a session (judged in loop time)."""
    kept_egress_bytes_max: int = 16 * MIB
    """Unacknowledged egress of one session, and 128 bytes more for each batch of it; beyond it
    the session is closed."""
    kept_egress_total_bytes_max: int = 128 * MIB
    """The same over all sessions; the one that keeps most (then the lowest id) is closed."""
    self_messages_max: int = 1_000
    """Messages to itself that one message, timer or session event may lead to."""
    timers_max: int = 100_000
    """Pending timers; scheduling one more raises in the callback."""
    digest_interval_bytes: int = 4 * MIB
    """Log bytes between two digests that the leader compares."""


@dataclass(frozen=True, slots=True)
class ClusterConstants:
    """Values of the log's layout, fixed for the life of a cluster."""

    segment_length: int = 64 * MIB
    """Bytes of frames in one segment file: a multiple of 64, at least 4 KiB."""
    frame_alignment: int = 64
    """Log frames begin at multiples of it; this release knows 64 only."""
    frame_bytes_max: int = MIB
    """At most a quarter of a segment and at most 1 MiB."""
