from __future__ import annotations

import struct

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import SnapshotError
from quorate.service.collector import Collector
from quorate.service.outbox import EgressBatch
from quorate.service.sessions import Session, kept_cost
from quorate.service.snapshot import (
    MAGIC,
    RecordWriter,
    ReplicatedState,
    decode_snapshot,
    encode_snapshot,
)
from quorate.testing import ServiceHarness
from quorate_services import Scripted


def make_snapshot() -> bytes:
    harness = ServiceHarness(Scripted)
    first, second = harness.open_session(name="é", principal=b"say p"), harness.open_session()
    first.send(b"say a;tell 1 b", b"timer 5 50;timer 3 60;timer 4 50")
    second.send(b"say c", b"at 4 tell 0 x")
    second.acknowledge()
    first.send(b"say d")
    return harness.take_snapshot()


SNAPSHOT = make_snapshot()


def sections(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    offset = len(MAGIC)
    while offset < len(data):
        kind, _, length = struct.unpack_from("<IIQ", data, offset)
        found.append((kind, data[offset + 16 : offset + 16 + length]))
        offset += 16 + length
    return found


def join(parts: list[tuple[int, bytes]]) -> bytes:
    """Build a snapshot with right checksums from whatever sections."""
    data = MAGIC
    for kind, body in parts[:-1]:
        data += struct.pack("<IIQ", kind, google_crc32c.value(body), len(body)) + body
    end = struct.pack("<I", google_crc32c.value(data))
    return data + struct.pack("<IIQ", parts[-1][0], google_crc32c.value(end), 4) + end


def test_a_snapshot_comes_back() -> None:
    state, reader = decode_snapshot(SNAPSHOT, Collector())
    assert encode_snapshot(state, list(reader)) == SNAPSHOT
    assert list(reader) == list(reader), "a service may read it more than once"
    assert [session.name for session in state.sessions] == ["é", ""]
    assert [timer_id for _, timer_id in state.timers.rows()] == [4, 5, 3]


def test_the_layout_is_that_of_the_grammar() -> None:
    assert SNAPSHOT.startswith(b"QRTSNAP1")
    assert [kind for kind, _ in sections(SNAPSHOT)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert join(sections(SNAPSHOT)) == SNAPSHOT


def test_an_empty_state_comes_back() -> None:
    data = encode_snapshot(ReplicatedState(), [])
    state, reader = decode_snapshot(data, Collector())
    assert list(reader) == []
    assert encode_snapshot(state, []) == data


U64 = st.integers(0, 2**64 - 1)


@given(
    st.tuples(st.binary(max_size=9), st.text(max_size=9), st.integers(0, 2**32 - 1)),
    st.tuples(U64, U64, U64),
    st.lists(st.builds(EgressBatch, st.just(64), U64, U64, U64, st.binary(max_size=9)), max_size=3),
    st.tuples(U64, st.integers(0, 2**63 - 1), st.binary(min_size=16, max_size=16), U64),
)
def test_everything_that_is_known_of_sessions_and_time_comes_back(
    told: tuple[bytes, str, int],
    numbers: tuple[int, int, int],
    kept: list[EgressBatch],
    clock: tuple[int, int, bytes, int],
) -> None:
    collector = Collector()
    session = Session(64, b"k" * 16, *told, collector)
    session.last_ingress_sequence, session.last_egress_sequence = numbers[:2]
    session.egress_acknowledged = numbers[2]
    session.kept.extend(batch._replace(message_count=7) for batch in kept)
    session.kept_bytes = sum(map(kept_cost, session.kept))
    names = ("position", "timestamp", "digest", "loss_position")
    before = ReplicatedState(**dict(zip(names, clock, strict=True)))  # type: ignore[arg-type]
    before.sessions.add(session)
    after, _ = decode_snapshot(encode_snapshot(before, []), collector)
    assert [getattr(after, name) for name in names] == list(clock)
    assert after.sessions.kept_bytes == before.sessions.kept_bytes
    (back,) = after.sessions
    for name in Session.__slots__:
        assert getattr(back, name) == getattr(session, name), name


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_records_come_back(records: list[bytes]) -> None:
    _, reader = decode_snapshot(encode_snapshot(ReplicatedState(), records), Collector())
    assert list(reader) == records


@given(st.integers(0, len(SNAPSHOT) - 1), st.integers(1, 255))
def test_one_changed_byte_is_refused(offset: int, change: int) -> None:
    data = bytearray(SNAPSHOT)
    data[offset] ^= change
    with pytest.raises(SnapshotError):
        decode_snapshot(bytes(data), Collector())


@given(st.integers(0, len(SNAPSHOT) - 1))
def test_a_part_is_refused(length: int) -> None:
    with pytest.raises(SnapshotError):
        decode_snapshot(SNAPSHOT[:length], Collector())


@given(st.binary(max_size=100))
def test_anything_else_is_refused(data: bytes) -> None:
    for wrong in (data, MAGIC + data, SNAPSHOT + data + b"x"):
        with pytest.raises(SnapshotError):
            decode_snapshot(wrong, Collector())


@given(st.integers(0, 6), st.data())
def test_a_section_that_lies_under_right_checksums_is_read_or_refused(
    index: int, data: st.DataObject
) -> None:
    parts = sections(SNAPSHOT)
    kind, body = parts[index]
    changed = bytearray(body)
    at = data.draw(st.integers(0, len(body) - 1))
    changed[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for lie in (bytes(changed), body[:cut], body + b"\0"):
        parts[index] = (kind, lie)
        try:
            state, reader = decode_snapshot(join(parts), Collector())
        except SnapshotError:
            continue
        assert isinstance(encode_snapshot(state, list(reader)), bytes)


def test_sections_out_of_order_missing_or_doubled_are_refused() -> None:
    parts = sections(SNAPSHOT)
    for wrong in (parts[1:], [parts[0], *parts], [parts[1], parts[0], *parts[2:]], parts[:-1]):
        with pytest.raises(SnapshotError):
            decode_snapshot(join(wrong), Collector())


def test_sections_of_two_snapshots_do_not_mix() -> None:
    other = encode_snapshot(ReplicatedState(), [b"other"])
    mixed = SNAPSHOT[: SNAPSHOT.index(struct.pack("<I", 8), len(SNAPSHOT) - 24)]
    tail = other[-20:]
    with pytest.raises(SnapshotError, match="belong together"):
        decode_snapshot(mixed + tail, Collector())


def test_sessions_are_in_their_order_each_with_a_key_of_its_own() -> None:
    parts = sections(SNAPSHOT)
    body = parts[3][1]
    length = 56 + len(b"say p") + len("é".encode())
    first, second = body[:length], body[length:]
    assert first[8:24] != second[8:24]
    doubled_key = second[:8] + first[8:24] + second[24:]
    for wrong in (second + first, first + first, first + doubled_key):
        parts[3] = (4, wrong)
        with pytest.raises(SnapshotError):
            decode_snapshot(join(parts), Collector())


def test_egress_kept_for_nobody_is_refused() -> None:
    parts = sections(SNAPSHOT)
    parts[3] = (4, b"")
    with pytest.raises(SnapshotError, match="not open"):
        decode_snapshot(join(parts), Collector())


def test_a_record_is_bytes() -> None:
    writer = RecordWriter()
    for wrong in ("text", bytearray(b"x"), None):
        with pytest.raises(TypeError):
            writer.write(wrong)  # type: ignore[arg-type]
    writer.write(b"x")
    assert writer.records == [b"x"]
