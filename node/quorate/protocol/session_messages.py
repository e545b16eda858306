"""What clients and members say to each other, one value each; ``session_codec`` has the bytes.

The conversation::

    Open → Opened | Closed (not live, or refused) | Redirect (again when the leader changes)
    Ingress* → Egress (answers, and what is applied), Credit, Rewind, Closed
    Redirect on an open session: resume it with another open, here or at the address
    EgressAcknowledge, KeepAlive → Credit | Redirect
    Close → Closed
    Error: this connection ends
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class ClientMessageType(IntEnum):
    """Types of messages on a client link. The numbers are on the wire and never change."""

    OPEN = 1
    OPENED = 2
    INGRESS = 3
    EGRESS = 4
    REDIRECT = 5
    CREDIT = 6
    REWIND = 7
    CLOSED = 8
    ERROR = 9
    EGRESS_ACKNOWLEDGE = 10
    KEEP_ALIVE = 11
    CLOSE = 12


class LinkError(IntEnum):
    """Why a member ends a connection that has no session. The numbers never change."""

    MALFORMED = 1
    """Bytes that are not this protocol, or a message where it does not belong."""
    VERSION = 2
    """No common protocol version."""
    CLUSTER_ID = 3
    """The open names another cluster."""
    AUTHENTICATION = 4
    """The credentials were refused."""
    TOO_LARGE = 5
    """A message exceeds its limit."""
    OVERLOADED = 6
    """The member holds as many connections as it may; another may have room."""
    OPEN_TIMEOUT = 7
    """No session was opened in time."""
    WRONG_SESSION = 8
    """A message names a session that is not this connection's."""
    REPLACED = 9
    """The session was resumed on a younger connection."""
    NOT_READ = 10
    """The client does not read what is sent to it."""
    SHUTTING_DOWN = 11
    """The member is ending; another serves."""


class RawMessage(NamedTuple):
    """One whole message behind its header, not yet understood."""

    message_type: ClientMessageType
    body: bytes


class Open(NamedTuple):
    """Client → member: open a session, or resume the one that this key opened."""

    version_min: int
    version_max: int
    cluster_id: bytes
    session_key: bytes
    cluster_session_id: int
    """0 when no session was ever answered to this key; else exactly this one is resumed."""
    egress_received: int
    """Highest egress sequence received; what lies behind it is sent again."""
    message_bytes_max: int
    """The client's own limit of one ingress message; 0 leaves it to the cluster's."""
    name: str


class Opened(NamedTuple):
    """Member → client: the session is open in the log, or resumed."""

    version: int
    durability: int
    cluster_session_id: int
    ingress_applied: int
    """Highest ingress sequence applied: send everything behind it."""
    credit: int
    """As in ``Credit``."""
    session_timeout_ns: int
    message_bytes_max: int
    batch_bytes_max: int
    """Longest batch in one ingress message."""
    members: tuple[str, ...]
    """The members' client addresses, ``host:port``."""


class Ingress(NamedTuple):
    """Client → member: messages ``first_sequence`` and following."""

    cluster_session_id: int
    first_sequence: int
    egress_acknowledged: int
    message_count: int
    batch: bytes


class Egress(NamedTuple):
    """Member → client: egress, and what is committed and applied of the client's ingress."""

    ingress_applied: int
    first_sequence: int
    """Of the batch; unused without messages."""
    message_count: int
    batch: bytes


class Redirect(NamedTuple):
    """Member → client: I do not serve; the leader's client address, "" while none is known."""

    address: str


class Credit(NamedTuple):
    """Member → client: batch bytes that may be sent on this connection since it was opened.

    It only grows. A client may begin a batch while what it sent is below it.
    """

    bytes_max: int


class Rewind(NamedTuple):
    """Member → client: an earlier message was missing; send again from this sequence."""

    sequence: int


class Closed(NamedTuple):
    """Member → client: the session has ended."""

    cluster_session_id: int
    reason: int
    """A ``CloseReason`` of the service container."""


class Error(NamedTuple):
    """Member → client: this connection ends; it says nothing about a session."""

    code: int
    """A ``LinkError``, or a number of a later release."""


class EgressAcknowledge(NamedTuple):
    """Client → member: received all egress up to here, and there is no ingress to say it in."""

    cluster_session_id: int
    egress_sequence: int


class KeepAlive(NamedTuple):
    """Client → member: still here. Answered by a credit or a redirect."""


class Close(NamedTuple):
    """Client → member: close the session behind everything sent before."""

    cluster_session_id: int


ClientLinkMessage = (
    Open
    | Opened
    | Ingress
    | Egress
    | Redirect
    | Credit
    | Rewind
    | Closed
    | Error
    | EgressAcknowledge
    | KeepAlive
    | Close
)
