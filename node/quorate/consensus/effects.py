"""What the consensus module asks the outside to do, in the order in which it asks.

Persist effects carry one strictly increasing sequence. They may be grouped, but must complete
in order; completion is told with ``on_persisted``. The module itself holds back every message
that must not leave before something is durable, so a ``Send`` may always be carried out at
once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from quorate.consensus.messages import Message
from quorate.consensus.types import (
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    NodeState,
    Role,
    Seat,
)


class IngressState(IntEnum):
    """Whether this member may append what clients send."""

    CLOSED = 0
    """Not the leader."""
    OPEN = 1
    PAUSED = 2
    """Leader, but handing over: keep the connections, leave their bytes waiting."""
    STORAGE_FULL = 3
    """Leader, but the log has no room: refuse what clients send, and have them send it again
    from there on when it is open."""


class HaltCode(IntEnum):
    """Why the process must end, as its exit code."""

    CONFIGURATION = 2
    FOREIGN_DATA = 3
    STORAGE_FAILED = 4
    DAMAGED = 5
    INVARIANT_BROKEN = 6
    SERVICE_FAILED = 7


@dataclass(frozen=True, slots=True)
class StoreNodeState:
    """Make this node state durable."""

    sequence: int
    state: NodeState


class AppendToLog(NamedTuple):
    """Write these frames behind the present end of the log and make them durable."""

    sequence: int
    frames: tuple[LogFrame, ...]


@dataclass(frozen=True, slots=True)
class TruncateLog:
    """Drop everything from ``end.position`` on; a frame with ``end.chain`` must end there."""

    sequence: int
    end: LogMark


class Send(NamedTuple):
    """Send to the member in this seat; dropped silently when no link is up."""

    seat: Seat
    message: Message


class CommitTo(NamedTuple):
    """Everything before ``position`` is committed and may be applied."""

    position: LogPosition
    leadership_term_id: LeadershipTermId


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """This member's role, term or knowledge of the leader has changed."""

    role: Role
    leadership_term_id: LeadershipTermId
    leader: Seat | None
    reason: str


@dataclass(frozen=True, slots=True)
class IngressChanged:
    """Open, pause or close the taking of clients' messages."""

    state: IngressState


@dataclass(frozen=True, slots=True)
class ReadLog:
    """Read whole frames from ``position`` on, at most ``bytes_max``; answer ``on_log_read``.

    A long answer is given in parts, so that none takes long; one message goes out for each. Where
    a sound frame of ours goes on at ``position`` the answer is ``on_no_boundary``.
    """

    seat: Seat
    position: LogPosition
    bytes_max: int


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close the link to this seat and count the reason."""

    seat: Seat
    reason: str


@dataclass(frozen=True, slots=True)
class TransferEnded:
    """The outcome of a leadership transfer that was accepted here."""

    completed: bool
    target: Seat
    reason: str


@dataclass(frozen=True, slots=True)
class FoundingEnded:
    """The outcome of a request to found or to discard, as far as this member can tell."""

    completed: bool
    reason: str
    discarded: bool = False
    """What has ended the founding is a discard, which may be another's than who waits here."""


@dataclass(frozen=True, slots=True)
class ServiceDiverged:
    """A strict majority of all voters has another digest than ours: stop serving here."""

    position: LogPosition
    own: bytes
    majority: bytes


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a human should see; ``raised`` False takes it back."""

    name: str
    detail: str
    raised: bool = True


@dataclass(frozen=True, slots=True)
class Trace:
    """A state change worth a log line: stable event name and its numbers."""

    event: str
    fields: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class Halt:
    """End the process with this code; nothing may be sent or written after it."""

    code: HaltCode
    detail: str


Effect = (
    StoreNodeState
    | AppendToLog
    | TruncateLog
    | Send
    | CommitTo
    | RoleChanged
    | IngressChanged
    | ReadLog
    | CloseLink
    | TransferEnded
    | FoundingEnded
    | ServiceDiverged
    | Alarm
    | Trace
    | Halt
)
