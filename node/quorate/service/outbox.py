"""What applying the log tells the outside: egress to send, sessions that came and went.

Every member produces the same values; only the leader's gateway sends them. Views of sessions
are copies: holding one keeps nothing alive and shows nothing later.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.protocol.entry_bodies import CloseReason

EGRESS_BATCH_BYTES_MAX = 512 * 1024
"""An egress batch ends before the message that would exceed it; a longer message of its own
stands alone. So a batch fits into one frame of the client link however much a client's one
batch made the service answer."""


class EgressBatch(NamedTuple):
    """Numbered egress of one session, as it goes into an egress frame."""

    session_id: int
    last_ingress_sequence: int
    """The session's last ingress message that is committed and applied; 0 before the first."""
    first_egress_sequence: int
    """Number of the batch's first message; the first of a session is 1."""
    message_count: int
    batch: bytes
    """See ``protocol.batch.decode_egress_batch``."""

    @property
    def last_egress_sequence(self) -> int:
        """Number of the batch's last message."""
        return self.first_egress_sequence + self.message_count - 1


class SessionOpened(NamedTuple):
    """An open was applied: a new session, or the resume of the one that has this key hash."""

    session_id: int
    key_hash: bytes


class SessionClosed(NamedTuple):
    """A session has ended, or an open was refused (``SESSIONS``, ``EXPIRED``)."""

    session_id: int
    """Of the session; of a refused open what it named, or the position of its entry."""
    reason: CloseReason
    key_hash: bytes
    """Tells who waits for the answer to an open that was refused."""


class SequenceGap(NamedTuple):
    """A batch began beyond the next sequence and was ignored whole: the client must go back."""

    session_id: int
    next_sequence: int


Outbound = EgressBatch | SessionOpened | SessionClosed | SequenceGap


class SessionView(NamedTuple):
    """One session as the replicated state holds it at the service position."""

    session_id: int
    key_hash: bytes
    principal: bytes
    name: str
    message_bytes_max: int
    """Of one ingress message: the smaller of the client's and the cluster's limit."""
    last_ingress_sequence: int
    """Applied; 0 before the first."""
    last_egress_sequence: int
    """Produced; 0 before the first."""
    egress_acknowledged: int
    """By the client, as far as the log says."""
    kept_egress_bytes: int
    is_flushed: bool
    """Whether all egress that these numbers stand for is numbered and in the outbox. False
    between two slices of one batch; what is applied must not be acknowledged before."""
