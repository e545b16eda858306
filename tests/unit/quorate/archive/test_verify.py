from __future__ import annotations

import errno
from random import Random

import google_crc32c
import pytest

from quorate.archive.node_state import NODE_STATE_TEMPORARY, read_slots
from quorate.archive.node_state import SLOT_LENGTH as STATE_LENGTH
from quorate.archive.segment import (
    FRAMES_OFFSET,
    HEADER_LENGTH,
    PIECE_LENGTH,
    SLOT_LENGTH,
    decode_header,
    encode_header,
    segment_name,
)
from quorate.archive.verify import FindingSeverity, verify_directory
from quorate.consensus.types import LeadershipTermId, LogPosition, Recovering, RecoveringReason
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


@pytest.mark.parametrize("offset", [0, 1, PIECE_LENGTH - 1, PIECE_LENGTH, 2 * PIECE_LENGTH + 9])
def test_the_first_byte_that_is_amiss_in_a_spare_is_told(offset: int) -> None:
    disk = stopped()
    disk.put("spare-9.seg", bytes(2 * PIECE_LENGTH + 10))
    for amiss in {offset, 2 * PIECE_LENGTH + 9}:
        disk.flip("spare-9.seg", amiss)
    detail = f"a spare, but byte {offset} is not zero"
    assert verify_directory(disk) == [("spare-9.seg", FindingSeverity.HEALS, detail)]


def test_the_first_byte_behind_the_end_of_the_log_is_told_in_each_segment() -> None:
    length = 3 * PIECE_LENGTH
    driver = ArchiveDriver(SimulatedDisk(Random(1)), segment_length=length)
    driver.reopen()
    driver.append([bytes(length // 4 - 64)] * 5 + [bytes(100)])
    driver.close_clean()
    end, base = driver.mark(6).position, length
    assert base < end < 2 * length
    whole = driver.disk.copy()
    for position in (end, end + 1, end + PIECE_LENGTH - 1, end + PIECE_LENGTH, 2 * length - 1):
        disk = whole.copy()
        for amiss in {position, 2 * length - 1}:
            disk.flip(segment_name(base), FRAMES_OFFSET + amiss - base)
        detail = f"torn: bytes at {position} behind the end of the log at {end}"
        found = [(segment_name(base), FindingSeverity.HEALS, detail)]
        assert verify_directory(disk) == found


def test_the_frame_that_is_damaged_and_the_watermark_are_told() -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.append([bytes(900)] * 10)
    driver.close_clean()
    watermark = driver.mark(10).position
    for frame in driver.frames:
        disk = driver.disk.copy()
        base = frame.position - frame.position % 4096
        disk.flip(segment_name(base), FRAMES_OFFSET + frame.position - base + 40)
        detail = f"no good log frame at {frame.position}, below the durable watermark {watermark}"
        found = [(segment_name(base), FindingSeverity.DAMAGE, detail)]
        assert verify_directory(disk) == found


@pytest.mark.parametrize(
    ("page", "used"), [(0, HEADER_LENGTH), (4096, SLOT_LENGTH), (8192, SLOT_LENGTH)]
)
def test_bytes_behind_the_records_of_a_segment_are_told_to_the_end_of_their_page(
    page: int, used: int
) -> None:
    detail = f"bytes that are not zero behind byte {page + used}, where none belong"
    for offset in (page + used, page + 4095):
        disk = stopped()
        disk.flip(SECOND, offset)
        assert verify_directory(disk) == [(SECOND, FindingSeverity.NOTE, detail)]


@pytest.mark.parametrize("page", [4096, 8192])
@pytest.mark.parametrize("byte", [0, SLOT_LENGTH - 1])
def test_a_bad_watermark_slot_is_told_by_its_place(page: int, byte: int) -> None:
    disk = stopped()
    content = bytearray(disk.content(FIRST))
    content[page : page + SLOT_LENGTH] = bytes(SLOT_LENGTH)
    content[page + byte] = 1
    disk.put(FIRST, bytes(content))
    detail = f"the watermark slot at byte {page} is not valid; the other one counts"
    assert verify_directory(disk) == [(FIRST, FindingSeverity.NOTE, detail)]


@pytest.mark.parametrize(("slot", "offset"), [(0, 20), (1, 4096 + 20)])
def test_a_bad_slot_of_the_node_state_is_told_by_its_number(slot: int, offset: int) -> None:
    disk = stopped()
    disk.flip("node-state", offset)
    detail = f"slot {slot} is not valid"
    assert verify_directory(disk) == [("node-state", FindingSeverity.HEALS, detail)]


def test_a_second_copy_that_is_still_owed_is_told() -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    driver.store(driver.state._replace(candidate_term_id=LeadershipTermId(1)))
    generation = max(stored_generations(driver.disk))
    detail = f"the slots differ; generation {generation} counts"
    assert verify_directory(driver.disk) == [("node-state", FindingSeverity.HEALS, detail)]
    driver.archive.finish_node_state()
    assert verify_directory(driver.disk) == []


def stored_generations(disk: SimulatedDisk) -> list[int]:
    slots = read_slots(disk.open("node-state", writable=False))
    return [slot.generation for slot in slots if slot is not None]


def test_a_segment_that_is_too_long_is_told_with_both_lengths() -> None:
    disk = stopped()
    whole = disk.content(SECOND)
    disk.put(SECOND, whole + bytes(7))
    detail = f"has {len(whole) + 7} bytes, not {len(whole)}"
    assert verify_directory(disk) == [(SECOND, FindingSeverity.HEALS, detail)]


@pytest.mark.parametrize(
    ("name", "length", "told"),
    [(FIRST, HEADER_LENGTH, "the recording"), ("node-state", STATE_LENGTH, "node-state")],
)
def test_what_a_later_release_has_written_is_damage_to_this_one(
    name: str, length: int, told: str
) -> None:
    disk = stopped()
    later = bytearray(disk.content(name))
    for offset in (0, 4096) if name == "node-state" else (0,):
        later[offset + 8] = 99
        checked = bytes(later[offset : offset + length - 4])
        later[offset + length - 4 : offset + length] = google_crc32c.value(checked).to_bytes(
            4, "little"
        )
    disk.put(name, bytes(later))
    (finding,) = [found for found in verify_directory(disk) if found.name == told]
    assert finding.severity is FindingSeverity.DAMAGE
    assert "has format version 99" in finding.detail


def test_a_recovering_member_is_told_with_how_far_it_may_have_acknowledged() -> None:
    driver = ArchiveDriver(SimulatedDisk(Random(1)))
    driver.reopen()
    lost = Recovering(RecoveringReason.DAMAGED, LeadershipTermId(3), LogPosition(640))
    driver.store(driver.state._replace(recovering=lost))
    driver.close_clean()
    detail = "recovering (damaged): may have acknowledged up to position 640 of term 3"
    assert verify_directory(driver.disk) == [("node-state", FindingSeverity.NOTE, detail)]


def test_a_log_that_has_lost_every_header_is_damage_in_every_segment() -> None:
    disk = stopped()
    for name in (FIRST, SECOND):
        disk.flip(name, 20)
    detail = "its header is not valid, or it is cut short"
    assert verify_directory(disk) == [
        (name, FindingSeverity.DAMAGE, detail) for name in (FIRST, SECOND)
    ]


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
    disk.put(NODE_STATE_TEMPORARY, b"")
    assert severities(disk) == {
        ("spare-9.tmp", FindingSeverity.HEALS),
        (NODE_STATE_TEMPORARY, FindingSeverity.HEALS),
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
