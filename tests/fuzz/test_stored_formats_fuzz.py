"""Mutates whatever is read from files and HTTP, and what entries and batches hold.

Each decoder raises what it documents and nothing else, and takes memory in proportion to what it
was given, whatever lengths and counts that claims. Checksums are put right half of the time: the
liar behind them knows how.
"""

from __future__ import annotations

import ast
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

import google_crc32c
import pytest

from quorate.archive import node_state, segment
from quorate.cli.configuration import resolve
from quorate.client.batches import cut_egress
from quorate.config import ClusterSettings, Durability, to_toml
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    Chain,
    FrameType,
    LeadershipTermId,
    LogPosition,
    MemberId,
)
from quorate.control.status import decode_status, encode_status
from quorate.dev import run_file
from quorate.errors import (
    ConfigurationError,
    ForeignData,
    InvariantBroken,
    RemoteProtocolError,
    SnapshotError,
)
from quorate.protocol.batch import (
    EgressKind,
    EgressMessage,
    decode_egress_batch,
    decode_error_payload,
    decode_ingress_batch,
    encode_egress_batch,
    encode_error_payload,
    encode_ingress_batch,
)
from quorate.protocol.entry_bodies import (
    CloseReason,
    SessionOpenBody,
    decode_session_close,
    decode_session_open,
    encode_session_close,
    encode_session_open,
)
from quorate.protocol.log_codec import EntryType, encode_entry, encode_frame
from quorate.protocol.term_codec import decode_constants, encode_constants, encode_founding
from quorate.service.collector import Collector
from quorate.service.container import ServiceContainer
from quorate.service.snapshot import MAGIC, decode_snapshot
from quorate.testing import ServiceHarness
from quorate_services import Scripted
from quorate_wire import samples
from quorate_wire.configuration import STATUS, VALID
from quorate_wire.mutation import mutated

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus" / "stored"
ROUNDS = 1000
MEMORY_ROUNDS = 150
MEMORY_FACTOR = 64
"""Bytes allowed for one byte of input: an object for each small message, and some."""
MEMORY_FLOOR = 512 * 1024


class Target(NamedTuple):
    """One decoder with what it may raise."""

    decode: Callable[[bytes], object]
    seeds: list[bytes]
    documented: tuple[type[Exception], ...]


def make_snapshot() -> bytes:
    harness = ServiceHarness(Scripted)
    first, second = harness.open_session(name="é", principal=b"say p"), harness.open_session()
    first.send(b"say a;tell 1 b", b"timer 5 50;timer 3 60;timer 4 50")
    second.send(b"say c", b"at 4 tell 0 x")
    return harness.take_snapshot()


def snapshot(data: bytes) -> None:
    decode_snapshot(data, Collector())


def resealed_snapshot(data: bytes) -> None:
    """With the checksums that the sections ask for, as far as there are sections."""
    pieces, offset = [MAGIC], len(MAGIC)
    while offset + 16 <= len(data):
        kind, _, length = struct.unpack_from("<IIQ", data, offset)
        body = data[offset + 16 : offset + 16 + length]
        if kind == 8:
            body = struct.pack("<I", google_crc32c.value(b"".join(pieces)))
        pieces.append(struct.pack("<IIQ", kind, google_crc32c.value(body), len(body)) + body)
        offset += 16 + length
    snapshot(b"".join(pieces))


def resealed(length: int, decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Put a CRC behind the fields of a slot or a header, so that it is not the one that refuses."""

    def check(data: bytes) -> object:
        fields = data[: length - 4].ljust(length - 4, b"\0")
        return decode(fields + struct.pack("<I", google_crc32c.value(fields)))

    return check


def run_file_of(directory: Path) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        file = directory / "dev-1.json"
        file.write_bytes(data)
        return run_file._read(file)

    return read


def configuration_of(directory: Path) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        file = directory / "member.toml"
        file.write_bytes(data)
        return resolve(file, {}, [])

    return read


def counted(decode: Callable[[bytes, int], object]) -> Callable[[bytes], object]:
    """Take the message count from the last two bytes, as a header would claim it."""

    def check(data: bytes) -> object:
        return decode(data[:-2], int.from_bytes(data[-2:], "little"))

    return check


def applied(data: bytes) -> None:
    """Apply entries that claim anything, behind an open session."""
    container = ServiceContainer(Scripted(), lambda _failure: None)
    container.start(None)
    frame = FOUNDING
    for body in (OPEN_ENTRY, data):
        container.begin(frame)
        while not container.step(1000):
            pass
        frame = encode_frame(
            frame.end, LeadershipTermId(0), frame.timestamp, frame.chain, FrameType.ENTRIES, body, 1
        )
    container.begin(frame)
    while not container.step(1000):
        pass


def applied_batch(data: bytes, count: int) -> None:
    """Apply what a client may have put into the log: whatever it is, no member halts."""
    sequence = 1 + count % 3
    applied(
        encode_entry(
            EntryType.SESSION_INGRESS, SESSION, data, first_sequence=sequence, message_count=count
        )
    )


FOUNDING = encode_frame(
    LogPosition(0),
    LeadershipTermId(0),
    0,
    Chain(0),
    FrameType.FOUNDING,
    encode_founding(replace(samples.FOUNDING_BODY, settings=ClusterSettings())),
)
OPEN_BODY = encode_session_open(SessionOpenBody(b"k" * 16, b"principal", "näme", 100))
OPEN_ENTRY = encode_entry(EntryType.SESSION_OPEN, 0, OPEN_BODY)
SESSION = FOUNDING.end + 64
MESSAGES = [b"say a", b"", b"say b" * 20]
INGRESS = encode_ingress_batch(MESSAGES)
EGRESS = encode_egress_batch(
    [
        EgressMessage(EgressKind.MESSAGE, 0, 1, b"answer"),
        EgressMessage(EgressKind.ERROR, 1, 2, encode_error_payload(64)),
    ]
)
ENTRIES = [
    OPEN_ENTRY,
    encode_entry(EntryType.SESSION_CLOSE, SESSION, encode_session_close(CloseReason.CLIENT)),
    encode_entry(
        EntryType.SESSION_INGRESS, SESSION, INGRESS, first_sequence=1, message_count=len(MESSAGES)
    ),
    encode_entry(EntryType.EGRESS_ACKNOWLEDGEMENT, SESSION, b"", egress_acknowledged=1),
]
NODE_STATE = node_state.encode_slot(
    node_state.StoredNodeState(
        samples.CLUSTER,
        0,
        MemberId(b"m" * 16),
        3,
        b"b" * 16,
        Durability.FSYNC,
        True,
        BLANK_NODE_STATE,
    )
)
SEGMENT = segment.encode_header(
    segment.SegmentHeader(
        samples.CLUSTER,
        0,
        MemberId(b"m" * 16),
        LogPosition(0),
        LogPosition(0),
        FOUNDING.chain,
        4096,
    )
)
WATERMARK = segment.encode_slot(segment.Watermark(3, samples.END))
RUN_FILE = (
    b'{"directory": "/d", "cluster_id": "c", "client_addresses": ["a:1", "b:2"], '
    b'"control_addresses": ["a:3"]}'
)
COUNT = struct.Struct("<H").pack
PROTOCOL = (RemoteProtocolError,)


def targets(directory: Path) -> dict[str, Target]:
    return {
        "snapshot": Target(snapshot, [make_snapshot()], (SnapshotError,)),
        "resealed_snapshot": Target(resealed_snapshot, [make_snapshot()], (SnapshotError,)),
        "node_state": Target(node_state.decode_slot, [NODE_STATE], (ForeignData,)),
        "resealed_node_state": Target(
            resealed(node_state.SLOT_LENGTH, node_state.decode_slot), [NODE_STATE], (ForeignData,)
        ),
        "segment_header": Target(segment.decode_header, [SEGMENT], (ForeignData,)),
        "resealed_segment_header": Target(
            resealed(segment.HEADER_LENGTH, segment.decode_header), [SEGMENT], (ForeignData,)
        ),
        "watermark": Target(segment.decode_slot, [WATERMARK], ()),
        "resealed_watermark": Target(
            resealed(segment.SLOT_LENGTH, segment.decode_slot), [WATERMARK], ()
        ),
        "constants": Target(decode_constants, [encode_constants(samples.CONSTANTS)], PROTOCOL),
        "session_open": Target(decode_session_open, [OPEN_BODY], PROTOCOL),
        "session_close": Target(
            decode_session_close, [encode_session_close(CloseReason.CLIENT)], PROTOCOL
        ),
        "ingress_batch": Target(
            counted(decode_ingress_batch), [INGRESS + COUNT(len(MESSAGES))], PROTOCOL
        ),
        "egress_batch": Target(counted(decode_egress_batch), [EGRESS + COUNT(2)], PROTOCOL),
        "cut_egress": Target(counted(cut_egress), [EGRESS + COUNT(2)], PROTOCOL),
        "error_payload": Target(decode_error_payload, [encode_error_payload(64)], PROTOCOL),
        "entries": Target(applied, ENTRIES, (*PROTOCOL, InvariantBroken)),
        "client_batch": Target(
            counted(applied_batch), [INGRESS + COUNT(len(MESSAGES)), INGRESS + COUNT(2)], ()
        ),
        "status": Target(decode_status, [encode_status(STATUS)], PROTOCOL),
        "run_file": Target(run_file_of(directory), [RUN_FILE], ()),
        "configuration": Target(
            configuration_of(directory), [to_toml(VALID).encode()], (ConfigurationError,)
        ),
    }


NAMES = list(targets(Path()))
ELSEWHERE = {
    "protocol/framing.py:feed": "test_member_codecs_fuzz",
    "protocol/handshake.py:decode_handshake": "test_member_codecs_fuzz",
    "protocol/handshake.py:decode_refusal": "test_member_codecs_fuzz",
    "protocol/append_codec.py:decode_append_frames": "test_member_codecs_fuzz",
    "protocol/append_codec.py:decode_append_report": "test_member_codecs_fuzz",
    "protocol/consensus_codec.py:decode_message": "test_member_codecs_fuzz",
    "protocol/log_codec.py:decode_frame": "test_member_codecs_fuzz",
    "protocol/log_codec.py:decode_frames": "test_member_codecs_fuzz",
    "protocol/log_codec.py:decode_entries": "test_member_codecs_fuzz",
    "protocol/fields.py:decode_records": "test_member_codecs_fuzz",
    "protocol/term_codec.py:decode_founding": "test_member_codecs_fuzz",
    "protocol/term_codec.py:decode_term": "test_member_codecs_fuzz",
    "protocol/term_codec.py:decode_settings": "test_member_codecs_fuzz",
    "protocol/term_codec.py:decode_membership": "test_member_codecs_fuzz",
    "protocol/session_codec.py:feed": "test_session_codec_fuzz",
    "protocol/session_codec.py:decode_ingress": "test_session_codec_fuzz",
    "protocol/session_codec.py:decode_egress": "test_session_codec_fuzz",
    "protocol/session_codec.py:decode_message": "test_session_codec_fuzz",
}
"""Which of the other modules here gives a decoder its mutated bytes."""
HERE = {
    "service/snapshot.py:decode_snapshot",
    "archive/node_state.py:decode_slot",
    "archive/segment.py:decode_header",
    "archive/segment.py:decode_slot",
    "protocol/term_codec.py:decode_constants",
    "protocol/entry_bodies.py:decode_session_open",
    "protocol/entry_bodies.py:decode_session_close",
    "protocol/batch.py:decode_ingress_batch",
    "protocol/batch.py:decode_egress_batch",
    "protocol/batch.py:decode_error_payload",
    "control/status.py:decode_status",
}


def decoders() -> Iterator[str]:
    """Yield every function of the node that is named like a decoder."""
    for path in sorted((ROOT / "node" / "quorate").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and (
                function.name.startswith("decode_") or function.name == "feed"
            ):
                yield f"{path.relative_to(ROOT / 'node' / 'quorate')}:{function.name}"


def test_every_decoder_is_given_mutated_bytes() -> None:
    found = {name for name in decoders() if not name.startswith("testing/")}
    assert not found - HERE - set(ELSEWHERE), "fuzz the new decoder, and list it here"


@pytest.mark.parametrize("name", NAMES)
def test_takes_its_own_seeds(name: str, tmp_path: Path) -> None:
    target = targets(tmp_path)[name]
    for seed in target.seeds:
        target.decode(seed)


@pytest.mark.parametrize("name", NAMES)
def test_mutated_bytes_raise_what_is_documented(name: str, tmp_path: Path) -> None:
    target = targets(tmp_path)[name]
    random = Random(31)
    for _ in range(ROUNDS):
        with suppress(*target.documented):
            target.decode(mutated(random, target.seeds))


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_in_proportion_to_the_input(name: str, tmp_path: Path) -> None:
    target = targets(tmp_path)[name]
    random = Random(32)
    inputs = [mutated(random, target.seeds) for _ in range(MEMORY_ROUNDS)]
    tracemalloc.start()
    try:
        for data in inputs:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            with suppress(*target.documented):
                target.decode(data)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak < MEMORY_FLOOR + MEMORY_FACTOR * len(data), (peak, data[:80])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.hex")), ids=lambda path: path.stem)
def test_the_corpus_is_refused(path: Path, tmp_path: Path) -> None:
    """What is to raise does so; what is to say that there is nothing returns None."""
    name, _, _ = path.stem.partition("-")
    target = targets(tmp_path)[name]
    data = bytes.fromhex(path.read_text(encoding="ascii"))
    try:
        assert target.decode(data) is None
    except target.documented:
        return
    assert name in ("node_state", "segment_header", "watermark", "run_file"), "taken for good"


def test_the_corpus_is_there() -> None:
    assert len(list(CORPUS.glob("*.hex"))) >= 20
