from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.entry_bodies import (
    NAME_BYTES_MAX,
    PRINCIPAL_BYTES_MAX,
    CloseReason,
    SessionOpenBody,
    decode_session_close,
    decode_session_open,
    encode_session_close,
    encode_session_open,
    session_key_hash,
)
from quorate.protocol.log_codec import UnknownFormat

BODIES = st.builds(
    SessionOpenBody,
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=40),
    st.text(max_size=30),
    st.integers(0, 2**32 - 1),
)


@given(BODIES)
def test_an_open_comes_back(body: SessionOpenBody) -> None:
    assert decode_session_open(encode_session_open(body)) == body


def test_an_open_may_be_as_long_as_its_limits() -> None:
    body = SessionOpenBody(bytes(16), bytes(PRINCIPAL_BYTES_MAX), "x" * NAME_BYTES_MAX, 2**32 - 1)
    assert decode_session_open(encode_session_open(body)) == body


@pytest.mark.parametrize("reason", CloseReason)
def test_a_close_comes_back(reason: CloseReason) -> None:
    assert decode_session_close(encode_session_close(reason)) is reason


def test_layouts_are_those_of_the_format() -> None:
    body = SessionOpenBody(b"k" * 16, b"bob", "é", 258)
    assert encode_session_open(body) == b"k" * 16 + b"\2\1\0\0" + b"\3\0" + b"\2\0" + b"bob\xc3\xa9"
    assert encode_session_close(CloseReason.EXPIRED) == b"\2"


def test_the_key_hash_is_half_of_a_sha256() -> None:
    assert session_key_hash(b"k" * 16) == hashlib.sha256(b"k" * 16).digest()[:16]


@given(st.binary(max_size=80))
def test_any_bytes_are_an_open_or_are_refused(data: bytes) -> None:
    try:
        body = decode_session_open(data)
    except RemoteProtocolError:
        return
    assert encode_session_open(body) == data


@given(BODIES, st.binary(min_size=1, max_size=9))
def test_an_open_that_is_cut_or_has_more_is_refused(body: SessionOpenBody, more: bytes) -> None:
    """Else a name would be what happens to stand behind it."""
    data = encode_session_open(body)
    for wrong in (data + more, *(data[:end] for end in range(len(data)))):
        with pytest.raises(RemoteProtocolError):
            decode_session_open(wrong)


@given(st.binary(max_size=3))
def test_any_bytes_are_a_close_or_are_refused(data: bytes) -> None:
    try:
        reason = decode_session_close(data)
    except RemoteProtocolError:
        return
    assert encode_session_close(reason) == data


def test_a_reason_of_a_later_release_halts() -> None:
    with pytest.raises(UnknownFormat):
        decode_session_close(b"\xff")


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    good = encode_session_open(SessionOpenBody(bytes(16), b"", "a"))
    with pytest.raises(RemoteProtocolError):
        decode_session_open(good[:-1] + b"\xff")


@pytest.mark.parametrize(
    "body",
    [
        SessionOpenBody(bytes(15), b"", ""),
        SessionOpenBody(bytes(16), bytes(4097), ""),
        SessionOpenBody(bytes(16), b"", "x" * 257),
    ],
)
def test_what_exceeds_a_limit_is_not_built(body: SessionOpenBody) -> None:
    with pytest.raises(LocalProtocolError):
        encode_session_open(body)


@pytest.mark.parametrize(("principal", "name"), [(4097, 0), (0, 257)])
def test_what_exceeds_a_limit_is_not_read(principal: int, name: int) -> None:
    header = bytes(20) + principal.to_bytes(2, "little") + name.to_bytes(2, "little")
    with pytest.raises(RemoteProtocolError):
        decode_session_open(header + b"x" * (principal + name))
