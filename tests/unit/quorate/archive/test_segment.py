from __future__ import annotations

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.archive.segment import (
    FRAMES_OFFSET,
    HEADER_LENGTH,
    NO_WATERMARK,
    PIECE_LENGTH,
    SLOT_LENGTH,
    SLOT_OFFSETS,
    SegmentHeader,
    Watermark,
    decode_header,
    decode_slot,
    encode_header,
    encode_slot,
    highest_watermark,
    segment_base,
    segment_name,
    zero_pieces,
)
from quorate.consensus.types import (
    Chain,
    ClusterId,
    LeadershipTermId,
    LogMark,
    LogPosition,
    MemberId,
)
from quorate.errors import ForeignData

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
ids = st.binary(min_size=16, max_size=16)
headers = st.builds(
    SegmentHeader,
    ids.map(ClusterId),
    u64,
    ids.map(MemberId),
    u64.map(LogPosition),
    u64.map(LogPosition),
    u32.map(Chain),
    u64,
)
watermarks = st.builds(
    Watermark,
    st.integers(1, 2**64 - 1),
    st.builds(LogMark, u64.map(LogPosition), u64.map(LeadershipTermId), u32.map(Chain)),
)


@given(headers)
def test_a_header_comes_back_as_it_was(header: SegmentHeader) -> None:
    assert decode_header(encode_header(header)) == header


@given(headers, st.integers(0, HEADER_LENGTH * 8 - 1))
def test_a_header_with_a_wrong_bit_is_none(header: SegmentHeader, bit: int) -> None:
    data = bytearray(encode_header(header))
    data[bit // 8] ^= 1 << bit % 8
    assert decode_header(bytes(data)) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_no_header_and_no_slot(data: bytes) -> None:
    assert decode_header(data) is None
    assert decode_slot(data) is None


@given(watermarks)
def test_a_watermark_comes_back_as_it_was(watermark: Watermark) -> None:
    assert decode_slot(encode_slot(watermark)) == watermark


@given(watermarks, st.integers(0, SLOT_LENGTH * 8 - 1))
def test_a_watermark_with_a_wrong_bit_is_none(watermark: Watermark, bit: int) -> None:
    data = bytearray(encode_slot(watermark))
    data[bit // 8] ^= 1 << bit % 8
    assert decode_slot(bytes(data)) is None


@given(watermarks, watermarks)
def test_the_higher_generation_counts_in_either_slot(one: Watermark, other: Watermark) -> None:
    pages = bytearray(FRAMES_OFFSET)
    for offset, watermark in zip(SLOT_OFFSETS, (one, other), strict=True):
        pages[offset : offset + SLOT_LENGTH] = encode_slot(watermark)
    assert highest_watermark(bytes(pages)).generation == max(one.generation, other.generation)


def test_zeros_hold_no_watermark() -> None:
    assert highest_watermark(bytes(FRAMES_OFFSET)) == NO_WATERMARK


@pytest.mark.parametrize("offset", [8, 12])
def test_a_header_of_another_format_is_foreign(offset: int) -> None:
    header = SegmentHeader(
        ClusterId(b"c" * 16), 0, MemberId(b"m" * 16), LogPosition(0), LogPosition(0), Chain(0), 4096
    )
    fields = bytearray(encode_header(header)[:-4])
    fields[offset] = 99
    data = bytes(fields) + google_crc32c.value(bytes(fields)).to_bytes(4, "little")
    with pytest.raises(ForeignData, match="99"):
        decode_header(data)


@given(u64)
def test_a_name_tells_the_base(base: int) -> None:
    assert segment_base(segment_name(base)) == base


@pytest.mark.parametrize("name", ["log-1.seg", "spare-0.seg", "log-00000000000000000000.seg.tmp"])
def test_other_names_tell_no_base(name: str) -> None:
    assert segment_base(name) is None


@given(st.integers(0, 3 * PIECE_LENGTH))
def test_zeros_come_in_small_pieces(length: int) -> None:
    pieces = zero_pieces(length)
    assert sum(map(len, pieces)) == length
    assert all(0 < len(piece) <= PIECE_LENGTH for piece in pieces)
