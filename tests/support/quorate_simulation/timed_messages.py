"""What simulated clients and members say to each other: the client link without its bytes."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from quorate.protocol.entry_bodies import CloseReason


class Open(NamedTuple):
    """Open a session, or resume the one of this key."""

    key_hash: bytes
    session_id: int
    last_egress: int


class Ingress(NamedTuple):
    """A batch of messages."""

    session_id: int
    first_sequence: int
    message_count: int
    egress_acknowledged: int
    batch: bytes


class Opened(NamedTuple):
    """The session is open here."""

    session_id: int
    last_ingress_sequence: int


class Egress(NamedTuple):
    """Numbered answers."""

    session_id: int
    last_ingress_sequence: int
    first_sequence: int
    message_count: int
    batch: bytes


class Redirect(NamedTuple):
    """Not here; there, or nobody knows yet."""

    leader: int | None


class Rewind(NamedTuple):
    """A batch began beyond the next sequence: go on from here."""

    session_id: int
    next_sequence: int


class Closed(NamedTuple):
    """The session has ended."""

    session_id: int
    reason: CloseReason


Answer = Opened | Egress | Redirect | Rewind | Closed


class ClientLink(Protocol):
    """One connection of a client, as a member sees it."""

    def answer(self, answer: Answer) -> None:
        """Send to the client."""

    def broke(self) -> None:
        """The member is gone."""
