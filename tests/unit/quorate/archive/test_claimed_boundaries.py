"""A boundary that another member claims: is it wrong, or is our own recording bad?"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from quorate.archive import recording
from quorate.archive.files import FileSystem
from quorate.archive.inspect import iterate_frames
from quorate.archive.reading import NoBoundary
from quorate.archive.segment import FRAMES_OFFSET, segment_name
from quorate.config import Durability
from quorate.consensus.types import LogFrame, LogPosition
from quorate.errors import CorruptRecord
from quorate_simulation.archive_driver import ArchiveDriver
from quorate_simulation.disk import SimulatedDisk

SEGMENT_LENGTH = 4096


def started() -> ArchiveDriver:
    driver = ArchiveDriver(SimulatedDisk(Random(1)), durability=Durability.FSYNC)
    driver.reopen()
    return driver


def test_a_boundary_that_is_none_is_told_from_a_frame_that_is_damaged() -> None:
    driver = started()
    driver.append(
        [bytes(900), bytes(100), bytes(900), bytes(900), bytes(300), bytes(900), bytes(200)]
    )
    end = driver.archive.end.position
    assert end > SEGMENT_LENGTH
    begins = {frame.position: frame for frame in driver.frames}
    for position in map(LogPosition, range(0, end, 64)):
        if position in begins:
            assert driver.archive.read(position, 1) == begins[position].data
            continue
        over = max(begin for begin in begins if begin < position)
        with pytest.raises(NoBoundary, match=f"{position} lies within the log frame at {over}$"):
            driver.archive.read(position, 100)
    # Where our own recording is bad nobody else can be wrong about it.
    driver.disk.open(segment_name(0)).write(FRAMES_OFFSET + driver.frames[1].position, [bytes(64)])
    with pytest.raises(CorruptRecord, match=f"at {driver.frames[1].position}") as caught:
        driver.archive.read(LogPosition(0), 2_000)
    assert not isinstance(caught.value, NoBoundary)
    for frame in (driver.frames[0], driver.frames[-1]):
        base = frame.position - frame.position % SEGMENT_LENGTH
        file = driver.disk.open(segment_name(base))
        file.write(FRAMES_OFFSET + frame.position - base, [bytes(64)])
        for position in (frame.position, frame.position + 64):
            with pytest.raises(CorruptRecord, match=f"no log frame at {position}") as caught:
                driver.archive.read(LogPosition(position), 100)
            assert not isinstance(caught.value, NoBoundary)


def test_a_boundary_that_is_cut_off_while_it_is_looked_for_is_nobodys_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = started()
    driver.append([bytes(300), bytes(300)])

    def cut(files: FileSystem, start: LogPosition) -> Iterator[LogFrame]:
        found = list(iterate_frames(files, start))
        driver.truncate(1)
        yield from found

    monkeypatch.setattr(recording, "iterate_frames", cut)
    assert driver.archive.read(LogPosition(driver.frames[1].position + 64), 100) == b""
