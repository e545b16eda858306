import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.client.batches import cut_egress, error_code, join_ingress
from quorate.errors import RemoteProtocolError
from quorate.protocol.batch import (
    EgressKind,
    EgressMessage,
    decode_egress_batch,
    encode_egress_batch,
    encode_ingress_batch,
)

payloads = st.one_of(st.binary(max_size=12), st.just(b"same"), st.just(bytes(1500)))
egress_messages = st.one_of(
    st.builds(
        EgressMessage, st.just(EgressKind.MESSAGE), st.just(0), st.integers(0, 2**63), payloads
    ),
    st.builds(
        EgressMessage,
        st.just(EgressKind.ERROR),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**63),
        payloads,
    ),
)


@given(st.lists(payloads, min_size=1, max_size=20))
def test_joins_like_the_reference(messages: list[bytes]) -> None:
    assert join_ingress(messages) == encode_ingress_batch(messages)


@pytest.mark.parametrize("longest", [1022, 1023, 1024, 1025])
def test_joins_like_the_reference_at_the_end_of_its_table(longest: int) -> None:
    messages = [b"x", bytes(longest), b""]
    assert join_ingress(messages) == encode_ingress_batch(messages)


@given(st.lists(egress_messages, max_size=20))
def test_cuts_like_the_reference(messages: list[EgressMessage]) -> None:
    batch = encode_egress_batch(messages)
    items = cut_egress(batch, len(messages))
    assert [(item[1], item[2]) for item in items] == [
        (message.ingress_sequence, message.payload) for message in messages
    ]
    for (head, _, payload), message in zip(items, messages, strict=True):
        if message.kind is EgressKind.MESSAGE:
            assert head == len(payload)
        else:
            assert head >> 32
            assert error_code(head) == message.error_code


@given(st.lists(egress_messages, max_size=4), st.integers(0, 6), st.data())
def test_refuses_like_the_reference(
    messages: list[EgressMessage], count: int, data: st.DataObject
) -> None:
    batch = bytearray(encode_egress_batch(messages))
    if batch:
        batch[data.draw(st.integers(0, len(batch) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(batch)
    try:
        items = cut_egress(damaged, count)
    except RemoteProtocolError:
        items = None
    try:
        expected = decode_egress_batch(damaged, count)
    except RemoteProtocolError:
        assert items is None
        return
    if any(m.kind is EgressKind.MESSAGE and m.error_code for m in expected):
        assert items is None, "a plain message has no error code"
        return
    assert items is not None
    assert [item[2] for item in items] == [message.payload for message in expected]


@pytest.mark.parametrize("second", [b"12345678", b"12", b""])
def test_a_uniform_total_with_unequal_messages_is_cut_one_by_one(second: bytes) -> None:
    other = bytes(2 * 4 - len(second)) if len(second) <= 8 else b""
    messages = [b"1234", second, other]
    batch = b"".join(struct.pack("<QQ", len(m), 7) + m for m in messages)
    assert [item[2] for item in cut_egress(batch, 3)] == messages
