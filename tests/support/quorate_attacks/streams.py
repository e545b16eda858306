"""Streams of bytes that a member must not believe."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    encode_close,
    encode_egress_acknowledge,
    encode_keep_alive,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientMessageType,
    Credit,
    Egress,
    Ingress,
    Open,
    Opened,
    Redirect,
)

HTTP = b"GET / HTTP/1.1\r\nHost: quorate\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(range(160))
ALL_ONES = b"\xff" * 64
_INTERESTING = (0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def noise(random: Random, count: int) -> Iterator[bytes]:
    """Yield bytes that are no protocol: what scanners send, and plain garbage."""
    yield from (HTTP, TLS_HELLO, ALL_ONES, bytes(64))
    for _ in range(count):
        # A first byte that is not 0 in every byte of the length makes it too long.
        yield b"\xff\xff\xff\xff" + random.randbytes(random.randrange(8, 400))


def client_header(
    length: int, message_type: int = ClientMessageType.INGRESS, version: int = 1, flags: int = 0
) -> bytes:
    """Return a header of the client link that may say anything."""
    return struct.pack("<IBBH", length, message_type, version, flags)


def first_words(key: bytes, cluster_id: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what a client must not begin with, and the reason for which it is refused."""
    opening = encode_message(Open(1, 1, ANY_CLUSTER, key, 0, 0, 0, "liar"))
    yield "malformed", client_header(7)
    yield "malformed", client_header(0)
    yield "malformed", client_header(8, 0)
    yield "malformed", client_header(8, 99)
    yield "malformed", client_header(8, version=9)
    yield "malformed", client_header(8, flags=0x8000)
    yield "too-large", client_header(0xFFFFFFFF)
    yield "too-large", client_header(1024 * 1024 + 1)
    yield "too-large", client_header(16 * 1024 + 1)
    yield "too-large", client_header(16 * 1024 + 1, ClientMessageType.OPEN)
    yield "malformed", client_header(8, ClientMessageType.OPEN)
    yield "malformed", opening + opening
    yield "malformed", client_header(len(opening) - 1, ClientMessageType.OPEN) + opening[8:-1]
    yield (
        "malformed",
        client_header(len(opening) + 5, ClientMessageType.OPEN) + opening[8:] + b"12345",
    )
    yield "malformed", opening[:-6] + b"\xff" * 6
    yield "version", encode_message(Open(2, 9, ANY_CLUSTER, key, 0, 0, 0, ""))
    yield "version", encode_message(Open(0, 0, ANY_CLUSTER, key, 0, 0, 0, ""))
    yield "cluster-id", encode_message(Open(1, 1, b"\x01" * 16, key, 0, 0, 0, ""))
    yield "not-live", encode_message(Open(1, 1, cluster_id, key, 2**64 - 1, 0, 0, ""))
    yield "malformed", encode_message(Ingress(1, 1, 0, 1, encode_ingress_batch([b"x"])))
    yield "malformed", encode_close(8)
    yield "malformed", encode_egress_acknowledge(8, 1)
    for message in (Credit(1), Redirect("x:1"), Egress(0, 1, 0, b"")):
        yield "malformed", encode_message(message)
    yield "malformed", encode_message(Opened(1, 0, 1, 0, 0, 0, 0, 0, ()))


def conversation(session_id: int, random: Random) -> bytes:
    """Return what a well-behaved client sends once its session is open."""
    pieces: list[bytes] = []
    sequence = 1
    for _ in range(random.randrange(1, 6)):
        messages = [random.randbytes(random.randrange(40)) for _ in range(random.randrange(1, 5))]
        batch = encode_ingress_batch(messages)
        pieces.append(encode_message(Ingress(session_id, sequence, 0, len(messages), batch)))
        sequence += len(messages)
        if random.random() < 0.5:
            pieces.append(encode_keep_alive())
        if random.random() < 0.5:
            pieces.append(encode_egress_acknowledge(session_id, random.randrange(sequence)))
    if random.random() < 0.3:
        pieces.append(encode_close(session_id))
    return b"".join(pieces)


def mutated(stream: bytes, random: Random) -> bytes:
    """Return a stream with some of its fields changed, pieces dropped, doubled or moved."""
    data = bytearray(stream)
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(data))
        match random.randrange(6):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                value = random.choice(_INTERESTING).to_bytes(4, "little")
                data[at : at + 4] = value
            case 2:
                del data[at : at + random.randrange(1, 12)]
            case 3:
                data[at:at] = data[at : at + random.randrange(1, 64)]
            case 4:
                data[at:at] = random.randbytes(random.randrange(1, 16))
            case _:
                data = data[at:] + data[:at]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)
