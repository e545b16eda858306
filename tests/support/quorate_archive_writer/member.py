"""A writer on an archive of its own, and what it has told the loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Self

from quorate.archive.archive import Archive
from quorate.archive.files import FileSystem
from quorate.archive.library_sync import hold_sync_signal
from quorate.archive.writer import ArchiveWriter
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog
from quorate.consensus.types import ClusterId, LogPosition, MemberId
from quorate_forked.forked import forked
from quorate_simulation.disk import Operation, SimulatedDisk
from quorate_simulation.logs import LogBuilder

SEGMENT_LENGTH = 64 * 1024


class Member:
    """A writer and what it has told the loop.

    Whatever a test is about: nothing may be told as done that the disk does not have yet.
    """

    def __init__(self, files: FileSystem, durability: Durability = Durability.FSYNC) -> None:
        """Open the archive and start the writer; call it inside the loop."""
        self.completed: list[int] = []
        self.failures: list[BaseException] = []
        self.ends: dict[int, LogPosition] = {}
        """Where the frames of each sequence end."""
        self.early: list[int] = []
        """Completed before a sync covered them."""
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

    @classmethod
    async def founded(cls, files: FileSystem, durability: Durability = Durability.FSYNC) -> Self:
        """Return one whose first frame is durable: what fits behind it is written at once."""
        member = cls(files, durability)
        member.submit(b"founding")
        await member.until(lambda: member.completed == [1])
        return member

    def _on_completed(self, sequence: int, duration_ns: int) -> None:
        assert duration_ns > 0
        self.completed.append(sequence)
        if self.archive.durability is Durability.FSYNC:
            covered = self.archive.synced.position
            told = (end for number, end in self.ends.items() if number <= sequence)
            if max(told, default=covered) > covered:
                self.early.append(sequence)
        self.changed.set()

    def _on_failed(self, error: BaseException) -> None:
        self.failures.append(error)
        self.changed.set()

    def submit(self, body: bytes) -> None:
        """Have one frame appended."""
        self.sequence += 1
        frames = tuple(self.builder.frame(body))
        self.ends[self.sequence] = frames[-1].end
        self.writer.submit([AppendToLog(self.sequence, frames)])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the writer tells the loop."""
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()
        assert not self.early, "told as done before a sync covered it"


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
    """Run a test on a loop of its own, in a process that holds the signal of the syncs."""

    async def main() -> None:
        await test()

    def part() -> None:
        hold_sync_signal()
        asyncio.run(main())

    forked(part)
