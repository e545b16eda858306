"""Mutates whole conversations of the client link: only documented errors may come out."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from quorate.client.session import Session, SessionState
from quorate.errors import RemoteProtocolError
from quorate.protocol.batch import EgressKind, EgressMessage, encode_egress_batch
from quorate.protocol.session_codec import (
    CLIENT_MESSAGE_BYTES_MAX,
    EGRESS_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Close,
    Closed,
    Credit,
    Egress,
    EgressAcknowledge,
    Error,
    Ingress,
    KeepAlive,
    Open,
    Opened,
    Redirect,
    Rewind,
)

MEMBER_SAYS: list[ClientLinkMessage] = [
    Opened(1, 0, 4096, 0, 1 << 22, 30_000_000_000, 1 << 18, 1 << 19, ("a:1", "b:2")),
    Egress(0, 1, 1, encode_egress_batch([EgressMessage(EgressKind.MESSAGE, 0, 1, b"42")])),
    Egress(0, 1, 0, b""),
    Credit(1 << 23),
    Rewind(1),
    Redirect("c:3"),
    Redirect(""),
    Closed(4096, 2),
    Error(1),
]
CLIENT_SAYS: list[ClientLinkMessage] = [
    Open(1, 1, bytes(16), b"k" * 16, 0, 0, 0, "till"),
    Ingress(4096, 1, 0, 2, b"\x01\x00\x00\x008\x02\x00\x00\x00x5"),
    EgressAcknowledge(4096, 1),
    KeepAlive(),
    Close(4096),
]
ROUNDS = 3000
CORPUS = Path(__file__).parent / "corpus" / "client"


def mutated(random: Random, stream: bytes) -> bytes:
    data = bytearray(stream)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data))
        match random.randrange(4):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del data[at : at + random.randint(1, 9)]
            case _:
                data[at:at] = random.randbytes(random.randint(1, 9))
        if not data:
            return b"\x00"
    return bytes(data)


def slices(random: Random, data: bytes) -> list[bytes]:
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(3))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("says", [MEMBER_SAYS, CLIENT_SAYS], ids=["member", "client"])
def test_mutated_streams_are_refused_as_documented(says: list[ClientLinkMessage]) -> None:
    random = Random(20)
    for _ in range(ROUNDS):
        stream = b"".join(encode_message(random.choice(says)) for _ in range(4))
        splitter = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX)
        try:
            for piece in slices(random, mutated(random, stream)):
                for raw in splitter.feed(piece):
                    decode_message(raw)
                assert splitter.buffered <= CLIENT_MESSAGE_BYTES_MAX
        except RemoteProtocolError:
            continue


def test_a_session_survives_any_member() -> None:
    random = Random(21)
    for _ in range(ROUNDS):
        session = Session(session_key=b"k" * 16)
        session.on_connected(0)
        session.data_to_send(0)
        stream = encode_message(MEMBER_SAYS[0])
        stream += b"".join(encode_message(random.choice(MEMBER_SAYS)) for _ in range(4))
        try:
            for now, piece in enumerate(slices(random, mutated(random, stream))):
                session.receive(piece, now)
                session.data_to_send(now)
                session.on_tick(now)
        except RemoteProtocolError:
            session.take_events()
        session.on_disconnected()
        assert session.state in (SessionState.DETACHED, SessionState.CLOSED)


def test_the_largest_egress_is_not_joined_again_for_every_piece() -> None:
    length = EGRESS_MESSAGE_BYTES_MAX
    stream = encode_message(Egress(0, 1, 1, bytes(length - 28)))
    assert len(stream) == length
    splitter = MessageSplitter(length)
    messages = [raw for at in range(0, length, 100) for raw in splitter.feed(stream[at : at + 100])]
    assert len(messages) == 1


def take(says: str, data: bytes) -> None:
    """Take a whole stream as the other side would."""
    if says == "member":
        session = Session(session_key=b"k" * 16)
        session.on_connected(0)
        session.receive(data, 0)
        return
    splitter = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX)
    messages = splitter.feed(data)
    if not messages:
        raise RemoteProtocolError(f"{splitter.buffered} bytes are no message")
    for raw in messages:
        decode_message(raw)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.hex")), ids=lambda path: path.stem)
def test_the_corpus_is_refused(path: Path) -> None:
    says, _, _ = path.stem.partition("-")
    with pytest.raises(RemoteProtocolError):
        take(says, bytes.fromhex(path.read_text(encoding="ascii")))


def test_the_corpus_is_there() -> None:
    assert len(list(CORPUS.glob("*.hex"))) >= 20
