"""A log keeps the length of its segments, whatever the configuration says later."""

from __future__ import annotations

from random import Random

import pytest

from quorate.archive.archive import Archive
from quorate.archive.segment import segment_name
from quorate.config import ClusterConstants, Durability
from quorate.consensus.types import NOT_RECOVERING, MemberId, RecoveringReason
from quorate_simulation.archive_driver import CLUSTER, ArchiveDriver
from quorate_simulation.disk import SimulatedDisk

SEGMENT_LENGTH = 4096
FILE_LENGTH = 3 * 4096 + SEGMENT_LENGTH


def stopped(count: int) -> ArchiveDriver:
    """Return a member with so many frames, four of which fill a segment."""
    driver = ArchiveDriver(SimulatedDisk(Random(1)), segment_length=SEGMENT_LENGTH)
    driver.reopen()
    driver.append([bytes(900)] * count)
    driver.close_clean()
    return driver


def open_configured(disk: SimulatedDisk, segment_length: int) -> Archive:
    return Archive.open(
        disk,
        cluster_id=CLUSTER,
        constants=ClusterConstants(segment_length=segment_length),
        durability=Durability.FSYNC,
        boot_id=bytes(16),
        new_member_id=MemberId(b"n" * 16),
    )


def test_a_log_keeps_its_segment_length_whatever_the_configuration_says() -> None:
    driver = stopped(6)
    archive = open_configured(driver.disk, 8192)
    assert archive.segment_length == SEGMENT_LENGTH
    assert archive.end == driver.mark(len(driver.frames))


@pytest.mark.parametrize("segment_length", [SEGMENT_LENGTH // 2, 2 * SEGMENT_LENGTH])
def test_a_segment_taken_and_never_used_is_no_damage_whatever_the_configuration_says(
    segment_length: int,
) -> None:
    """Whether the file is whole goes by the length of the log, not by that of a blank member."""
    driver = stopped(4)
    driver.disk.put(segment_name(driver.mark(4).position), bytes(FILE_LENGTH))
    archive = open_configured(driver.disk, segment_length)
    assert archive.recovered.node_state.recovering == NOT_RECOVERING
    assert archive.end == driver.mark(4)


def test_a_segment_cut_short_before_it_was_used_is_damage_whatever_the_configuration_says() -> None:
    driver = stopped(4)
    driver.disk.put(segment_name(driver.mark(4).position), bytes(FILE_LENGTH - 1))
    archive = open_configured(driver.disk, SEGMENT_LENGTH // 2)
    assert archive.recovered.node_state.recovering.reason is RecoveringReason.DAMAGED
