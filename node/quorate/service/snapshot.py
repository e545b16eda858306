"""Snapshot grammar: the whole replicated state of a container as canonical bytes.

::

    snapshot = magic "QRTSNAP1", then the sections in the order of their numbers, each once
    section  = kind u32, crc u32 (CRC32C of the body), length u64, body
    1 settings      term_codec.encode_settings
    2 membership    term_codec.encode_membership
    3 clock         log position u64, cluster time i64, digest 16 bytes, position u64 of the last
                    term that began with a possible loss
    4 sessions      each: id u64, key hash 16 bytes, limit u32, lengths of principal and name
                    u16 u16, last ingress, last egress, egress acknowledged u64 u64 u64,
                    principal, name; by ascending id
    5 kept egress   each batch: session id, last ingress, first egress u64 u64 u64, message
                    count u32, length u32, batch; by session id, then sequence
    6 timers        each: deadline i64, id i64; ascending
    7 service       each record of on_take_snapshot: length u32, bytes
    8 end           crc u32 over everything before this section

Equal states give equal bytes on every member. A snapshot of a later version, or one byte of
which has changed, is refused whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import google_crc32c

from quorate.config import ClusterSettings
from quorate.consensus.types import LOG_START, NO_MEMBERSHIP, LogPosition, Membership
from quorate.errors import ProtocolError, SnapshotError
from quorate.protocol.fields import FieldReader
from quorate.protocol.term_codec import (
    decode_membership,
    decode_settings,
    encode_membership,
    encode_settings,
)
from quorate.service.api import SnapshotInput, SnapshotOutput
from quorate.service.collector import Collector
from quorate.service.digest import DIGEST_LENGTH, NO_DIGEST
from quorate.service.outbox import EgressBatch
from quorate.service.sessions import Session, SessionTable, kept_cost
from quorate.service.timers import TimerQueue

MAGIC = b"QRTSNAP1"

_SECTION = struct.Struct("<IIQ")
_CLOCK = struct.Struct(f"<Qq{DIGEST_LENGTH}sQ")
_SESSION = struct.Struct("<Q16sIHHQQQ")
_BATCH = struct.Struct("<QQQII")
_TIMER = struct.Struct("<qq")
_LENGTH = struct.Struct("<I")


class Section(IntEnum):
    """The sections of a snapshot, in their order."""

    SETTINGS = 1
    MEMBERSHIP = 2
    CLOCK = 3
    SESSIONS = 4
    KEPT_EGRESS = 5
    TIMERS = 6
    SERVICE = 7
    END = 8


@dataclass(slots=True)
class ReplicatedState:
    """Everything that applying the log has made, the service's own state excepted."""

    sessions: SessionTable = field(default_factory=SessionTable)
    timers: TimerQueue = field(default_factory=TimerQueue)
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    membership: Membership = NO_MEMBERSHIP
    position: LogPosition = LOG_START.position
    """End of the last frame applied."""
    timestamp: int = 0
    """Of that frame."""
    digest: bytes = NO_DIGEST
    loss_position: LogPosition = LOG_START.position
    """Where the last term that began with a possible loss begins: older sessions end there."""


class RecordWriter(SnapshotOutput):
    """Collects what ``on_take_snapshot`` writes."""

    __slots__ = ("records",)

    def __init__(self) -> None:
        """Begin without records."""
        self.records: list[bytes] = []

    def write(self, record: bytes) -> None:
        """Append one record."""
        if record.__class__ is not bytes:
            raise TypeError(f"snapshot.write takes bytes, not {type(record).__name__}")
        self.records.append(record)


class RecordReader(SnapshotInput):
    """Hands ``on_start`` the records of a snapshot."""

    __slots__ = ("_records",)

    def __init__(self, records: tuple[bytes, ...]) -> None:
        """Keep the records in their order."""
        self._records = records

    def __iter__(self) -> Iterator[bytes]:
        """Begin at the first record."""
        return iter(self._records)


def encode_snapshot(state: ReplicatedState, records: list[bytes]) -> bytes:
    """Return the snapshot of a container between two frames.

    Args:
        state: What applying has made.
        records: What the service has written.

    """
    clock = _CLOCK.pack(state.position, state.timestamp, state.digest, state.loss_position)
    pieces = [MAGIC]
    for section, body in (
        (Section.SETTINGS, encode_settings(state.settings)),
        (Section.MEMBERSHIP, encode_membership(state.membership)),
        (Section.CLOCK, clock),
        (Section.SESSIONS, b"".join(map(_encode_session, state.sessions))),
        (Section.KEPT_EGRESS, b"".join(map(_encode_kept, state.sessions))),
        (Section.TIMERS, b"".join(_TIMER.pack(*row) for row in state.timers.rows())),
        (Section.SERVICE, b"".join(_LENGTH.pack(len(record)) + record for record in records)),
    ):
        pieces += _encode_section(section, body)
    covered = b"".join(pieces)
    end = _encode_section(Section.END, _LENGTH.pack(google_crc32c.value(covered)))
    return b"".join((covered, *end))


def decode_snapshot(data: bytes, collector: Collector) -> tuple[ReplicatedState, RecordReader]:
    """Return the state that a snapshot holds, and the service's records.

    Args:
        data: The whole snapshot.
        collector: Of the container that the sessions will belong to.

    Raises:
        SnapshotError: Cut short, damaged, of a later version, or not a snapshot at all.

    """
    try:
        bodies = _cut_sections(data)
        clock = FieldReader(bodies[Section.CLOCK], "snapshot clock")
        position, timestamp, digest, loss_position = _CLOCK.unpack(clock.take(_CLOCK.size))
        clock.end()
        state = ReplicatedState(
            settings=decode_settings(bodies[Section.SETTINGS]),
            membership=decode_membership(bodies[Section.MEMBERSHIP]),
            position=position,
            timestamp=timestamp,
            digest=digest,
            loss_position=loss_position,
        )
        kept = _decode_kept(bodies[Section.KEPT_EGRESS])
        for session in _decode_sessions(bodies[Section.SESSIONS], collector):
            session.kept.extend(kept.pop(session.session_id, ()))
            session.kept_bytes = sum(map(kept_cost, session.kept))
            state.sessions.add(session)
        _require(not kept, f"snapshot keeps egress of sessions {sorted(kept)} that are not open")
        _decode_timers(bodies[Section.TIMERS], state.timers)
        return state, RecordReader(tuple(_decode_records(bodies[Section.SERVICE])))
    except (ProtocolError, UnicodeDecodeError) as error:
        raise SnapshotError(f"snapshot of {len(data)} bytes cannot be read: {error}") from error


def _encode_section(section: Section, body: bytes) -> tuple[bytes, bytes]:
    return _SECTION.pack(section, google_crc32c.value(body), len(body)), body


def _cut_sections(data: bytes) -> dict[Section, bytes]:
    """Check frame and checksums, and return the body of each section."""
    reader = FieldReader(data, "snapshot")
    magic = reader.take(len(MAGIC))
    _require(magic == MAGIC, f"begins with {magic!r}: not a snapshot that this release reads")
    bodies: dict[Section, bytes] = {}
    offset = end = len(MAGIC)
    for section in Section:
        end = offset
        kind, crc, length = _SECTION.unpack(reader.take(_SECTION.size))
        _require(kind == section, f"section {kind} stands where {section} belongs")
        bodies[section] = reader.take(length)
        _require(google_crc32c.value(bodies[section]) == crc, f"section {kind} fails its CRC")
        offset += _SECTION.size + length
    reader.end()
    total = _LENGTH.pack(google_crc32c.value(data[:end]))
    _require(bodies[Section.END] == total, "the sections do not belong together")
    return bodies


def _encode_session(session: Session) -> bytes:
    name = session.name.encode()
    header = _SESSION.pack(
        session.session_id,
        session.key_hash,
        session.message_bytes_max,
        len(session.principal),
        len(name),
        session.last_ingress_sequence,
        session.last_egress_sequence,
        session.egress_acknowledged,
    )
    return header + session.principal + name


def _decode_sessions(data: bytes, collector: Collector) -> Iterator[Session]:
    reader = FieldReader(data, "snapshot sessions")
    left = len(data)
    before = -1
    keys: set[bytes] = set()
    while left:
        (session_id, key_hash, limit, principal_length, name_length, *numbers) = _SESSION.unpack(
            reader.take(_SESSION.size)
        )
        principal = reader.take(principal_length)
        name = reader.take(name_length).decode()
        _require(session_id > before, f"session {session_id} stands behind {before}")
        _require(key_hash not in keys, f"session {session_id} has the key of another")
        session = Session(session_id, key_hash, principal, name, limit, collector)
        session.last_ingress_sequence = numbers[0]
        session.last_egress_sequence = numbers[1]
        session.egress_acknowledged = numbers[2]
        before = session_id
        keys.add(key_hash)
        left -= _SESSION.size + principal_length + name_length
        yield session


def _encode_kept(session: Session) -> bytes:
    return b"".join(
        piece
        for batch in session.kept
        for piece in (
            _BATCH.pack(
                batch.session_id,
                batch.last_ingress_sequence,
                batch.first_egress_sequence,
                batch.message_count,
                len(batch.batch),
            ),
            batch.batch,
        )
    )


def _decode_kept(data: bytes) -> dict[int, list[EgressBatch]]:
    reader = FieldReader(data, "snapshot kept egress")
    kept: dict[int, list[EgressBatch]] = {}
    left = len(data)
    while left:
        session_id, last_ingress, first, count, length = _BATCH.unpack(reader.take(_BATCH.size))
        batch = EgressBatch(session_id, last_ingress, first, count, reader.take(length))
        kept.setdefault(session_id, []).append(batch)
        left -= _BATCH.size + length
    return kept


def _decode_timers(data: bytes, timers: TimerQueue) -> None:
    reader = FieldReader(data, "snapshot timers")
    for _ in range(len(data) // _TIMER.size):
        deadline, timer_id = _TIMER.unpack(reader.take(_TIMER.size))
        timers.schedule(timer_id, deadline)
    reader.end()


def _decode_records(data: bytes) -> Iterator[bytes]:
    reader = FieldReader(data, "snapshot service records")
    left = len(data)
    while left:
        length = reader.u32()
        left -= _LENGTH.size + length
        yield reader.take(length)


def _require(holds: bool, problem: str) -> None:  # noqa: FBT001
    if not holds:
        raise SnapshotError(f"snapshot refused: {problem}")
