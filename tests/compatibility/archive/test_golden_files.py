"""Files as a release wrote them: later releases must read them, and this one writes the same.

The files beside this test are never edited. When a format changes, its version goes up, new
files join these, and these stay readable. Written by ``python test_golden_files.py`` once.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from quorate.archive.archive import Archive
from quorate.config import ClusterConstants, Durability
from quorate.consensus.types import (
    ClusterId,
    LeadershipTermId,
    LogPosition,
    MemberId,
    NodeState,
    Recovering,
    RecoveringReason,
)
from quorate_simulation.archive_driver import CANDIDATES, ArchiveDriver
from quorate_simulation.disk import SimulatedDisk

GOLDEN = Path(__file__).parent / "version-1"
SEGMENT_LENGTH = 4096
NAMES = ("log-00000000000000000000.seg", "log-00000000000000004096.seg", "node-state")


def written_now() -> SimulatedDisk:
    """Return a stopped member's directory; the same bytes at every call."""
    driver = ArchiveDriver(SimulatedDisk(Random(1)), segment_length=SEGMENT_LENGTH)
    driver.reopen()
    driver.append([b"founding frame"])
    for term in (1, 3):
        driver.store(state(term))
        driver.append([bytes(range(256)) * 3, b"entries", b""])
    driver.append([bytes(900)] * 3)
    driver.idle(1.0)
    driver.idle(2.0)
    driver.close_clean()
    return driver.disk


def state(term: int) -> NodeState:
    recovering = Recovering(
        RecoveringReason.LOSS_ACCEPTED, LeadershipTermId(2), LogPosition(1 << 40)
    )
    return NodeState(LeadershipTermId(term), CANDIDATES[2], True, recovering)


def test_this_release_writes_the_golden_bytes() -> None:
    disk = written_now()
    for name in NAMES:
        assert disk.content(name) == (GOLDEN / name).read_bytes(), name


def test_the_golden_files_are_read() -> None:
    disk = SimulatedDisk(Random(1))
    for name in NAMES:
        disk.put(name, (GOLDEN / name).read_bytes())
    archive = Archive.open(
        disk,
        cluster_id=ClusterId(b"cluster-of-tests"),
        constants=ClusterConstants(segment_length=SEGMENT_LENGTH),
        durability=Durability.FSYNC,
        boot_id=b"another boot id.",
        new_member_id=MemberId(b"x" * 16),
    )
    assert archive.member_id == (1).to_bytes(16, "big")
    assert archive.recovered.node_state == state(3)
    assert [term.leadership_term_id for term in archive.recovered.terms] == [0, 1, 3]
    assert archive.recovered.end.position == archive.recovered.watermark.position == 6144
    assert archive.recovered.founding is not None


if __name__ == "__main__":
    GOLDEN.mkdir()
    for file_name in NAMES:
        (GOLDEN / file_name).write_bytes(written_now().content(file_name))
