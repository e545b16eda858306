"""The first error ends an archive, also where nothing of an effect was done yet."""

from __future__ import annotations

import errno
from random import Random

import pytest

from quorate.consensus.effects import AppendToLog
from quorate.errors import SyncFailed
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk


def test_a_segment_that_cannot_be_made_ends_the_archive_unless_it_is_for_space() -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    effect = AppendToLog(1, tuple(driver.builder.frame(b"founding")))
    driver.disk.fault = lambda operation: (
        OSError(errno.EIO, "injected") if operation.kind == "create" else None
    )
    with pytest.raises(SyncFailed, match="preparing a segment"):
        driver.archive.persist([effect])
    driver.disk.fault = None
    with pytest.raises(SyncFailed, match="failed before"):
        driver.archive.persist([effect])


def test_a_sync_that_others_saw_fail_ends_the_archive() -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([b"founding"])
    with pytest.raises(SyncFailed, match="syncing the recording"):
        raise driver.archive.fail(OSError(errno.EIO, "injected"))
    before = driver.disk.operations
    with pytest.raises(SyncFailed, match="failed before"):
        driver.archive.close_clean()
    assert driver.disk.operations == before
