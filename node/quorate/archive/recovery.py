"""What a start concludes from what it found: pure, so that every case can be laid out in a test.

A member that may have lost what it acknowledged is *recovering*: it must not vote or
acknowledge until it holds again what it may have held before.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.config import Durability
from quorate.consensus.types import (
    NOT_RECOVERING,
    LogFrame,
    LogMark,
    NodeState,
    Recovering,
    RecoveringReason,
    TermRecord,
)


class PreviousLife(NamedTuple):
    """What the node state says of the life before this one."""

    boot_id: bytes
    durability: Durability
    clean: bool
    """It ended with everything synced and said so."""
    founded: bool


class ScanOutcome(NamedTuple):
    """What reading the whole recording has shown."""

    end: LogMark
    """The end of the last good frame."""
    furthest: LogMark
    """The highest boundary seen at all, beyond damage as well, by (term, position)."""
    damaged: bool
    """Something below the durable watermark is bad or missing."""


class RecoveredLog(NamedTuple):
    """What the consensus module starts from; all of it is synced."""

    node_state: NodeState
    terms: tuple[TermRecord, ...]
    end: LogMark
    last_timestamp: int
    """Log time of the last frame in nanoseconds; 0 for an empty log."""
    founding: LogFrame | None
    """The frame at position 0."""
    watermark: LogMark
    """Everything before it was known to be synced when the start began."""


def decide_recovering(
    known: Recovering, life: PreviousLife, boot_id: bytes, scan: ScanOutcome
) -> Recovering:
    """Return whether this member may have lost what it acknowledged, and how far that went.

    Args:
        known: What the node state says already; only a cure takes it back, never a start.
        life: The life before this one.
        boot_id: The boot of the machine in which this life runs.
        scan: What the recording holds now.

    Returns:
        ``NOT_RECOVERING``, or the gravest reason with the furthest (term, position) that this
        member may have acknowledged. What a human has accepted stays accepted.

    """
    if known.reason is RecoveringReason.LOSS_ACCEPTED:
        return known
    log_is_missing = life.founded and scan.end.position == 0
    # The founding frame and the mark are synced whatever the durability is: before them there
    # is nothing that a member could have acknowledged and lost.
    unsynced = (
        life.founded
        and life.durability is Durability.REPLICATED
        and not life.clean
        and life.boot_id != boot_id
    )
    if scan.damaged or log_is_missing or known.reason is RecoveringReason.DAMAGED:
        reason = RecoveringReason.DAMAGED
    elif unsynced or known.reason is RecoveringReason.UNSYNCED:
        reason = RecoveringReason.UNSYNCED
    else:
        return NOT_RECOVERING
    seen = (scan.furthest.leadership_term_id, scan.furthest.position)
    term, position = max(seen, (known.leadership_term_id, known.position))
    return Recovering(reason, term, position)
