from __future__ import annotations

from random import Random

import pytest

from quorate.archive.accept_loss import accept_loss
from quorate.archive.segment import FRAMES_OFFSET
from quorate.consensus.types import RecoveringReason
from quorate.errors import AdminRejected, DirectoryInUse, ForeignData
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk


def damaged() -> ArchiveDriver:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([b"founding"])
    driver.store(driver.state._replace(founded=True))
    driver.append([b"one"])
    driver.append([b"two"])
    driver.close_clean()
    driver.disk.flip("log-00000000000000000000.seg", FRAMES_OFFSET + 130)
    driver.open_archive()
    driver.crash(None)
    return driver


def test_an_accepted_loss_is_durable_and_stays() -> None:
    driver = damaged()
    lost = accept_loss(driver.disk)
    assert lost.reason is RecoveringReason.DAMAGED
    assert lost.position == driver.mark(3).position
    for power in (Random(1), None):
        driver.crash(power)
        found = driver.open_archive().recovered.node_state.recovering
        assert found == lost._replace(reason=RecoveringReason.LOSS_ACCEPTED)


def test_it_is_accepted_once() -> None:
    driver = damaged()
    accept_loss(driver.disk)
    with pytest.raises(AdminRejected, match="before"):
        accept_loss(driver.disk)


def test_a_member_without_any_log_would_not_vote_and_is_told_so() -> None:
    driver = damaged()
    driver.disk.remove("log-00000000000000000000.seg")
    driver.disk.sync_directory()
    driver.open_archive()
    driver.crash(None)
    with pytest.raises(AdminRejected, match="its whole log"):
        accept_loss(driver.disk)


def test_a_sound_member_has_nothing_to_accept() -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.close_clean()
    with pytest.raises(AdminRejected, match="not recovering"):
        accept_loss(driver.disk)


def test_a_member_that_runs_is_left_alone() -> None:
    driver = damaged()
    driver.open_archive()
    with pytest.raises(DirectoryInUse):
        accept_loss(driver.disk)


def test_an_empty_directory_is_not_a_members() -> None:
    with pytest.raises(ForeignData):
        accept_loss(SimulatedDisk(Random(1)))
