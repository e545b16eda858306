import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.batch import EGRESS_HEADER_LENGTH as EGRESS_IN_BATCH_HEADER_LENGTH
from quorate.protocol.entry_bodies import NAME_BYTES_MAX
from quorate.protocol.fields import OPTIONAL, encode_records
from quorate.protocol.log_codec import FRAME_BYTES_MAX, UnknownFormat
from quorate.protocol.session_codec import (
    ADDRESS_BYTES_MAX,
    CLIENT_MESSAGE_BYTES_MAX,
    EGRESS_HEADER_LENGTH,
    EGRESS_MESSAGE_BYTES_MAX,
    HEADER_LENGTH,
    INGRESS_HEADER_LENGTH,
    SEQUENCE_MAX,
    SMALL_MESSAGE_BYTES_MAX,
    MessageSplitter,
    TooLarge,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    ClientMessageType,
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
    RawMessage,
    Redirect,
    Rewind,
)
from quorate.service.outbox import EGRESS_BATCH_BYTES_MAX

u8 = st.integers(0, 2**8 - 1)
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
sixteen = st.binary(min_size=16, max_size=16)
texts = st.text(max_size=60)


@st.composite
def ingresses(draw: st.DrawFn) -> Ingress:
    batch = draw(st.binary(min_size=4, max_size=80))
    count = draw(st.integers(1, len(batch) // 4))
    first = draw(st.integers(1, SEQUENCE_MAX - count))
    return Ingress(draw(u64), first, draw(u64), count, batch)


@st.composite
def egresses(draw: st.DrawFn) -> Egress:
    applied = draw(st.integers(0, SEQUENCE_MAX))
    if draw(st.booleans()):
        return Egress(applied, draw(st.integers(0, SEQUENCE_MAX)), 0, b"")
    batch = draw(st.binary(min_size=16, max_size=80))
    count = draw(st.integers(1, len(batch) // 16))
    return Egress(applied, draw(st.integers(1, SEQUENCE_MAX - count)), count, batch)


messages: st.SearchStrategy[ClientLinkMessage] = st.one_of(
    st.builds(Open, u8, u8, sixteen, sixteen, u64, u64, u32, texts),
    st.builds(Opened, u8, u8, u64, u64, u64, u64, u32, u32, st.lists(texts, max_size=9).map(tuple)),
    ingresses(),
    egresses(),
    st.builds(Redirect, texts),
    st.builds(Credit, u64),
    st.builds(Rewind, u64),
    st.builds(Closed, u64, u8),
    st.builds(Error, u16),
    st.builds(EgressAcknowledge, u64, u64),
    st.just(KeepAlive()),
    st.builds(Close, u64),
)


def header(length: int, kind: int = 11, version: int = 1, flags: int = 0) -> bytes:
    return struct.pack("<IBBH", length, kind, version, flags)


def split(data: bytes) -> list[RawMessage]:
    return MessageSplitter(CLIENT_MESSAGE_BYTES_MAX).feed(data)


@given(st.lists(messages, max_size=6), st.data())
def test_messages_survive_any_slicing_of_the_stream(
    sent: list[ClientLinkMessage], data: st.DataObject
) -> None:
    stream = b"".join(encode_message(message) for message in sent)
    splitter = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX)
    received: list[ClientLinkMessage] = []
    offset = 0
    while offset < len(stream):
        size = data.draw(st.integers(1, len(stream) - offset))
        received += [decode_message(raw) for raw in splitter.feed(stream[offset : offset + size])]
        offset += size
    assert received == sent
    assert splitter.buffered == 0


@given(messages)
def test_the_length_is_that_of_the_whole_message(message: ClientLinkMessage) -> None:
    encoded = encode_message(message)
    assert int.from_bytes(encoded[:4], "little") == len(encoded)


@given(messages, st.sampled_from([-1, 2**64, 2**70]))
def test_a_number_that_no_field_holds_is_a_typed_error(
    message: ClientLinkMessage, number: int
) -> None:
    for name, value in message._asdict().items():
        if isinstance(value, int):
            with pytest.raises(LocalProtocolError, match="does not fit"):
                encode_message(message._replace(**{name: number}))


@given(messages, st.data())
def test_a_body_that_is_cut_short_is_refused(
    message: ClientLinkMessage, data: st.DataObject
) -> None:
    (raw,) = split(encode_message(message))
    if not raw.body:
        return
    short = raw.body[: data.draw(st.integers(0, len(raw.body) - 1))]
    try:
        decoded = decode_message(RawMessage(raw.message_type, short))
    except RemoteProtocolError:
        return
    # Only a batch may be shorter and still make sense to who does not look inside.
    assert isinstance(decoded, Ingress | Egress)


@given(st.sampled_from(ClientMessageType), st.binary(max_size=200))
def test_no_body_raises_anything_else(kind: ClientMessageType, body: bytes) -> None:
    try:
        message = decode_message(RawMessage(kind, body))
    except RemoteProtocolError:
        return
    assert decode_message(*split(encode_message(message))) == message


def test_bytes_that_trickle_in_take_no_more_room_than_their_number() -> None:
    message = header(20_000, kind=ClientMessageType.INGRESS) + bytes(19_992)
    splitter = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX)
    pieces = [message[at : at + 2] for at in range(0, len(message), 2)]
    for piece in pieces[:-1]:
        assert splitter.feed(piece) == []
    assert len(splitter._pieces) < 10
    assert max(map(len, splitter._pieces)) < 2 * 4096, "nor are all copied for each that comes"
    (raw,) = splitter.feed(pieces[-1])
    assert raw.body == message[8:]


def test_a_client_takes_the_longest_egress_that_a_member_may_send_it() -> None:
    """A longer one would be refused, asked for again and refused, for ever."""
    longest = max(EGRESS_BATCH_BYTES_MAX, EGRESS_IN_BATCH_HEADER_LENGTH + FRAME_BYTES_MAX)
    assert EGRESS_HEADER_LENGTH + longest <= EGRESS_MESSAGE_BYTES_MAX


def test_messages_that_arrive_whole_leave_nothing_behind() -> None:
    """However long a connection lasts; most clients never send half a message."""
    splitter = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX)
    for _ in range(100):
        assert len(splitter.feed(encode_message(KeepAlive()))) == 1
    assert (splitter._pieces, splitter.buffered) == ([], 0)


@given(st.lists(messages, max_size=8), st.integers(0, 3), st.integers(1, 50))
def test_a_limit_of_messages_loses_and_reorders_none(
    said: list[ClientLinkMessage], messages_max: int, cut: int
) -> None:
    stream = b"".join(map(encode_message, said))
    splitter = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX)
    found: list[RawMessage] = []
    for at in range(0, len(stream), cut):
        some = splitter.feed(stream[at : at + cut], messages_max)
        assert len(some) <= messages_max
        found += some
    while splitter.has_more:
        found += splitter.feed(b"", max(1, messages_max))
    assert [decode_message(raw) for raw in found] == said


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_no_stream_raises_anything_else_or_is_hoarded(pieces: list[bytes]) -> None:
    splitter = MessageSplitter(1000)
    for piece in pieces:
        try:
            splitter.feed(piece)
        except RemoteProtocolError:
            return
        assert splitter.buffered < SMALL_MESSAGE_BYTES_MAX


@pytest.mark.parametrize(
    "bad",
    [
        header(8, kind=0),
        header(8, kind=13),
        header(8, version=2),
        header(8, version=0),
        header(8, flags=1),
        header(8, flags=0x8000),
        header(7),
        header(0),
    ],
)
def test_an_unknown_header_is_refused(bad: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        split(bad)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (ClientMessageType.INGRESS, CLIENT_MESSAGE_BYTES_MAX),
        (ClientMessageType.EGRESS, CLIENT_MESSAGE_BYTES_MAX),
        (ClientMessageType.OPEN, SMALL_MESSAGE_BYTES_MAX),
        (ClientMessageType.KEEP_ALIVE, SMALL_MESSAGE_BYTES_MAX),
    ],
)
def test_a_message_beyond_its_limit_is_refused_by_its_header(
    kind: ClientMessageType, limit: int
) -> None:
    assert split(header(limit, kind)) == []
    with pytest.raises(TooLarge):
        split(header(limit + 1, kind))


@pytest.mark.parametrize(
    "message",
    [
        Ingress(1, 1, 0, 0, b""),
        Ingress(1, 0, 0, 1, b"....."),
        Ingress(1, 1, 0, 2, b"....."),
        Ingress(1, SEQUENCE_MAX, 0, 1, b"...."),
        Egress(0, 1, 2, bytes(31)),
        Egress(0, 1, 0, b"x"),
        Egress(0, 0, 1, bytes(16)),
        Egress(SEQUENCE_MAX + 1, 1, 1, bytes(16)),
        Egress(0, SEQUENCE_MAX, 1, bytes(16)),
    ],
)
def test_counts_and_sequences_that_cannot_be_are_refused(message: ClientLinkMessage) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_message(*split(encode_message(message)))


@pytest.mark.parametrize(
    "message",
    [
        Open(1, 1, bytes(15), bytes(16), 0, 0, 0, ""),
        Open(1, 1, bytes(16), bytes(17), 0, 0, 0, ""),
        Open(1, 1, bytes(16), bytes(16), 2**64, 0, 0, ""),
        Open(1, 1, bytes(16), bytes(16), 0, 0, 0, "x" * (NAME_BYTES_MAX + 1)),
        Opened(1, 0, 1, 0, 0, 0, 0, 0, ("a",) * 10),
        Redirect("x" * (ADDRESS_BYTES_MAX + 1)),
    ],
)
def test_what_does_not_fit_the_layout_is_our_own_error(message: ClientLinkMessage) -> None:
    with pytest.raises(LocalProtocolError):
        encode_message(message)


def test_an_optional_option_of_a_later_release_is_skipped_and_a_mandatory_one_refused() -> None:
    message = Open(1, 1, bytes(16), bytes(16), 0, 0, 0, "till")
    (raw,) = split(encode_message(message))
    optional = encode_records([(OPTIONAL | 7, b"later")])
    assert decode_message(raw._replace(body=raw.body + optional)) == message
    mandatory = encode_records([(7, b"later")])
    with pytest.raises(UnknownFormat):
        decode_message(raw._replace(body=raw.body + mandatory))


def test_too_many_members_are_refused() -> None:
    opened = Opened(1, 0, 1, 0, 0, 0, 0, 0, ())
    (raw,) = split(encode_message(opened))
    with pytest.raises(RemoteProtocolError, match="10 members"):
        decode_message(raw._replace(body=raw.body[:-1] + b"\x0a"))


def test_header_lengths_leave_room_for_the_batch() -> None:
    assert len(encode_message(Ingress(1, 1, 0, 1, b"0000"))) == INGRESS_HEADER_LENGTH + 4
    assert len(encode_message(Egress(1, 0, 0, b""))) == EGRESS_HEADER_LENGTH
    assert len(encode_message(KeepAlive())) == HEADER_LENGTH
