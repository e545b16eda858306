"""What is read for catch-up: whole frames, as many as fit, and never fewer than one."""

from __future__ import annotations

from random import Random

import pytest

from quorate.archive.reading import read_whole_frames
from quorate.archive.segment import FRAMES_OFFSET, Segment
from quorate.consensus.types import LogPosition
from quorate.protocol.log_codec import FRAME_BYTES_MAX
from quorate_simulation.disk import SimulatedDisk
from quorate_simulation.logs import LogBuilder

SEGMENT_LENGTH = 4096
BASE = SEGMENT_LENGTH
BODIES = (
    (1, 0, 130, 63, 64, 65),
    (0, 0, 200),
    (300, 7),
)
"""Lengths with and without padding behind them, the first frame the longest and not."""


def written(bodies: tuple[int, ...]) -> tuple[Segment, list[bytes]]:
    """Return a second segment that holds these frames from its base on, and their bytes."""
    builder = LogBuilder(SEGMENT_LENGTH)
    while builder.end.position < BASE:
        room = BASE - builder.end.position
        builder.frame(bytes(min(room, SEGMENT_LENGTH // 4) - 64))
    frames = [made.data for size in bodies for made in builder.frame(bytes(size))]
    disk = SimulatedDisk(Random(1))
    disk.put("log", bytes(FRAMES_OFFSET) + b"".join(frames).ljust(SEGMENT_LENGTH, b"\0"))
    return Segment(disk.open("log"), LogPosition(BASE), SEGMENT_LENGTH), frames


@pytest.mark.parametrize("bodies", BODIES, ids=str)
def test_as_many_whole_frames_as_fit_and_at_least_one_from_every_boundary(
    bodies: tuple[int, ...],
) -> None:
    segment, frames = written(bodies)
    total = sum(map(len, frames))
    start = 0
    for first, frame in enumerate(frames):
        for bytes_max in range(total + 2):
            expected, length = frame, len(frame)
            for behind in frames[first + 1 :]:
                length += len(behind)
                expected += behind if length <= bytes_max else b""
            found = read_whole_frames(
                segment, LogPosition(BASE + start), LogPosition(BASE + total), bytes_max
            )
            assert found == (True, expected), (first, bytes_max)
        start += len(frame)


@pytest.mark.parametrize("bodies", BODIES, ids=str)
def test_reading_stops_at_the_end_that_is_given(bodies: tuple[int, ...]) -> None:
    """What stands behind it is being written, or cut, just now."""
    segment, frames = written(bodies)
    for count in range(1, len(frames)):
        before = b"".join(frames[:count])
        end = LogPosition(BASE + len(before))
        assert read_whole_frames(segment, segment.base, end, 10**6) == (True, before)


@pytest.mark.parametrize("length", [0, 63, FRAME_BYTES_MAX + 1, 2**32 - 1])
@pytest.mark.parametrize("bad", range(3))
def test_a_header_without_the_length_of_a_frame_ends_what_is_whole(bad: int, length: int) -> None:
    segment, frames = written((300, 7, 0))
    start = sum(map(len, frames[:bad]))
    segment.file.write(FRAMES_OFFSET + start, [length.to_bytes(4, "little")])
    end = LogPosition(BASE + sum(map(len, frames)))
    assert read_whole_frames(segment, segment.base, end, 10**6) == (False, b"".join(frames[:bad]))


@pytest.mark.parametrize("bytes_max", [0, 10**6])
@pytest.mark.parametrize("off", [-64, -1, 1, 64])
def test_a_frame_of_another_position_is_none(off: int, bytes_max: int) -> None:
    segment, frames = written((300, 7))
    segment.file.write(FRAMES_OFFSET + 8, [(BASE + off).to_bytes(8, "little")])
    end = LogPosition(BASE + sum(map(len, frames)))
    assert read_whole_frames(segment, segment.base, end, bytes_max) == (False, b"")


@pytest.mark.parametrize("bytes_max", [0, 400])
def test_a_frame_that_ends_behind_the_file_is_not_whole(bytes_max: int) -> None:
    _, frames = written((300, 7))
    for length in range(len(frames[0])):
        disk = SimulatedDisk(Random(1))
        disk.put("log", bytes(FRAMES_OFFSET) + frames[0][:length])
        segment = Segment(disk.open("log"), LogPosition(BASE), SEGMENT_LENGTH)
        end = LogPosition(BASE + sum(map(len, frames)))
        is_sound, found = read_whole_frames(segment, segment.base, end, bytes_max)
        assert not is_sound, length
        assert len(found) < len(frames[0])


def test_the_longest_frame_is_read() -> None:
    made = LogBuilder(FRAME_BYTES_MAX).frame(bytes(FRAME_BYTES_MAX - 64))[0]
    assert len(made.data) == FRAME_BYTES_MAX
    disk = SimulatedDisk(Random(1))
    disk.put("log", bytes(FRAMES_OFFSET) + made.data)
    segment = Segment(disk.open("log"), LogPosition(0), FRAME_BYTES_MAX)
    for bytes_max in (0, FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1):
        found = read_whole_frames(segment, LogPosition(0), made.end, bytes_max)
        assert found == (True, made.data)
