from __future__ import annotations

import errno
from random import Random

import pytest

from quorate.archive.segment import FRAMES_OFFSET, decode_header, encode_header
from quorate.archive.verify import FindingSeverity, verify_directory
from quorate.consensus.types import LeadershipTermId
from quorate.errors import SyncFailed
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk, SimulatedFile

FIRST = "log-00000000000000000000.seg"
SECOND = "log-00000000000000004096.seg"
THIRD = "log-00000000000000008192.seg"


def stopped() -> SimulatedDisk:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([b"founding"])
    driver.store(driver.state._replace(founded=True, candidate_term_id=LeadershipTermId(1)))
    driver.append([bytes(900)] * 6)
    while driver.archive.prepare_spare():
        pass
    driver.close_clean()
    return driver.disk


def severities(disk: SimulatedDisk) -> set[tuple[str, FindingSeverity]]:
    return {(finding.name, finding.severity) for finding in verify_directory(disk)}


def test_a_member_that_stopped_properly_has_no_findings() -> None:
    assert verify_directory(stopped()) == []


def test_it_changes_nothing() -> None:
    disk = stopped()
    disk.flip(FIRST, FRAMES_OFFSET + 200)
    before = {name: disk.content(name) for name in disk.names()}
    operations = disk.operations
    verify_directory(disk)
    assert {name: disk.content(name) for name in disk.names()} == before
    assert disk.operations == operations


@pytest.mark.parametrize(
    ("name", "offset", "severity"),
    [
        (FIRST, FRAMES_OFFSET + 200, FindingSeverity.DAMAGE),
        (FIRST, 20, FindingSeverity.DAMAGE),
        (SECOND, FRAMES_OFFSET + 4000, FindingSeverity.HEALS),
        (SECOND, 4096 + 8, FindingSeverity.NOTE),
        (SECOND, 1000, FindingSeverity.NOTE),
        ("node-state", 20, FindingSeverity.HEALS),
        ("node-state", 4096 + 20, FindingSeverity.HEALS),
        ("spare-2.seg", 5000, FindingSeverity.HEALS),
    ],
)
def test_a_flipped_byte_is_found(name: str, offset: int, severity: FindingSeverity) -> None:
    disk = stopped()
    disk.flip(name, offset)
    assert (name, severity) in severities(disk)


def test_a_missing_log_beside_the_founded_mark_is_damage() -> None:
    disk = stopped()
    for name in (FIRST, SECOND):
        disk.remove(name)
    assert ("node-state", FindingSeverity.DAMAGE) in severities(disk)


def test_a_log_without_a_frame_beside_the_founded_mark_is_damage_of_both() -> None:
    disk = stopped()
    disk.remove(SECOND)
    content = disk.content(FIRST)
    disk.put(FIRST, content[:FRAMES_OFFSET] + bytes(len(content) - FRAMES_OFFSET))
    damaged = {name for name, severity in severities(disk) if severity is FindingSeverity.DAMAGE}
    assert damaged == {FIRST, "node-state"}


def test_a_missing_node_state_is_damage_beside_a_log_and_nothing_alone() -> None:
    disk = stopped()
    disk.remove("node-state")
    assert ("node-state", FindingSeverity.DAMAGE) in severities(disk)
    assert severities(SimulatedDisk(Random(1))) == {("node-state", FindingSeverity.NOTE)}


def test_two_bad_slots_are_damage() -> None:
    disk = stopped()
    disk.flip("node-state", 20)
    disk.flip("node-state", 4096 + 20)
    assert ("node-state", FindingSeverity.DAMAGE) in severities(disk)


def test_leftovers_and_strangers_are_told() -> None:
    disk = stopped()
    disk.put("spare-9.tmp", b"")
    disk.put("notes.txt", b"")
    assert severities(disk) == {
        ("spare-9.tmp", FindingSeverity.HEALS),
        ("notes.txt", FindingSeverity.NOTE),
    }


def test_a_segment_cut_short_or_of_another_member_is_damage() -> None:
    disk = stopped()
    disk.put(SECOND, disk.content(SECOND)[:-1])
    assert (SECOND, FindingSeverity.DAMAGE) in severities(disk)
    other = ArchiveDriver(SimulatedDisk(Random(1)))
    other.lives = 9
    other.reopen()
    other.append([b"founding"])
    disk = stopped()
    disk.put(FIRST, other.disk.content(FIRST))
    assert (FIRST, FindingSeverity.DAMAGE) in severities(disk)


@pytest.mark.parametrize(
    ("missing", "severity"), [(0, FindingSeverity.HEALS), (1, FindingSeverity.DAMAGE)]
)
def test_a_segment_that_was_never_used_heals_unless_it_is_cut_short(
    missing: int, severity: FindingSeverity
) -> None:
    disk = stopped()
    disk.put(THIRD, bytes(len(disk.content(SECOND)) - missing))
    assert severities(disk) == {(THIRD, severity)}


def test_a_segment_of_a_later_epoch_is_damage_as_it_is_for_a_start() -> None:
    disk = stopped()
    content = disk.content(SECOND)
    header = decode_header(content)
    assert header is not None
    later = encode_header(header._replace(epoch=header.epoch + 1))
    disk.put(SECOND, later + content[len(later) :])
    assert (SECOND, FindingSeverity.DAMAGE) in severities(disk)


def test_a_segment_of_another_length_is_damage_as_it_is_for_a_start() -> None:
    disk = stopped()
    content = disk.content(SECOND)
    header = decode_header(content)
    assert header is not None
    shorter = encode_header(header._replace(segment_length=header.segment_length // 2))
    disk.put(SECOND, shorter + content[len(shorter) :])
    assert (SECOND, FindingSeverity.DAMAGE) in severities(disk)


def test_a_node_state_older_than_the_log_is_damage_as_it_is_for_a_start() -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    old = driver.disk.content("node-state")
    driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(3)))
    driver.append([b"one"])
    driver.close_clean()
    assert severities(driver.disk) == set()
    driver.disk.put("node-state", old)
    assert severities(driver.disk) == {("node-state", FindingSeverity.DAMAGE)}


def test_a_directory_that_cannot_be_listed_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: SimulatedDisk) -> list[str]:
        raise OSError(errno.EIO, "injected")

    disk = stopped()
    monkeypatch.setattr(SimulatedDisk, "names", refuse)
    with pytest.raises(SyncFailed, match="verifying the data directory: injected"):
        verify_directory(disk)


def test_few_files_are_open_at_once_and_none_is_left_open() -> None:
    """A log may have more files than a process may have open."""
    disk = stopped()
    assert disk.open_files == []
    opened = []
    real = disk.open

    def count(name: str, *, writable: bool = True) -> SimulatedFile:
        file = real(name, writable=writable)
        opened.append(len(disk.open_files))
        return file

    disk.open = count  # type: ignore[method-assign]
    verify_directory(disk)
    assert max(opened) == 1
    assert disk.open_files == []
