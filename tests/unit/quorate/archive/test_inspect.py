from __future__ import annotations

from random import Random

import pytest

from quorate.archive.inspect import iterate_frames, log_end
from quorate.archive.segment import FRAMES_OFFSET
from quorate.consensus.types import LogPosition
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk


def started() -> ArchiveDriver:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([bytes(900)] * 10)
    return driver


def test_all_frames_come_in_order() -> None:
    driver = started()
    assert list(iterate_frames(driver.disk)) == driver.frames


@pytest.mark.parametrize("start", [0, 1, 964, 4095, 4096, 5000, 10**6])
def test_a_start_need_not_be_a_boundary(start: int) -> None:
    driver = started()
    expected = [frame for frame in driver.frames if frame.end > start]
    assert list(iterate_frames(driver.disk, LogPosition(start))) == expected


def test_a_start_at_a_boundary_begins_with_the_frame_behind_it() -> None:
    driver = started()
    for index, frame in enumerate(driver.frames):
        assert list(iterate_frames(driver.disk, frame.position)) == driver.frames[index:]


def test_what_is_appended_meanwhile_is_seen_over_segments() -> None:
    driver = started()
    frames = iterate_frames(driver.disk)
    seen = [next(frames)]
    driver.append([bytes(900)] * 10)
    seen.extend(frames)
    assert seen == driver.frames


def test_it_stops_before_a_bad_frame() -> None:
    driver = started()
    driver.disk.flip("log-00000000000000000000.seg", FRAMES_OFFSET + driver.frames[2].position + 70)
    assert list(iterate_frames(driver.disk)) == driver.frames[:2]


def test_an_empty_directory_has_no_frames() -> None:
    assert list(iterate_frames(SimulatedDisk(Random(1)))) == []


@pytest.mark.parametrize("count", [1, 3, 4, 10])
def test_the_end_is_behind_the_last_good_frame(count: int) -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([bytes(900)] * count)
    assert log_end(driver.disk) == driver.frames[-1].end


def test_the_end_lies_before_a_bad_frame_of_the_last_segment() -> None:
    driver = started()
    last = driver.frames[-1]
    base = last.position // 4096 * 4096
    assert last.position > base, "the segment holds more than this frame"
    driver.disk.flip(f"log-{base:020}.seg", FRAMES_OFFSET + last.position - base + 70)
    assert log_end(driver.disk) == last.position


def test_the_end_is_that_of_the_last_segment_whatever_is_bad_before_it() -> None:
    """As for a start that lies there: what is before it is not read."""
    driver = started()
    driver.disk.flip("log-00000000000000000000.seg", FRAMES_OFFSET + driver.frames[2].position + 70)
    assert log_end(driver.disk) == driver.frames[-1].end


def test_an_empty_directory_ends_at_0() -> None:
    assert log_end(SimulatedDisk(Random(1))) == 0


def test_a_segment_that_is_removed_meanwhile_ends_it() -> None:
    driver = started()
    frames = iterate_frames(driver.disk)
    seen = [next(frames) for _ in range(2)]
    driver.truncate(1)
    seen.extend(frames)
    assert seen[0] == driver.frames[0]
