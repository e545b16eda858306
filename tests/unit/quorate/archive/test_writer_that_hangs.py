"""A disk that hangs: what waits for it, for how long, and what does not wait at all."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path
from random import Random

import pytest

from quorate.archive import archive as archive_module
from quorate.archive import writer as writer_module
from quorate.archive.archive import Archive
from quorate.archive.files import SystemFile, SystemFiles
from quorate.archive.library_sync import LibrarySync
from quorate.archive.segment import segment_name
from quorate.config import Durability
from quorate.consensus.types import LogPosition
from quorate.errors import StorageError, SyncFailed
from quorate_archive_writer.member import Member, hang_syncs, poll, run
from quorate_forked.hanging import HangingDescriptor
from quorate_simulation.disk import SimulatedDisk

JOIN_TIMEOUT_S = 0.05


async def failed_beside_a_sync(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> HangingDescriptor:
    """Begin a sync that hangs, and fail at a write meanwhile."""
    disk = HangingDescriptor()
    monkeypatch.setattr(Archive, "sync_descriptor", disk.descriptor)
    member.submit(b"its sync hangs")

    def refuse(file: SystemFile, *_: object) -> None:
        raise OSError(errno.EIO, "injected", file.name)

    monkeypatch.setattr(SystemFile, "write", refuse)
    member.submit(b"this fails")
    await member.until(lambda: len(member.failures) == 1)
    assert isinstance(member.failures[0], SyncFailed)
    return disk


def test_the_loop_goes_on_while_closing_waits_for_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))
        disk = await failed_beside_a_sync(member, monkeypatch)
        asyncio.get_running_loop().call_later(0.01, disk.go_on)
        await member.writer.close(clean=False)
        LibrarySync().close(JOIN_TIMEOUT_S)

    run(test)


def test_closing_does_not_wait_for_ever_for_a_sync_and_closes_no_file_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))
        current = member.archive._recording
        await failed_beside_a_sync(member, monkeypatch)
        monkeypatch.setattr(writer_module, "JOIN_TIMEOUT_S", JOIN_TIMEOUT_S)
        with pytest.raises(StorageError, match="hangs"):
            await member.writer.close(clean=False)
        assert current.current is not None
        assert current.current.file.size() > 0, "the file is open"

    run(test)


def test_closing_does_not_wait_for_ever_for_a_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        member = await Member.founded(SystemFiles(str(tmp_path)))
        begun, go_on = threading.Event(), threading.Event()
        read = Archive.read

        def hang(archive: Archive, position: LogPosition, bytes_max: int) -> bytes:
            begun.set()
            assert go_on.wait(20)
            return read(archive, position, bytes_max)

        monkeypatch.setattr(Archive, "read", hang)
        reading = asyncio.create_task(member.writer.read(LogPosition(0), 100))
        await poll(begun.is_set)
        monkeypatch.setattr(writer_module, "JOIN_TIMEOUT_S", JOIN_TIMEOUT_S)
        with pytest.raises(StorageError, match="hangs"):
            await member.writer.close(clean=True)
        go_on.set()
        assert await reading, "its file was not closed under it"

    run(test)


def test_replicated_waits_for_no_sync_however_long_it_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does what falls due by time keep the archive from others while it syncs."""

    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        member = await Member.founded(disk, Durability.REPLICATED)
        looks: list[float] = []
        idle = Archive.idle

        def counted(archive: Archive, now_s: float) -> None:
            idle(archive, now_s)
            looks.append(now_s)

        monkeypatch.setattr(archive_module, "SYNC_INTERVAL_S", 0.0)
        monkeypatch.setattr(writer_module, "IDLE_INTERVAL_S", 0.01)
        monkeypatch.setattr(Archive, "idle", counted)
        go_on = hang_syncs(disk)
        for sequence in range(2, 10):
            member.submit(b"its sync hangs")
            looked = len(looks)
            await poll(lambda looked=looked: len(looks) > looked + 1)
            await member.until(lambda sequence=sequence: member.completed[-1] == sequence)
        assert member.archive.synced != member.archive.end
        go_on.set()
        await member.writer.close(clean=True)
        assert not member.failures

    run(test)


def test_nothing_is_written_on_the_loop_while_idle_work_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both write the watermark: the slot of one that is not durable yet would be passed over."""

    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        monkeypatch.setattr(writer_module, "IDLE_INTERVAL_S", 0.01)
        member = await Member.founded(disk, Durability.REPLICATED)
        go_on = hang_syncs(disk)
        disk.recorded = []
        monkeypatch.setattr(archive_module, "WATERMARK_DELAY_S", 0.0)
        await poll(
            lambda: ("sync", segment_name(0)) in [op[:2] for op in disk.recorded or ()],
        )
        end = member.archive.end
        member.submit(b"waits for idle work")
        assert member.archive.end == end
        assert member.completed == [1]
        go_on.set()
        await member.until(lambda: member.completed == [1, 2])
        await member.writer.close(clean=True)

    run(test)


def test_closing_closes_no_file_under_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        disk = SimulatedDisk(Random(1))
        monkeypatch.setattr(archive_module, "SYNC_INTERVAL_S", 0.0)
        member = await Member.founded(disk, Durability.REPLICATED)
        go_on = hang_syncs(disk)
        disk.recorded = []
        member.submit(b"its sync hangs")
        await poll(lambda: ("sync", segment_name(0)) in [op[:2] for op in disk.recorded or ()])
        monkeypatch.setattr(writer_module, "JOIN_TIMEOUT_S", JOIN_TIMEOUT_S)
        with pytest.raises(StorageError, match="archive-sync hangs"):
            await member.writer.close(clean=True)
        current = member.archive._recording.current
        assert current is not None
        assert current.file.size() > 0, "the file is open"
        go_on.set()

    run(test)
