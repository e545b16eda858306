"""What is written at once in ``fsync`` is durable when its sync has ended, and not before."""

from __future__ import annotations

from random import Random

import pytest

from quorate.config import Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState
from quorate.consensus.types import Chain, LeadershipTermId, LogPosition
from quorate.errors import InvariantBroken, SyncFailed
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk


def written_at_once(count: int) -> ArchiveDriver:
    """Return an archive in ``fsync`` with so many frames behind the founding one, not synced."""
    driver = ArchiveDriver(SimulatedDisk(Random(1)), durability=Durability.FSYNC)
    driver.reopen()
    driver.append([b"founding"])
    for number in range(count):
        effect = AppendToLog(number, tuple(driver.builder.frame(b"")))
        assert driver.archive.write_at_once([effect])
    return driver


@pytest.mark.parametrize("pause_s", [0.25, 1.0, 100.0])
def test_idle_work_takes_nothing_for_durable_that_no_sync_covers(pause_s: float) -> None:
    """A sync of the loop's may hang for long; idle work knows nothing of how far it got."""
    driver = written_at_once(3)
    for look in range(20):
        driver.archive.idle(look * pause_s)
        driver.archive.sync_if_due(look * pause_s)
        assert driver.archive.synced == driver.mark(1)
        assert driver.archive.watermark.mark.position <= driver.mark(1).position


def test_a_sync_of_what_was_written_at_once_reaches_the_disk() -> None:
    driver = written_at_once(3)
    end = driver.archive.end
    driver.archive.sync()
    assert driver.archive.synced == end
    driver.disk.power_cut(Random(1))
    assert driver.open_archive().recovered.end == end


@pytest.mark.parametrize("change", [{"position": LogPosition(64)}, {"previous_chain": Chain(7)}])
@pytest.mark.parametrize("bad", [0, 1])
def test_nothing_is_written_at_once_where_a_frame_does_not_follow(
    change: dict[str, object], bad: int
) -> None:
    driver = written_at_once(0)
    frames = [driver.builder.frame(body)[0] for body in (b"one", b"two")]
    frames[bad] = frames[bad]._replace(**change)  # type: ignore[arg-type]
    before = driver.disk.operations
    with pytest.raises(InvariantBroken, match="cannot stand"):
        driver.archive.write_at_once([AppendToLog(1, tuple(frames))])
    assert driver.disk.operations == before
    with pytest.raises(SyncFailed, match="failed before"):
        driver.archive.begin_sync()


@pytest.mark.parametrize("behind", [False, True])
def test_a_vote_among_frames_is_not_passed_over(*, behind: bool) -> None:
    driver = written_at_once(0)
    state = driver.state._replace(candidate_term_id=LeadershipTermId(7))
    effects = [AppendToLog(1, tuple(driver.builder.frame(b""))), StoreNodeState(2, state)]
    before = driver.disk.operations, driver.archive.end
    assert not driver.archive.write_at_once(effects if behind else effects[::-1])
    assert (driver.disk.operations, driver.archive.end) == before
