from __future__ import annotations

import errno
import itertools
from copy import deepcopy
from random import Random

import pytest

from quorate.archive.loading import find_segments, scan_recording
from quorate.archive.repair import last_base
from quorate.archive.segment import (
    FRAMES_OFFSET,
    PIECE_LENGTH,
    decode_header,
    encode_header,
    segment_name,
)
from quorate.config import Durability
from quorate.consensus.types import Chain
from quorate.errors import SyncFailed
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.certain import CertaintyRules
from quorate_simulation.disk import Operation, SimulatedCrash, SimulatedDisk


def full_segments(count: int) -> ArchiveDriver:
    """Return a member that has stopped, with a log that ends where a segment does."""
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([bytes(driver.segment_length // 4 - 64)] * 4 * count)
    driver.close_clean()
    return driver


@pytest.mark.parametrize("count", [1, 3])
def test_a_segment_of_another_history_behind_the_end_takes_no_frame(count: int) -> None:
    """The next start would not read on into it: what was acknowledged there would be lost."""
    driver = full_segments(count)
    content = driver.disk.content(segment_name(0))
    header = decode_header(content)
    assert header is not None
    end = driver.mark(len(driver.frames)).position
    header = header._replace(base=end, first_position=end, first_chain=Chain(7))
    driver.disk.put(segment_name(end), encode_header(header).ljust(len(content), b"\0"))
    driver.reopen()
    driver.append([b"acknowledged"])
    driver.crash(None)
    driver.reopen()


def test_an_unused_segment_of_the_same_history_takes_the_next_frame() -> None:
    driver = full_segments(2)
    content = driver.disk.content(segment_name(0))
    header = decode_header(content)
    assert header is not None
    end = driver.mark(len(driver.frames))
    header = header._replace(base=end.position, first_position=end.position, first_chain=end.chain)
    driver.disk.put(segment_name(end.position), encode_header(header).ljust(len(content), b"\0"))
    driver.disk.capacity = driver.disk.used_bytes
    driver.reopen()
    driver.append([b"no room but there"])
    driver.crash(None)
    driver.reopen()


@pytest.mark.parametrize("seed", range(6))
def test_a_header_that_a_failed_sync_kept_from_the_disk_is_written_again(seed: int) -> None:
    """The page cache shows it; with frames behind it, a power cut would make it damage."""
    driver = ArchiveDriver(SimulatedDisk(Random(seed)))
    driver.reopen()
    driver.append([bytes(driver.segment_length // 4 - 64)] * 4)
    taken = segment_name(driver.segment_length)

    def fail(operation: Operation) -> OSError | None:
        is_header = (operation.kind, operation.name) == ("sync", taken)
        return OSError(errno.EIO, "injected") if is_header else None

    driver.disk.fault = fail
    with pytest.raises(SyncFailed):
        driver.append([b"into the next segment"])
    driver.disk.fault = None
    driver.crash(None)
    driver.reopen()
    driver.append([b"acknowledged"])
    driver.crash(Random(seed))
    driver.reopen(power_was_cut=True)


def long_batch(seed: int) -> tuple[ArchiveDriver, list[bytes]]:
    """Return a founded member, and bodies that are together several pieces of one segment."""
    driver = ArchiveDriver(SimulatedDisk(Random(seed)), segment_length=8 * PIECE_LENGTH)
    driver.reopen()
    driver.append([b"founding"])
    return driver, [bytes([n]) * (PIECE_LENGTH // 4) for n in range(1, 15)]


def test_more_than_a_piece_that_a_failed_sync_kept_from_the_disk_is_written_again() -> None:
    driver, bodies = long_batch(1)
    driver.disk.fault = lambda operation: (
        OSError(errno.EIO, "injected") if operation.kind == "sync" else None
    )
    with pytest.raises(SyncFailed):
        driver.append(bodies)
    driver.disk.fault = None
    driver.crash(None)
    driver.reopen()
    assert len(driver.frames) == 1 + len(bodies)
    driver.crash(Random(1))
    driver.reopen(power_was_cut=True)
    assert len(driver.frames) == 1 + len(bodies)


@pytest.mark.parametrize("seed", range(2))
def test_more_than_a_piece_that_tore_is_zeroed(seed: int) -> None:
    driver, bodies = long_batch(seed)
    driver.disk.crash_at = driver.disk.operations + 2
    with pytest.raises(SimulatedCrash):
        driver.append(bodies)
    driver.crash(Random(seed))
    driver.reopen(power_was_cut=True)
    content = driver.disk.content(segment_name(0))
    assert not any(content[FRAMES_OFFSET + driver.archive.end.position :])


def torn_over_two_segments(seed: int) -> ArchiveDriver:
    """Return a member whose watermark stands in a segment behind the one that tore.

    In ``replicated`` what is written beside a sync is not covered by it, whichever segments it
    reaches; the next write brings the watermark that the sync has earned.
    """
    disk = SimulatedDisk(Random(seed))
    driver = ArchiveDriver(disk, durability=Durability.REPLICATED)
    driver.reopen()
    driver.append([b"founding"])
    driver.store(driver.state._replace(founded=True))
    driver.append([bytes(900)] * 2)
    with driver.appending_behind_a_sync([bytes(900)] * 2):
        driver.archive._recording.sync_written()
    driver.append([b"with the watermark"])
    driver.crash(Random(seed))
    return driver


def test_a_watermark_in_a_segment_that_goes_is_not_lost_however_the_start_is_cut() -> None:
    """What it covers is durable: with an older one, damage there would pass for torn."""
    met = 0
    for seed in range(12):
        before = torn_over_two_segments(seed)
        segments = find_segments(before.disk, before.segment_length)
        scan = scan_recording(before.disk, segments, before.segment_length)
        goes = (scan.watermark_base or 0) > last_base(scan.end.position, before.segment_length)
        if not goes:
            continue
        met += 1
        for crash_at in itertools.count(1):
            driver = deepcopy(before)
            driver.disk.fault = CertaintyRules(driver.disk)
            driver.disk.crash_at = driver.disk.operations + crash_at
            try:
                driver.reopen(power_was_cut=True)
            except SimulatedCrash:
                driver.crash(Random(crash_at))
                driver.reopen(power_was_cut=True)
            else:
                break
    assert met, "no watermark stood where it goes"
