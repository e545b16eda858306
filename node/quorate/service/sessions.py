"""The table of sessions: who is open, what was applied, what egress is kept for whom.

Replicated state: changed by applying the log and by nothing else. What egress a client has not
acknowledged is kept in the batches in which it was produced, so that equal logs keep equal
bytes however applying was sliced.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from quorate.protocol.batch import (
    EGRESS_HEADER_LENGTH,
    EgressError,
    EgressKind,
    decode_egress_batch,
    encode_egress_batch,
    encode_error_payload,
)
from quorate.service.api import ClientSession, LimitExceeded
from quorate.service.collector import Collector
from quorate.service.outbox import EGRESS_BATCH_BYTES_MAX, EgressBatch, SessionView

NOT_CURRENT = -1
"""Stands in ``Session.cause`` unless the session's own message is being applied."""

KEPT_BATCH_BYTES = 128
"""Counted for each batch that is kept besides its own bytes: its place, its numbers, its objects.
Without it, a client that sends one byte at a time and acknowledges nothing would make a member
keep ten times what the limit says. Decides results, so equal on all members."""

# An egress header of kind MESSAGE without flags and error is its length, widened to u64.
_message_header = struct.Struct("<QQ").pack
_error_header = struct.Struct("<IBBHQ").pack


def kept_cost(batch: EgressBatch) -> int:
    """Return the bytes of memory that a kept batch counts for: small ones are not free."""
    return len(batch.batch) + KEPT_BATCH_BYTES


class Session(ClientSession):
    """One open session: its place in both streams, and what its service has offered it.

    ``offer`` is on the path of every message: it appends to a list and nothing else.
    """

    __slots__ = (
        "_collector",
        "_parts_bytes",
        "_parts_counted",
        "cause",
        "egress_acknowledged",
        "is_open",
        "kept",
        "kept_bytes",
        "key_hash",
        "last_egress_sequence",
        "last_ingress_sequence",
        "message_bytes_max",
        "name",
        "parts",
        "principal",
        "session_id",
    )

    def __init__(
        self,
        session_id: int,
        key_hash: bytes,
        principal: bytes,
        name: str,
        message_bytes_max: int,
        collector: Collector,
    ) -> None:
        """Begin a session that has neither sent nor got anything."""
        self.session_id = session_id
        self.key_hash = key_hash
        self.principal = principal
        self.name = name
        self.message_bytes_max = message_bytes_max
        """The client's own limit of an ingress message; 0 for none."""
        self.is_open = True
        self.last_ingress_sequence = 0
        self.last_egress_sequence = 0
        self.egress_acknowledged = 0
        self.kept: deque[EgressBatch] = deque()
        self.kept_bytes = 0
        self.cause = NOT_CURRENT
        """Ingress sequence of this session's message being applied, 0 in its open."""
        self.parts: list[bytes] = []
        """Header and payload of each message offered since the last flush."""
        self._parts_counted = 0
        self._parts_bytes = 0
        self._collector = collector

    def offer(self, message: bytes) -> None:
        """Append to what goes out when the entry has been applied."""
        cause = self.cause
        if cause < 0:
            if not self._collector.admits(self):
                return
            cause = 0
        if message.__class__ is not bytes:
            raise TypeError(f"session.offer takes bytes, not {type(message).__name__}")
        length = len(message)
        if length > self._collector.message_bytes_max:
            limit = self._collector.message_bytes_max
            raise LimitExceeded(f"egress message of {length} bytes exceeds {limit}")
        parts = self.parts
        parts.append(_message_header(length, cause))
        parts.append(message)

    def close(self) -> None:
        """Have the session end once the callback has returned."""
        self._collector.ask_close(self)

    def offer_error(self, log_position: int, ingress_sequence: int) -> None:
        """Tell the client that a callback has failed, and where in the log."""
        payload = encode_error_payload(log_position)
        code = EgressError.CALLBACK_FAILED
        header = _error_header(len(payload), EgressKind.ERROR, 0, code, ingress_sequence)
        self.parts.append(header)
        self.parts.append(payload)

    def pending_bytes(self) -> int:
        """Return the bytes of egress offered since the last flush, headers included.

        Only between callbacks: what has been counted is never cut back, so each part is counted
        once however often this is asked.
        """
        parts = self.parts
        counted = self._parts_counted
        if counted < len(parts):
            self._parts_bytes += sum(map(len, parts[counted:] if counted else parts))
            self._parts_counted = len(parts)
        return self._parts_bytes

    def forget_pending(self) -> None:
        """Drop what was offered since the last flush."""
        self.parts.clear()
        self._parts_counted = self._parts_bytes = 0

    def view(self, message_bytes_max: int) -> SessionView:
        """Return a copy for the outside; ``message_bytes_max`` is the cluster's limit."""
        return SessionView(
            session_id=self.session_id,
            key_hash=self.key_hash,
            principal=self.principal,
            name=self.name,
            message_bytes_max=self.ingress_bytes_max(message_bytes_max),
            last_ingress_sequence=self.last_ingress_sequence,
            last_egress_sequence=self.last_egress_sequence,
            egress_acknowledged=self.egress_acknowledged,
            kept_egress_bytes=self.kept_bytes,
            is_flushed=not self.parts,
        )

    def ingress_bytes_max(self, cluster_max: int) -> int:
        """Return the limit of one ingress message: the client's or the cluster's, the smaller."""
        return min(self.message_bytes_max or cluster_max, cluster_max)


class SessionTable:
    """All open sessions, by id and by key hash, and the bytes of egress kept for them.

    Invariant:
        ``kept_bytes`` is the sum over the sessions; iteration is by ascending id.
    """

    __slots__ = ("_by_id", "_by_key", "kept_bytes", "view")

    def __init__(self) -> None:
        """Begin without sessions."""
        self._by_id: dict[int, Session] = {}
        self._by_key: dict[bytes, Session] = {}
        self.kept_bytes = 0
        self.view: Mapping[int, Session] = MappingProxyType(self._by_id)
        """What the service may see."""

    def __len__(self) -> int:
        """Return how many sessions are open."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        """Go through the sessions by ascending id."""
        return iter(self._by_id.values())

    def get(self, session_id: int) -> Session | None:
        """Return the open session with this id."""
        return self._by_id.get(session_id)

    def by_key(self, key_hash: bytes) -> Session | None:
        """Return the open session whose client holds the key with this hash."""
        return self._by_key.get(key_hash)

    def add(self, session: Session) -> None:
        """Add a session; its id is higher than any before, being a position of the log."""
        assert session.key_hash not in self._by_key, f"session {session.session_id} opens twice"
        self._by_id[session.session_id] = session
        self._by_key[session.key_hash] = session
        self.kept_bytes += session.kept_bytes

    def remove(self, session: Session) -> None:
        """Drop a session with everything kept for it."""
        del self._by_id[session.session_id]
        del self._by_key[session.key_hash]
        self.kept_bytes -= session.kept_bytes
        session.is_open = False
        session.kept.clear()
        session.kept_bytes = 0
        session.forget_pending()

    def acknowledge(self, session: Session, egress_sequence: int) -> None:
        """Drop the batches that the client has whole, clamped to what was produced.

        An acknowledgement that is lower than an earlier one changes nothing. A batch is kept
        until its last message is acknowledged.
        """
        if egress_sequence <= session.egress_acknowledged:
            return
        acknowledged = min(egress_sequence, session.last_egress_sequence)
        session.egress_acknowledged = acknowledged
        kept = session.kept
        dropped = 0
        while kept and kept[0].last_egress_sequence <= acknowledged:
            dropped += kept_cost(kept.popleft())
        session.kept_bytes -= dropped
        self.kept_bytes -= dropped

    def flush(self, session: Session) -> list[EgressBatch]:
        """Number what was offered to a session since the last flush, keep it, and return it."""
        batches: list[EgressBatch] = []
        cost = 0
        for parts in _cut(session.parts, session.pending_bytes()):
            count = len(parts) // 2
            batch = EgressBatch(
                session.session_id,
                session.last_ingress_sequence,
                session.last_egress_sequence + 1,
                count,
                b"".join(parts),
            )
            session.last_egress_sequence += count
            cost += kept_cost(batch)
            batches.append(batch)
        session.kept += batches
        session.kept_bytes += cost
        self.kept_bytes += cost
        session.forget_pending()
        return batches

    def greediest(self, offered: Iterable[Session]) -> Session:
        """Return who keeps most, what is offered but not flushed included; then the lowest id."""
        pending = {session.session_id: session.pending_bytes() for session in offered}
        return max(
            self._by_id.values(),
            key=lambda session: (
                session.kept_bytes + pending.get(session.session_id, 0),
                -session.session_id,
            ),
        )


def egress_after(session: Session, egress_sequence: int) -> list[EgressBatch]:
    """Return the kept egress of a session that comes after ``egress_sequence``, to re-send it."""
    batches = [batch for batch in session.kept if batch.last_egress_sequence > egress_sequence]
    if batches and batches[0].first_egress_sequence <= egress_sequence:
        batches[0] = _trim(batches[0], egress_sequence)
    return batches


def _trim(batch: EgressBatch, egress_sequence: int) -> EgressBatch:
    """Return what of a batch comes after ``egress_sequence``."""
    skipped = egress_sequence + 1 - batch.first_egress_sequence
    messages = decode_egress_batch(batch.batch, batch.message_count)[skipped:]
    return batch._replace(
        first_egress_sequence=egress_sequence + 1,
        message_count=len(messages),
        batch=encode_egress_batch(messages),
    )


def _cut(parts: list[bytes], length: int) -> list[list[bytes]]:
    """Cut offered messages into batches that fit into a frame of the client link."""
    if length <= EGRESS_BATCH_BYTES_MAX:
        return [parts] if parts else []
    cuts: list[list[bytes]] = []
    current: list[bytes] = []
    room = EGRESS_BATCH_BYTES_MAX
    for index in range(0, len(parts), 2):
        size = EGRESS_HEADER_LENGTH + len(parts[index + 1])
        if current and size > room:
            cuts.append(current)
            current = []
            room = EGRESS_BATCH_BYTES_MAX
        current += parts[index : index + 2]
        room -= size
    cuts.append(current)
    return cuts
