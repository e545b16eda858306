from __future__ import annotations

from random import Random

import pytest

from quorate.archive.loading import Scan, SegmentKind, find_segments, scan_recording
from quorate.archive.segment import FRAMES_OFFSET, SLOT_OFFSETS, Watermark, encode_slot
from quorate.config import Durability
from quorate.consensus.types import Chain, LeadershipTermId, LogMark, LogPosition
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk

SEGMENT_LENGTH = 4096
FIRST = "log-00000000000000000000.seg"
SECOND = "log-00000000000000004096.seg"


def stopped() -> ArchiveDriver:
    driver = ArchiveDriver(SimulatedDisk(Random(1)), segment_length=SEGMENT_LENGTH)
    driver.reopen()
    driver.append([bytes(900)] * 6)
    driver.close_clean()
    return driver


def scan(disk: SimulatedDisk) -> Scan:
    return scan_recording(disk, find_segments(disk, SEGMENT_LENGTH), SEGMENT_LENGTH)


def forge_watermark(disk: SimulatedDisk, mark: LogMark) -> None:
    content = bytearray(disk.content(SECOND))
    slot = encode_slot(Watermark(1000, mark))
    content[SLOT_OFFSETS[0] : SLOT_OFFSETS[0] + len(slot)] = slot
    disk.put(SECOND, bytes(content))


def test_a_whole_log_is_not_damaged() -> None:
    driver = stopped()
    found = scan(driver.disk)
    assert (found.end, found.damaged) == (driver.mark(len(driver.frames)), False)
    assert found.watermark.mark == found.end


@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_log_that_contradicts_its_watermark_is_damaged_before_it(count: int) -> None:
    driver = stopped()
    mark = driver.mark(count)
    for forged in (
        mark._replace(chain=Chain(1)),
        mark._replace(leadership_term_id=LeadershipTermId(9)),
        mark._replace(position=LogPosition(mark.position - 64)),
    ):
        forge_watermark(driver.disk, forged)
        found = scan(driver.disk)
        assert found.damaged
        assert found.end == driver.mark(count - 1)


def test_what_a_file_with_a_segments_name_is() -> None:
    disk = stopped().disk
    length = FRAMES_OFFSET + SEGMENT_LENGTH
    disk.put("log-00000000000000008192.seg", bytes(length))
    disk.put("log-00000000000000012288.seg", bytes(length - 1))
    disk.put("log-00000000000000016384.seg", bytes(FRAMES_OFFSET) + b"x".ljust(4096, b"\0"))
    disk.put("log-00000000000000020480.seg", disk.content(FIRST))
    kinds = [found.kind for found in find_segments(disk, SEGMENT_LENGTH)]
    sound, spare, broken = SegmentKind.SOUND, SegmentKind.SPARE, SegmentKind.BROKEN
    assert kinds == [sound, sound, spare, broken, broken, broken]


def test_a_next_segment_of_another_history_is_not_taken() -> None:
    driver, other = stopped(), ArchiveDriver(SimulatedDisk(Random(1)))
    other.reopen()
    other.append([b"x" * 900] * 6)
    other.close_clean()
    driver.disk.put(SECOND, other.disk.content(SECOND))
    assert scan(driver.disk).end.position == SEGMENT_LENGTH


def test_slots_of_a_file_without_a_header_do_not_count() -> None:
    driver = stopped()
    driver.disk.flip(SECOND, 3)
    found = scan(driver.disk)
    assert found.watermark.mark.position <= SEGMENT_LENGTH
    assert found.damaged
    assert found.furthest == driver.mark(len(driver.frames))


def test_how_far_damage_may_have_acknowledged_is_seen_over_all_segments() -> None:
    """In ``replicated`` a watermark may lie segments behind what was acknowledged."""
    driver = ArchiveDriver(SimulatedDisk(Random(1)), durability=Durability.REPLICATED)
    driver.reopen()
    driver.append([b"founding"])
    driver.append([bytes(900)] * 14)
    driver.crash(None)
    driver.disk.flip(FIRST, FRAMES_OFFSET + 40)
    found = scan(driver.disk)
    assert found.watermark.mark == driver.mark(1)
    assert (found.end, found.damaged) == (driver.mark(0), True)
    assert found.furthest == driver.mark(len(driver.frames))
    assert found.furthest.position > 3 * SEGMENT_LENGTH
