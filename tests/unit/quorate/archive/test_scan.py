from __future__ import annotations

from random import Random

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.archive import scan
from quorate.archive.scan import CHUNK_LENGTH, mark_behind, read_frames
from quorate.archive.segment import FRAMES_OFFSET, Segment
from quorate.consensus.types import (
    LOG_START,
    Chain,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogPosition,
)
from quorate.errors import ForeignData
from quorate.protocol.log_codec import encode_frame
from quorate_simulation.disk import SimulatedDisk
from quorate_simulation.logs import LogBuilder

SEGMENT_LENGTH = 4096


def segment(content: bytes, length: int = SEGMENT_LENGTH) -> Segment:
    disk = SimulatedDisk(Random(1))
    disk.put("log", bytes(FRAMES_OFFSET) + content.ljust(length, b"\0"))
    return Segment(disk.open("log"), LogPosition(0), length)


def frame(position: int, term: int, time: int, chain: int, body: bytes = b"") -> LogFrame:
    return encode_frame(
        LogPosition(position), LeadershipTermId(term), time, Chain(chain), FrameType.ENTRIES, body
    )


FIRST = frame(0, 2, 5, 0)


@pytest.mark.parametrize(
    "second",
    [
        frame(64, 2, 5, FIRST.chain + 1),
        frame(64, 1, 5, FIRST.chain),
        frame(64, 2, 4, FIRST.chain),
        frame(128, 2, 5, FIRST.chain),
    ],
    ids=["another chain", "a lower term", "an earlier time", "another position"],
)
def test_a_whole_frame_that_does_not_follow_ends_the_log(second: LogFrame) -> None:
    assert list(read_frames(segment(FIRST.data + second.data), LOG_START)) == [FIRST]


def test_a_frame_that_follows_is_good() -> None:
    second = frame(64, 2, 5, FIRST.chain)
    assert list(read_frames(segment(FIRST.data + second.data), LOG_START)) == [FIRST, second]


def test_a_frame_that_would_cross_the_segment_is_not_good() -> None:
    long = frame(64, 2, 5, FIRST.chain, bytes(SEGMENT_LENGTH))
    assert list(read_frames(segment(FIRST.data + long.data), LOG_START)) == [FIRST]


def test_a_whole_frame_of_a_later_release_halts() -> None:
    data = bytearray(FIRST.data)
    data[40] = 99
    data[4:8] = google_crc32c.value(bytes(data[8:])).to_bytes(4, "little")
    with pytest.raises(ForeignData, match="later release"):
        list(read_frames(segment(bytes(data)), LOG_START))


def test_frames_over_the_ends_of_chunks_are_read_whole() -> None:
    length = 4 * CHUNK_LENGTH
    builder = LogBuilder(length)
    frames = [
        made
        for size in (700_001, 1_000_000, 900_001, 3, 800_000)
        for made in builder.frame(bytes(size))
    ]
    content = b"".join(made.data for made in frames)
    assert list(read_frames(segment(content, length), LOG_START)) == frames
    start = mark_behind(frames[1])
    found = read_frames(segment(content, length), start, frames[1].timestamp)
    assert list(found) == frames[2:]


def greedy_reads(frames: list[LogFrame], chunk_length: int) -> int:
    """Return how many chunks it takes where each is used as far as it holds whole frames."""
    reads, end = 0, 0
    for made in frames:
        if made.end > end:
            reads, end = reads + 1, made.position + chunk_length
    return reads


def test_frames_are_read_whole_however_chunks_cut_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end of a chunk falls onto each byte: within a header, a body, and on both their ends."""
    builder = LogBuilder(1024)
    frames = [
        made for size in (0, 100, 0, 200, 1, 64, 0, 256) for made in builder.frame(bytes(size))
    ]
    content = b"".join(made.data for made in frames)
    length = len(content)
    longest = max(len(made.data) for made in frames)
    read, reads = Segment.read, 0

    def counted(of: Segment, position: LogPosition, at_most: int) -> bytes:
        nonlocal reads
        reads += 1
        return read(of, position, at_most)

    monkeypatch.setattr(Segment, "read", counted)
    for chunk_length in range(longest, length + 2):
        monkeypatch.setattr(scan, "CHUNK_LENGTH", chunk_length)
        # The last frame ends with the segment; or zeros follow that end within a frame's header.
        for room in (0, 64, 65):
            reads = 0
            found = list(read_frames(segment(content, length + room), LOG_START))
            assert found == frames, chunk_length
            seen = reads - (room > 0)
            assert seen <= greedy_reads(frames, chunk_length), chunk_length


def test_a_file_that_is_cut_short_holds_the_frames_before_the_cut() -> None:
    builder = LogBuilder(SEGMENT_LENGTH)
    frames = [made for size in (0, 100, 64) for made in builder.frame(bytes(size))]
    content = bytes(FRAMES_OFFSET) + b"".join(made.data for made in frames)
    for end in range(frames[-1].end + 1):
        disk = SimulatedDisk(Random(1))
        disk.put("log", content[: FRAMES_OFFSET + end])
        cut = Segment(disk.open("log"), LogPosition(0), SEGMENT_LENGTH)
        assert list(read_frames(cut, LOG_START)) == [made for made in frames if made.end <= end]


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_the_end(data: bytes) -> None:
    assert list(read_frames(segment(data), LOG_START)) == []


@given(st.integers(0, 5 * 128 * 8 - 1))
def test_a_wrong_bit_ends_the_log_at_its_frame(bit: int) -> None:
    builder = LogBuilder(SEGMENT_LENGTH)
    frames = [made for _ in range(5) for made in builder.frame(bytes(60))]
    data = bytearray(b"".join(made.data for made in frames))
    data[bit // 8] ^= 1 << bit % 8
    assert list(read_frames(segment(bytes(data)), LOG_START)) == frames[: bit // 8 // 128]
