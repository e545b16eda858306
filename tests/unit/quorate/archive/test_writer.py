from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from random import Random

import pytest

from quorate.archive import writer as writer_module
from quorate.archive.files import SystemFiles
from quorate.archive.library_sync import SYNC_SIGNAL, LibrarySync
from quorate.archive.node_state import NODE_STATE_NAME, SLOT_LENGTH, SLOT_OFFSETS, decode_slot
from quorate.config import Durability
from quorate.consensus.effects import StoreNodeState
from quorate.consensus.types import LogPosition
from quorate.errors import SyncFailed
from quorate_archive_writer.member import SEGMENT_LENGTH, Member, hang_syncs, poll, run
from quorate_simulation.disk import SimulatedDisk


@pytest.mark.parametrize("durability", list(Durability))
def test_all_that_is_submitted_completes_in_order_and_is_there(
    tmp_path: Path, durability: Durability
) -> None:
    async def test() -> None:
        member = Member(SystemFiles(str(tmp_path)), durability)
        for number in range(300):
            member.submit(number.to_bytes(2, "big") * 200)
        await member.until(lambda: member.completed[-1:] == [300])
        assert member.completed == sorted(set(member.completed))
        assert member.writer.pending_sequences == 0
        first = await member.writer.read(LogPosition(0), 1000)
        assert len(first) == 512
        await member.writer.close(clean=True)
        again = Member(SystemFiles(str(tmp_path)), durability)
        assert again.archive.recovered.end == member.builder.end
        assert again.archive.recovered.watermark == member.builder.end
        await again.writer.close(clean=False)

    run(test)


def test_what_comes_while_a_sync_runs_goes_into_the_next_one() -> None:
    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = await Member.founded(disk)

        go_on = hang_syncs(disk)
        for _ in range(20):
            member.submit(b"next")
        go_on.set()
        await member.until(lambda: member.completed[-1] == 21)
        assert len(member.completed) <= 4
        await member.writer.close(clean=True)

    run(test)


@pytest.mark.parametrize("durability", list(Durability))
def test_what_fits_into_the_segment_is_written_before_submit_returns(
    tmp_path: Path, durability: Durability
) -> None:
    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)), durability)
        member.submit(b"second")
        assert member.archive.end == member.builder.end
        if durability is Durability.REPLICATED:
            assert member.completed == [1, 2]
        else:
            assert member.completed == [1], "not before its sync"
            assert member.archive.synced != member.archive.end
        await member.until(lambda: member.completed == [1, 2])
        await member.writer.close(clean=True)

    run(test)


def test_without_a_sync_of_the_c_library_a_thread_of_ours_syncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden() -> LibrarySync:
        raise PermissionError(errno.EPERM, "another C library")

    async def test() -> None:
        monkeypatch.setattr("quorate.archive.writer.LibrarySync", forbidden)
        member = Member(SystemFiles(str(tmp_path)))
        assert member.writer.sync_mode == "thread"
        for _ in range(20):
            member.submit(b"body")
        await member.until(lambda: member.completed[-1:] == [20])
        assert member.archive.synced == member.builder.end
        await member.writer.close(clean=True)

    run(test)


def test_a_sync_that_fails_in_the_c_library_ends_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))

        def broken(_sync: LibrarySync) -> bool:
            raise OSError(errno.EIO, "the disk is gone")

        monkeypatch.setattr(LibrarySync, "finish", broken)
        member.submit(b"second")
        await member.until(lambda: len(member.failures) == 1)
        assert isinstance(member.failures[0], SyncFailed)
        member.submit(b"third")
        await member.writer.close(clean=True)
        assert member.completed == [1]

    run(test)


def test_a_signal_of_somebody_else_ends_no_sync(tmp_path: Path) -> None:
    async def test() -> None:
        errors: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        member = Member(SystemFiles(str(tmp_path)))
        for count in range(1, 4):
            os.kill(os.getpid(), SYNC_SIGNAL)
            for _ in range(count):
                await asyncio.sleep(0)
            member.submit(b"frame")
            await member.until(lambda count=count: member.completed[-1:] == [count])
        await member.writer.close(clean=True)
        assert not errors

    run(test)


def test_a_vote_behind_frames_waits_for_their_sync(tmp_path: Path) -> None:
    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))
        member.submit(b"frame")
        member.sequence += 1
        state = member.archive.recovered.node_state._replace(founded=True)
        member.writer.submit([StoreNodeState(member.sequence, state)])
        member.submit(b"behind the vote")
        assert member.archive.end != member.builder.end, "in order: it waits for the vote"
        await member.until(lambda: member.completed[-1] == member.sequence)
        assert member.completed in ([1, 2, 4], [1, 2, 3, 4])
        await member.writer.close(clean=True)
        again = Member(SystemFiles(str(tmp_path)))
        assert again.archive.recovered.node_state.founded
        assert again.archive.recovered.end == member.builder.end
        await again.writer.close(clean=False)

    run(test)


def test_the_second_copy_of_a_vote_does_not_wait_until_nothing_is_submitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A busy member is never idle; until the copy is written a rotten slot forgets the vote."""

    async def test() -> None:
        monkeypatch.setattr(writer_module, "IDLE_INTERVAL_S", 1000.0)
        disk = SimulatedDisk(Random(1))
        member = await Member.founded(disk)
        member.sequence += 1
        state = member.archive.recovered.node_state._replace(founded=True)
        member.writer.submit([StoreNodeState(member.sequence, state)])

        def is_founded(offset: int) -> bool:
            slot = decode_slot(disk.content(NODE_STATE_NAME)[offset : offset + SLOT_LENGTH])
            return slot is not None and slot.node_state.founded

        await poll(lambda: all(map(is_founded, SLOT_OFFSETS)))
        await member.writer.close(clean=False)

    run(test)


def test_spares_are_ready_before_they_are_needed(tmp_path: Path) -> None:
    async def test() -> None:
        member = Member(SystemFiles(str(tmp_path)))
        await poll(lambda: member.archive.spares.ready_count == 2)
        for _ in range(6):
            member.submit(bytes(15_000))
        await member.until(lambda: member.completed[-1:] == [6])
        assert member.archive.spares_run_out_count == 0
        await poll(lambda: member.archive.spares.ready_count == 2)
        await member.writer.close(clean=True)

    run(test)


def test_a_failure_is_told_once_and_nothing_completes_after_it() -> None:
    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = await Member.founded(disk)
        disk.fault = lambda operation: (
            OSError(errno.EIO, "injected") if operation.kind == "sync" else None
        )
        member.submit(b"second")
        member.submit(b"third")
        await member.until(lambda: len(member.failures) == 1)
        assert isinstance(member.failures[0], SyncFailed)
        member.submit(b"fourth")
        await member.writer.close(clean=True)
        assert (member.completed, len(member.failures)) == ([1], 1)

    run(test)


def test_replicated_is_synced_in_the_background(tmp_path: Path) -> None:
    async def test() -> None:
        member = Member(SystemFiles(str(tmp_path)), Durability.REPLICATED)
        for _ in range(3):
            member.submit(b"body")
        await member.until(lambda: member.completed[-1:] == [3])
        await poll(lambda: member.archive.synced == member.builder.end)
        await member.writer.close(clean=False)

    run(test)


def test_what_waits_for_the_thread_is_finished_before_a_writer_is_closed() -> None:
    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = Member(disk)
        go_on = hang_syncs(disk)
        for _ in range(3):
            member.submit(b"waits")
        closing = asyncio.create_task(member.writer.close(clean=True))
        await asyncio.sleep(0)
        go_on.set()
        await closing
        assert member.completed[-1] == 3
        again = Member(disk)
        assert again.archive.recovered.end == member.builder.end
        await again.writer.close(clean=False)

    run(test)


def test_a_call_that_hangs_shows_for_how_long() -> None:
    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = Member(disk)
        assert member.writer.busy_ns == 0

        go_on = hang_syncs(disk)
        member.submit(b"first")
        await poll(lambda: member.writer.busy_ns > 10_000_000)
        go_on.set()
        await member.until(lambda: member.completed == [1])
        await member.writer.close(clean=True)

    run(test)


async def fill(member: Member, disk: SimulatedDisk) -> None:
    """Append until the disk has no space for what the writer is given."""
    await poll(lambda: not member.archive.spares.is_short)
    disk.capacity = disk.used_bytes
    out_of_space = member.archive.spares.run_out_count

    def waits() -> bool:
        return member.archive.spares.run_out_count > out_of_space

    while not waits():
        member.submit(bytes(SEGMENT_LENGTH // 4 - 64))
        await poll(lambda: waits() or member.completed[-1:] == [member.sequence])
    assert member.completed[-1] < member.sequence
    assert not member.failures


def test_where_there_is_no_space_for_a_segment_the_writer_waits_for_some() -> None:
    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = Member(disk)
        await fill(member, disk)
        assert member.writer.busy_ns > 0
        disk.capacity = None
        await member.until(lambda: member.completed[-1] == member.sequence)
        assert not member.failures
        await member.writer.close(clean=True)

    run(test)


def test_a_writer_that_waits_for_space_can_be_closed_and_gives_up_only_what_waits() -> None:
    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = Member(disk)
        await fill(member, disk)
        completed, end = list(member.completed), member.archive.end
        member.submit(b"behind it")
        await member.writer.close(clean=True)
        member.submit(b"too late")
        assert member.completed == completed
        assert not member.failures
        again = Member(disk)
        assert again.archive.recovered.end == end
        assert again.archive.recovered.watermark == end, "synced, and said so"
        await again.writer.close(clean=False)

    run(test)
