"""Log frames and entries: what lies on disk is read back, and every changed bit is noticed."""

from __future__ import annotations

import struct
from contextlib import suppress

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.consensus.types import (
    Chain,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
)
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.log_codec import (
    ENTRY_HEADER_LENGTH,
    FRAME_BYTES_MAX,
    FRAME_HEADER_LENGTH,
    EntryType,
    UnknownFormat,
    aligned,
    decode_entries,
    decode_frame,
    decode_frames,
    encode_entry,
    encode_frame,
    entries_length_max,
    follows,
)
from quorate_wire.frames import padding
from quorate_wire.strategies import log_frames

U64 = st.integers(0, 2**64 - 1)
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(EntryType), U64, st.binary(max_size=60), U64, st.integers(0, 2**32 - 1), U64
    ),
    max_size=6,
)


def frame_of(
    body: bytes = b"body", frame_type: FrameType = FrameType.ENTRIES, count: int = 0
) -> LogFrame:
    return encode_frame(
        LogPosition(640), LeadershipTermId(3), 99, Chain(7), frame_type, body, count
    )


def with_crc(data: bytes) -> bytes:
    """Return the frame with the CRC that its bytes ask for, as a later release would write it."""
    (length,) = struct.unpack_from("<I", data)
    crc = google_crc32c.value(data[8:length])
    return data[:4] + struct.pack("<I", crc) + data[8:]


def changed(data: bytes, offset: int, patch: bytes) -> bytes:
    return data[:offset] + patch + data[offset + len(patch) :]


@given(log_frames())
def test_should_read_back_frames_and_know_their_ends(
    log: tuple[LogMark, tuple[LogFrame, ...]],
) -> None:
    start, frames = log
    stream = b"".join(frame.data for frame in frames)
    assert decode_frames(stream) == list(frames)
    assert decode_frames(b"x" * 7 + stream, 7) == list(frames)
    position = start.position
    for frame in frames:
        assert frame.position == position
        assert len(frame.data) % 64 == 0
        position = frame.end


def test_should_lay_a_frame_out_as_documented() -> None:
    frame = encode_frame(
        LogPosition(0x0102030405060708),
        LeadershipTermId(9),
        -5,
        Chain(0xA1A2A3A4),
        FrameType.ENTRIES,
        b"xyz",
        2,
    )
    length, crc, *rest = struct.unpack_from("<IIQQqIIBBH20s", frame.data)
    assert length == 67
    assert crc == frame.chain == google_crc32c.value(frame.data[8:67])
    assert rest == [0x0102030405060708, 9, -5, 0xA1A2A3A4, 2, 3, 1, 0, bytes(20)]
    assert frame.data[64:] == b"xyz" + bytes(61)


@given(log_frames(), st.data())
def test_should_notice_any_changed_bit(
    log: tuple[LogMark, tuple[LogFrame, ...]], data: st.DataObject
) -> None:
    stream = bytearray(b"".join(frame.data for frame in log[1]))
    if not stream:
        return
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RemoteProtocolError):
        decode_frames(bytes(stream))


@given(st.binary(max_size=300))
def test_should_raise_nothing_but_protocol_errors_for_garbage(data: bytes) -> None:
    with suppress(RemoteProtocolError):
        decode_frames(data)
    with suppress(RemoteProtocolError):
        list(decode_entries(frame_of(data, count=len(data) % 7)))


def test_should_refuse_a_frame_that_is_cut_short_anywhere() -> None:
    data = frame_of(bytes(100)).data
    for length in range(len(data)):
        with pytest.raises(RemoteProtocolError):
            decode_frame(data[:length])


@pytest.mark.parametrize("length", [0, 63, FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_should_refuse_a_length_that_no_frame_has(length: int) -> None:
    data = changed(frame_of().data, 0, struct.pack("<I", length))
    with pytest.raises(RemoteProtocolError, match=f"length {length}"):
        decode_frame(data)


@pytest.mark.parametrize(
    ("offset", "patch"),
    [(40, b"\x00"), (40, b"\x06"), (41, b"\x02"), (42, b"\x01\x00"), (44, b"\x01"), (63, b"\x01")],
    ids=["type 0", "type 6", "version", "flag", "first reserved", "last reserved"],
)
def test_should_halt_at_what_a_later_release_wrote(offset: int, patch: bytes) -> None:
    with pytest.raises(UnknownFormat, match="upgrade this member"):
        decode_frame(with_crc(changed(frame_of().data, offset, patch)))


def test_should_refuse_filler_that_is_not_zero() -> None:
    data = frame_of().data
    with pytest.raises(RemoteProtocolError, match="filler"):
        decode_frame(data[:-1] + b"\x01")


def test_a_frame_should_be_at_most_as_long_as_allowed() -> None:
    longest = frame_of(bytes(FRAME_BYTES_MAX - FRAME_HEADER_LENGTH))
    assert decode_frame(longest.data) == longest
    with pytest.raises(LocalProtocolError, match="exceeds 1048576"):
        frame_of(bytes(FRAME_BYTES_MAX - FRAME_HEADER_LENGTH + 1))


def test_padding_should_fill_exactly_what_is_left() -> None:
    for length in (64, 128, 4096):
        filler = padding(LogPosition(64), LeadershipTermId(1), 5, Chain(6), length)
        assert len(filler.data) == length
        assert decode_frame(filler.data) == filler
        assert filler.frame_type is FrameType.PADDING


def behind(before: LogFrame, **changes: int) -> LogFrame:
    values = {
        "position": before.end,
        "term": before.leadership_term_id,
        "timestamp": before.timestamp,
        "chain": before.chain,
        **changes,
    }
    return encode_frame(
        LogPosition(values["position"]),
        LeadershipTermId(values["term"]),
        values["timestamp"],
        Chain(values["chain"]),
        FrameType.EMPTY,
    )


def test_should_know_what_may_stand_behind_a_frame() -> None:
    first = frame_of()
    assert follows(first, behind(first))
    assert follows(first, behind(first, term=4, timestamp=100))
    for changes in (
        {"position": first.end + 64},
        {"position": first.position},
        {"term": 2},
        {"timestamp": 98},
        {"chain": first.chain ^ 1},
    ):
        wrong = behind(first, **changes)
        assert not follows(first, wrong)
        with pytest.raises(RemoteProtocolError, match="does not follow"):
            decode_frames(first.data + wrong.data)


@given(ENTRIES)
def test_should_read_back_entries(
    entries: list[tuple[EntryType, int, bytes, int, int, int]],
) -> None:
    encoded = [
        encode_entry(
            kind,
            session,
            body,
            first_sequence=first,
            message_count=count,
            egress_acknowledged=acknowledged,
        )
        for kind, session, body, first, count, acknowledged in entries
    ]
    frame = frame_of(b"".join(encoded), count=len(entries))
    decoded = list(decode_entries(frame))
    assert [
        (
            e.entry_type,
            e.cluster_session_id,
            e.body,
            e.first_sequence,
            e.message_count,
            e.egress_acknowledged,
        )
        for e in decoded
    ] == entries
    offset = frame.position + FRAME_HEADER_LENGTH
    for entry, data in zip(decoded, encoded, strict=True):
        assert entry.position == offset
        assert len(data) % 8 == 0
        offset += len(data)


def test_should_refuse_a_count_that_does_not_fit_the_body() -> None:
    body = b"".join([encode_entry(EntryType.SESSION_INGRESS, 1, b"ab")] * 2)
    for count in (0, 1):
        with pytest.raises(RemoteProtocolError, match=f"more than {count} entries"):
            list(decode_entries(frame_of(body, count=count)))
    with pytest.raises(RemoteProtocolError, match="cut short"):
        list(decode_entries(frame_of(body, count=3)))


@pytest.mark.parametrize("size", [0, ENTRY_HEADER_LENGTH - 1, 1000])
def test_should_refuse_an_entry_with_an_impossible_length(size: int) -> None:
    entry = encode_entry(EntryType.SESSION_INGRESS, 1, b"ab")
    body = changed(entry, 0, struct.pack("<I", size))
    with pytest.raises(RemoteProtocolError, match=f"length {size}"):
        list(decode_entries(frame_of(body, count=1)))


@pytest.mark.parametrize(
    ("offset", "patch"),
    [(4, b"\x00"), (4, b"\x08"), (5, b"\x02"), (6, b"\x01"), (6, b"\x07"), (28, b"\x01")],
    ids=["type 0", "type 8", "version", "part of a message", "flag", "service"],
)
def test_should_halt_at_an_entry_that_a_later_release_wrote(offset: int, patch: bytes) -> None:
    body = changed(encode_entry(EntryType.SESSION_INGRESS, 1, b"ab"), offset, patch)
    with pytest.raises(UnknownFormat, match="upgrade this member"):
        list(decode_entries(frame_of(body, count=1)))


def test_should_round_up_to_the_alignment() -> None:
    assert [aligned(n) for n in (0, 1, 64, 65)] == [0, 64, 64, 128]
    assert [aligned(n, 8) for n in (0, 1, 8, 9)] == [0, 8, 8, 16]


def test_should_know_how_many_bytes_of_entries_fit_into_a_frame() -> None:
    assert entries_length_max(64 * 1024 * 1024) == FRAME_BYTES_MAX - FRAME_HEADER_LENGTH
    assert entries_length_max(4096) == 1024 - FRAME_HEADER_LENGTH
