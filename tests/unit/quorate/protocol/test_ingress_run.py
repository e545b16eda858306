"""Ingress that arrived together is joined, whatever cut it into batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import RemoteProtocolError
from quorate.protocol.batch import decode_ingress_batch, encode_ingress_batch
from quorate.protocol.ingress_run import join_ingress_run
from quorate.protocol.session_codec import encode_message
from quorate.protocol.session_messages import ClientMessageType, Ingress, KeepAlive, RawMessage

HEADER_LENGTH = 8
ROOM = 1024 * 1024


def raw(message: Ingress | KeepAlive) -> RawMessage:
    kind = (
        ClientMessageType.INGRESS if isinstance(message, Ingress) else ClientMessageType.KEEP_ALIVE
    )
    return RawMessage(kind, encode_message(message)[HEADER_LENGTH:])


def ingress(first: int, *messages: bytes, session: int = 7, acknowledged: int = 0) -> Ingress:
    batch = encode_ingress_batch(messages)
    return Ingress(session, first, acknowledged, len(messages), batch)


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    first=st.integers(1, 100),
    data=st.data(),
)
def test_a_run_is_the_ingress_of_a_client_that_batches(
    sizes: list[int], first: int, data: st.DataObject
) -> None:
    messages: list[bytes] = []
    run: list[RawMessage] = []
    greatest = 0
    for size in sizes:
        part = data.draw(st.lists(st.binary(max_size=9), min_size=size, max_size=size))
        acknowledged = data.draw(st.integers(0, 50))
        greatest = max(greatest, acknowledged)
        run.append(raw(ingress(first + len(messages), *part, acknowledged=acknowledged)))
        messages += part
    joined, end, _ = join_ingress_run(run, 0, ROOM)
    assert end == len(run)
    assert joined == ingress(first, *messages, acknowledged=greatest)
    assert decode_ingress_batch(joined.batch, joined.message_count) == messages


@pytest.mark.parametrize(
    "follower",
    [
        ingress(4, b"gap"),
        ingress(2, b"again"),
        ingress(3, b"another session", session=8),
        KeepAlive(),
    ],
    ids=["gap", "overlap", "session", "other type"],
)
def test_what_does_not_continue_begins_anew(follower: Ingress | KeepAlive) -> None:
    run = [raw(ingress(1, b"a")), raw(ingress(2, b"b")), raw(follower)]
    joined, end, last_length = join_ingress_run(run, 0, ROOM)
    assert end == 2
    assert joined == ingress(1, b"a", b"b")
    assert last_length == 5


def test_nothing_is_joined_beyond_the_limit_of_a_batch() -> None:
    run = [raw(ingress(1, b"aaaa")), raw(ingress(2, b"bbbb")), raw(ingress(3, b"cccc"))]
    joined, end, _ = join_ingress_run(run, 0, 16)
    assert (joined.message_count, end) == (2, 2)
    joined, end, _ = join_ingress_run(run, 2, 16)
    assert (joined, end) == (ingress(3, b"cccc"), 3)


def test_a_single_batch_beyond_the_limit_is_left_to_the_caller() -> None:
    joined, end, last_length = join_ingress_run([raw(ingress(1, bytes(100)))], 0, 16)
    assert (joined.message_count, end, last_length) == (1, 1, 104)


def test_a_malformed_message_in_a_run_is_refused() -> None:
    run = [raw(ingress(1, b"a")), RawMessage(ClientMessageType.INGRESS, b"short")]
    with pytest.raises(RemoteProtocolError, match="cut short"):
        join_ingress_run(run, 0, ROOM)
