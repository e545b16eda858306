from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from quorate.archive.archive import Archive
from quorate.archive.files import FileSystem, SystemFiles
from quorate.archive.library_sync import SYNC_SIGNAL, LibrarySync, hold_sync_signal
from quorate.archive.writer import ArchiveWriter
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState
from quorate.consensus.types import ClusterId, LogPosition, MemberId
from quorate.errors import SyncFailed
from quorate_forked.forked import forked
from quorate_simulation.disk import Operation, SimulatedDisk
from quorate_simulation.logs import LogBuilder

SEGMENT_LENGTH = 64 * 1024


class Member:
    """A writer and what it has told the loop."""

    def __init__(self, files: FileSystem, durability: Durability = Durability.FSYNC) -> None:
        self.completed: list[int] = []
        self.failures: list[BaseException] = []
        self.changed = asyncio.Event()
        self.archive = Archive.open(
            files,
            cluster_id=ClusterId(b"c" * 16),
            constants=ClusterConstants(segment_length=SEGMENT_LENGTH),
            durability=durability,
            boot_id=bytes(16),
            new_member_id=MemberId(b"m" * 16),
        )
        self.writer = ArchiveWriter(
            self.archive,
            loop=asyncio.get_running_loop(),
            monotonic_ns=time.monotonic_ns,
            on_completed=self._on_completed,
            on_failed=self._on_failed,
        )
        self.builder = LogBuilder(SEGMENT_LENGTH)
        self.sequence = 0
        self.writer.start()

    def _on_completed(self, sequence: int, duration_ns: int) -> None:
        assert duration_ns > 0
        self.completed.append(sequence)
        self.changed.set()

    def _on_failed(self, error: BaseException) -> None:
        self.failures.append(error)
        self.changed.set()

    def submit(self, body: bytes) -> None:
        self.sequence += 1
        self.writer.submit([AppendToLog(self.sequence, tuple(self.builder.frame(body)))])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


async def poll(condition: Callable[[], bool]) -> None:
    """Wait for what a thread does without telling the loop."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)


def hang_syncs(disk: SimulatedDisk) -> threading.Event:
    """Let no sync of the log end before the event is set."""
    go_on = threading.Event()

    def hang(operation: Operation) -> None:
        if operation.kind == "sync" and operation.name.startswith("log"):
            assert go_on.wait(20), "nobody let it go on"

    disk.fault = hang
    return go_on


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    def part() -> None:
        hold_sync_signal()
        asyncio.run(main())

    forked(part)


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
        member = Member(disk)
        member.submit(b"first")
        await member.until(lambda: member.completed == [1])

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
        member = Member(SystemFiles(str(tmp_path)), durability)
        member.submit(b"founding")
        await member.until(lambda: member.completed == [1])
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
        member = Member(SystemFiles(str(tmp_path)))
        member.submit(b"founding")
        await member.until(lambda: member.completed == [1])

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
        member = Member(SystemFiles(str(tmp_path)))
        member.submit(b"founding")
        await member.until(lambda: member.completed == [1])
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
        member = Member(disk)
        member.submit(b"first")
        await member.until(lambda: member.completed == [1])
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
