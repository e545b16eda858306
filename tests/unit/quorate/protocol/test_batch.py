from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
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

MESSAGES = st.lists(st.binary(max_size=20), max_size=20)
UNIFORM = st.integers(0, 9).flatmap(
    lambda n: st.lists(st.binary(min_size=n, max_size=n), min_size=1, max_size=20)
)
EGRESS = st.lists(
    st.builds(
        EgressMessage,
        st.sampled_from(EgressKind),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=20),
    ),
    max_size=20,
)


@given(MESSAGES | UNIFORM)
def test_ingress_comes_back(messages: list[bytes]) -> None:
    assert decode_ingress_batch(encode_ingress_batch(messages), len(messages)) == messages


@given(EGRESS)
def test_egress_comes_back(messages: list[EgressMessage]) -> None:
    assert decode_egress_batch(encode_egress_batch(messages), len(messages)) == messages


def test_layouts_are_those_of_the_format() -> None:
    assert encode_ingress_batch([b"ab"]) == b"\2\0\0\0ab"
    message = EgressMessage(EgressKind.ERROR, 0x0201, 7, b"xy")
    expected = b"\2\0\0\0" + b"\1\0" + b"\1\2" + b"\7" + bytes(7) + b"xy"
    assert encode_egress_batch([message]) == expected
    assert decode_error_payload(encode_error_payload(2**63)) == 2**63


@given(st.binary(max_size=60), st.integers(0, 5) | st.integers(0, 2**32 - 1))
def test_any_bytes_split_into_exactly_the_count_or_are_refused(batch: bytes, count: int) -> None:
    try:
        messages = decode_ingress_batch(batch, count)
    except RemoteProtocolError:
        return
    assert len(messages) == count
    assert encode_ingress_batch(messages) == batch


@given(st.binary(max_size=60), st.integers(0, 5) | st.integers(0, 2**32 - 1))
def test_any_bytes_are_egress_or_are_refused(batch: bytes, count: int) -> None:
    try:
        messages = decode_egress_batch(batch, count)
    except RemoteProtocolError:
        return
    assert len(messages) == count
    assert encode_egress_batch(messages) == batch


@given(MESSAGES.filter(bool), st.data())
def test_a_batch_with_one_byte_changed_splits_into_the_count_or_is_refused(
    messages: list[bytes], data: st.DataObject
) -> None:
    batch = bytearray(encode_ingress_batch(messages))
    batch[data.draw(st.integers(0, len(batch) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode_ingress_batch(bytes(batch), len(messages))
    except RemoteProtocolError:
        return
    assert encode_ingress_batch(decoded) == bytes(batch)


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        (b"", 1),
        (b"\0\0\0\0", 0),
        (b"\0\0\0\0", 2),
        (b"\1\0\0\0ab", 1),
        (b"\3\0\0\0ab", 1),
        (b"\1\0\0\0a\1\0\0\0", 2),
        (b"\1\0\0\0a\2\0\0\0b", 2),
        (b"\0\0\0\0\0\0\0", 1),
        (b"\0\0\0\0\0\0\0", 2),
    ],
)
def test_a_batch_of_another_count_or_length_is_refused(batch: bytes, count: int) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_ingress_batch(batch, count)


@pytest.mark.parametrize(
    "batch",
    [
        struct.pack("<IBBHQ", 0, 2, 0, 0, 0),
        struct.pack("<IBBHQ", 0, 0, 1, 0, 0),
        struct.pack("<IBBHQ", 1, 0, 0, 0, 0),
        struct.pack("<IBBHQ", 0, 0, 0, 0, 0) + b"x",
        struct.pack("<IBBHQ", 0, 0, 0, 0, 0)[:-1],
    ],
)
def test_egress_of_another_kind_flag_or_length_is_refused(batch: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_egress_batch(batch, 1)


def test_a_second_egress_message_cut_short_is_refused() -> None:
    whole = encode_egress_batch([EgressMessage(EgressKind.MESSAGE, 0, 0, b"x" * 40)] * 2)
    with pytest.raises(RemoteProtocolError):
        decode_egress_batch(whole[:-50], 2)


@pytest.mark.parametrize("payload", [b"", bytes(7), bytes(9)])
def test_an_error_payload_is_one_number(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_error_payload(payload)


def test_a_message_that_no_length_can_say_is_refused_before_it_is_sent() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 2**32

    with pytest.raises(LocalProtocolError):
        encode_ingress_batch([Huge()])


@given(st.integers(0, 300), st.integers(0, 9), st.data())
def test_messages_of_one_length_are_cut_as_any_others(
    count: int, length: int, data: st.DataObject
) -> None:
    messages = [number.to_bytes(2, "big") * length for number in range(count)]
    if messages:
        odd = data.draw(st.integers(0, count - 1))
        messages[odd] += data.draw(st.binary(max_size=2))
    assert decode_ingress_batch(encode_ingress_batch(messages), count) == messages


@pytest.mark.parametrize("field", range(4))
def test_one_wrong_length_among_equal_ones_is_refused(field: int) -> None:
    batch = bytearray(encode_ingress_batch([bytes(300)] * 200))
    batch[100 * 304 + field] ^= 2
    with pytest.raises(RemoteProtocolError):
        decode_ingress_batch(bytes(batch), 200)
