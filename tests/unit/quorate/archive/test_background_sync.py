"""Durability ``replicated``: syncs in the background at the ends of segments."""

from __future__ import annotations

from random import Random

from quorate.archive.segment import FRAMES_OFFSET, segment_name
from quorate.config import Durability
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk


def member(count: int) -> ArchiveDriver:
    """Return a member with so many frames, four of which fill a segment."""
    driver = ArchiveDriver(SimulatedDisk(Random(1)), durability=Durability.REPLICATED)
    driver.reopen()
    for _ in range(count):
        driver.append([bytes(900)])
    return driver


def test_a_full_last_segment_stays_open_for_the_watermark() -> None:
    driver = member(4)
    driver.archive.sync()
    driver.idle(1.0)
    driver.idle(2.0)
    assert driver.archive.watermark.mark == driver.mark(4)
    driver.append([b"in the next segment"])


def test_what_is_written_beside_a_sync_into_its_segment_and_the_next_is_synced_later() -> None:
    driver = member(2)
    with driver.appending_behind_a_sync([bytes(900)] * 4):
        driver.archive.sync()
    assert driver.archive.synced == driver.mark(2)
    driver.archive.sync()
    assert driver.archive.synced == driver.mark(6)
    for base in (0, driver.segment_length):
        uncertain = driver.disk.uncertain(segment_name(base))
        assert [at for at in uncertain if at >= FRAMES_OFFSET] == []
