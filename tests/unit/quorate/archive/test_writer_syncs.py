"""The writer between its loop, its thread and the syncs of the C library: what waits for what."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from quorate.archive.files import SystemFiles
from quorate.archive.library_sync import LibrarySync
from quorate.archive.node_state import NODE_STATE_NAME, SLOT_LENGTH, SLOT_OFFSETS, decode_slot
from quorate.consensus.effects import StoreNodeState
from quorate.errors import DiskFull
from quorate_archive_writer.member import Member, run
from quorate_simulation.disk import Operation, SimulatedDisk


def test_a_sync_of_the_c_library_completes_nothing_that_was_written_while_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a member acknowledged what a power cut takes, and a majority of such is a loss."""

    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))
        has_ended, taken = [False], LibrarySync.finish
        monkeypatch.setattr(LibrarySync, "finish", lambda sync: has_ended[0] and taken(sync))
        member.submit(b"covered")
        member.submit(b"beside it")
        member.submit(b"beside it as well")
        assert member.archive.end == member.builder.end, "all of it is written"
        assert member.completed == [1]
        has_ended[0] = True
        await member.until(lambda: member.completed[-1] == 4)
        assert member.completed == [1, 2, 4]
        assert member.archive.synced == member.archive.end
        await member.writer.close(clean=True)

    run(test)


def test_the_watermark_is_written_before_the_sync_that_makes_it_durable_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one goes over the other slot, so a cut could find neither of them whole."""

    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))
        member.submit(b"moves the watermark")
        await member.until(lambda: member.completed[-1] == 2)
        marks, start = [], LibrarySync.start

        def watched(sync: LibrarySync, descriptor: int) -> None:
            marks.append(member.archive.watermark.mark == member.archive.synced)
            start(sync, descriptor)

        monkeypatch.setattr(LibrarySync, "start", watched)
        for sequence in (3, 4):
            member.submit(b"next")
            await member.until(lambda sequence=sequence: member.completed[-1] == sequence)
        assert marks == [True, True]
        await member.writer.close(clean=True)

    run(test)


def test_what_comes_when_the_thread_is_done_and_has_not_said_so_is_completed_as_well(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))
        for term in range(1, 11):
            member.sequence += 1
            state = member.archive.recovered.node_state._replace(candidate_term_id=term)
            member.writer.submit([StoreNodeState(member.sequence, state)])
            let_the_thread_store(tmp_path, term)  # without a turn of the loop
            member.submit(b"behind the vote")
            await member.until(lambda: member.completed[-1] == member.sequence)
        assert member.archive.synced == member.builder.end
        await member.writer.close(clean=True)

    run(test)


def let_the_thread_store(folder: Path, term: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        content = (folder / NODE_STATE_NAME).read_bytes()
        slots = (decode_slot(content[at : at + SLOT_LENGTH]) for at in SLOT_OFFSETS)
        if any(slot and slot.node_state.candidate_term_id == term for slot in slots):
            time.sleep(0.01)  # until it has let go of the archive; if not, the test is milder
            return
        time.sleep(0.001)
    raise AssertionError("the vote was never stored")


def test_no_space_where_it_was_promised_ends_the_archive_and_is_not_waited_for() -> None:
    """What a failed write has left in the segment is unknown; a second one could hide it."""

    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = await Member.founded(disk)

        def full(operation: Operation) -> None:
            if operation.kind == "write" and operation.name.startswith("log"):
                raise DiskFull("no space for what was promised")

        disk.fault = full
        member.submit(b"second")
        await member.until(lambda: len(member.failures) == 1)
        assert isinstance(member.failures[0], DiskFull)
        assert member.completed == [1]
        await member.writer.close(clean=True)

    run(test)
