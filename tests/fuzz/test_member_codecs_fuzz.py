"""Mutates everything that a disk or another member can give us: only documented errors come out.

The seeds are the golden values and ``corpus/member``: one file a case, its first word the name of
the decoder. Whatever is decoded must encode to the same bytes again, or the decoder has
overlooked something.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import google_crc32c
import pytest

from quorate.consensus.types import FrameType
from quorate.errors import RemoteProtocolError
from quorate.protocol.consensus_codec import decode_message, encode_message
from quorate.protocol.framing import FrameDecoder
from quorate.protocol.handshake import (
    HANDSHAKE_PAYLOAD_BYTES_MAX,
    HandshakeExchange,
    LinkRefusal,
    encode_handshake,
    encode_refusal,
)
from quorate.protocol.log_codec import (
    FRAME_HEADER_LENGTH,
    decode_entries,
    decode_frames,
)
from quorate.protocol.term_codec import (
    decode_founding,
    decode_membership,
    decode_settings,
    decode_term,
    encode_founding,
    encode_membership,
    encode_settings,
    encode_term,
)
from quorate_wire import samples
from quorate_wire.frames import cut
from quorate_wire.mutation import mutated

CORPUS = Path(__file__).parent / "corpus" / "member"
ROUNDS = 6000


def frames(data: bytes) -> None:
    for frame in decode_frames(data):
        if frame.frame_type is FrameType.ENTRIES:
            list(decode_entries(frame))


def resealed_frames(data: bytes) -> None:
    """As a later release, or a liar, would write it: with the CRC that the bytes ask for."""
    if len(data) >= FRAME_HEADER_LENGTH:
        (length,) = struct.unpack_from("<I", data)
        crc = google_crc32c.value(data[8:length])
        data = data[:4] + struct.pack("<I", crc) + data[8:]
    frames(data)


def founding(data: bytes) -> None:
    same_or_optional(data, encode_founding(decode_founding(data)))


def term(data: bytes) -> None:
    same_or_optional(data, encode_term(decode_term(data)))


def settings(data: bytes) -> None:
    same_or_optional(data, encode_settings(decode_settings(data)))


def membership(data: bytes) -> None:
    assert encode_membership(decode_membership(data)) == data


def same_or_optional(data: bytes, again: bytes) -> None:
    """Only optional records may be lost, so what comes back is never longer."""
    assert again == data or len(again) < len(data)


def messages(data: bytes) -> None:
    decoder = FrameDecoder()
    again = b""
    for wire_frame in cut(decoder, data):
        again += b"".join(encode_message(decode_message(wire_frame)))
    assert data.startswith(again)


def handshake(data: bytes) -> None:
    for dialled in (samples.HANDSHAKE_OF_ACCEPTOR.seat, None):
        own = samples.HANDSHAKE_OF_DIALLER if dialled is not None else samples.HANDSHAKE_OF_ACCEPTOR
        exchange = HandshakeExchange(
            own,
            dialled=dialled,
            expected_seats=frozenset(range(3)) - {own.seat},  # type: ignore[arg-type]
            secret=samples.SECRET,
        )
        decoder = FrameDecoder(payload_bytes_max=HANDSHAKE_PAYLOAD_BYTES_MAX)
        with suppress(RemoteProtocolError):
            for wire_frame in cut(decoder, data):
                exchange.receive(wire_frame)
        assert not exchange.is_complete, "garbage has proved that it knows the secret"


def body(data: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", data)
    return data[FRAME_HEADER_LENGTH:length]


LOG = [frame.data for frame in samples.FRAMES.values()]
WIRE = [b"".join(encode_message(message)) for message in samples.MESSAGES.values()]
DECODERS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "frames": (frames, [*LOG, b"".join(LOG)]),
    "resealed_frames": (resealed_frames, LOG),
    "founding": (founding, [body(samples.FOUNDING.data)]),
    "term": (term, [body(samples.TERM.data)]),
    "settings": (settings, [encode_settings(samples.SETTINGS)]),
    "membership": (membership, [encode_membership(samples.TERM_BODY.membership)]),
    "messages": (messages, [*WIRE, b"".join(WIRE)]),
    "handshake": (
        handshake,
        [
            encode_handshake(samples.HANDSHAKE_OF_DIALLER),
            encode_handshake(samples.HANDSHAKE_OF_ACCEPTOR),
            encode_refusal(LinkRefusal.SEAT, "elsewhere"),
        ],
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_should_take_its_own_seeds(name: str) -> None:
    decoder, seeds = DECODERS[name]
    for seed in seeds:
        decoder(seed)


@pytest.mark.parametrize("name", DECODERS)
def test_mutated_bytes_should_raise_nothing_but_protocol_errors(name: str) -> None:
    decoder, seeds = DECODERS[name]
    random = Random(30)
    for _ in range(ROUNDS):
        with suppress(RemoteProtocolError):
            decoder(mutated(random, seeds))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.hex")), ids=lambda path: path.stem)
def test_corpus_should_be_refused(path: Path) -> None:
    name, _, _ = path.stem.partition("-")
    decoder, _ = DECODERS[name]
    data = bytes.fromhex(path.read_text(encoding="ascii"))
    with pytest.raises(RemoteProtocolError):
        decoder(data)


def test_the_corpus_should_be_there() -> None:
    assert len(list(CORPUS.glob("*.hex"))) >= 15
