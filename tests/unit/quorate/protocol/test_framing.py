"""Cutting a byte stream into messages: however it is sliced, and never beyond the limit."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.framing import (
    MEMBER_HEADER,
    PAYLOAD_BYTES_MAX,
    FrameDecoder,
    WireFrame,
    encode_header,
)
from quorate_wire.frames import cut

FRAMES = st.lists(
    st.builds(
        WireFrame,
        message_type=st.integers(0, 255),
        term=st.integers(0, 2**64 - 1),
        payload=st.binary(max_size=300) | st.integers(0, 20_000).map(bytes),
    ),
    max_size=6,
)


def encode(frame: WireFrame) -> bytes:
    header = encode_header(frame.message_type, len(frame.payload), term=frame.term)
    return header + frame.payload


@given(FRAMES, st.data())
def test_should_cut_messages_however_the_stream_is_sliced(
    frames: list[WireFrame], data: st.DataObject
) -> None:
    stream = b"".join(map(encode, frames))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    decoder = FrameDecoder()
    cut_out: list[WireFrame] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        cut_out += cut(decoder, stream[start:end])
    assert cut_out == frames


def test_should_cut_messages_that_arrive_byte_by_byte() -> None:
    frames = [WireFrame(16, 7, bytes(range(256)) * 40), WireFrame(17, 8, b"")]
    decoder = FrameDecoder()
    cut_out = []
    for byte in b"".join(map(encode, frames)):
        cut_out += cut(decoder, bytes([byte]))
    assert cut_out == frames


@pytest.mark.parametrize("chunk_length", [1, 100, 4095, 4096, 5000])
def test_should_keep_few_objects_and_copy_little_for_every_chunk(chunk_length: int) -> None:
    """Neither an object for each byte, nor all that has come before copied with each byte."""
    decoder = FrameDecoder()
    stream = encode(WireFrame(16, 0, bytes(60_000)))
    for start in range(0, len(stream) - chunk_length, chunk_length):
        assert not list(cut(decoder, stream[start : start + chunk_length]))
    assert len(decoder._pieces) <= 60_000 // 2048
    assert max(map(len, decoder._pieces)) <= max(4096, chunk_length)


def test_should_keep_bytes_of_an_iterator_that_was_not_used_up() -> None:
    frames = [WireFrame(16, 1, b"first"), WireFrame(17, 2, b"second")]
    decoder = FrameDecoder()
    messages = cut(decoder, b"".join(map(encode, frames)))
    assert next(messages) == frames[0]
    assert list(cut(decoder, b"")) == [frames[1]]


def test_should_apply_a_new_limit_from_the_next_message_on() -> None:
    frames = [WireFrame(1, 0, bytes(10)), WireFrame(16, 0, bytes(100))]
    decoder = FrameDecoder(payload_bytes_max=10)
    cut_out = []
    for frame in cut(decoder, b"".join(map(encode, frames))):
        cut_out.append(frame)
        decoder.payload_bytes_max = 100
    assert cut_out == frames


def test_should_refuse_a_message_beyond_the_limit_before_its_payload_comes() -> None:
    decoder = FrameDecoder(payload_bytes_max=99)
    with pytest.raises(RemoteProtocolError, match="116 bytes"):
        list(cut(decoder, encode_header(16, 100)))


@pytest.mark.parametrize("length", [0, 15, 2**32 - 1])
def test_should_refuse_a_length_that_no_message_has(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=str(length)):
        list(cut(FrameDecoder(), MEMBER_HEADER.pack(length, 16, 1, 0, 0)))


@pytest.mark.parametrize(("version", "flags"), [(0, 0), (2, 0), (1, 1), (1, 0x8000)])
def test_should_refuse_an_unknown_version_or_flag(version: int, flags: int) -> None:
    header = MEMBER_HEADER.pack(16, 16, version, flags, 0)
    with pytest.raises(RemoteProtocolError, match=f"version {version} and flags {flags}"):
        list(cut(FrameDecoder(), header))


def test_should_not_write_a_payload_that_no_one_would_read() -> None:
    assert encode_header(16, PAYLOAD_BYTES_MAX)
    with pytest.raises(LocalProtocolError, match="exceeds"):
        encode_header(16, PAYLOAD_BYTES_MAX + 1)


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_should_raise_nothing_but_protocol_errors_for_garbage(chunks: list[bytes]) -> None:
    decoder = FrameDecoder()
    with suppress(RemoteProtocolError):
        for chunk in chunks:
            list(cut(decoder, chunk))
