"""Whatever call of the system fails, whoever uses the archive gets an error of ours.

Every public way into the archive runs on real files again and again; each time another of its
calls of the system is refused, the first, the second and so on to the last.
"""

from __future__ import annotations

import errno
import fcntl
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from quorate.archive.accept_loss import accept_loss
from quorate.archive.archive import Archive
from quorate.archive.files import SystemFiles
from quorate.archive.inspect import iterate_frames, log_end
from quorate.archive.segment import FRAMES_OFFSET, segment_name
from quorate.archive.verify import verify_directory
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState, TruncateLog
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    LOG_START,
    ClusterId,
    LeadershipTermId,
    LogPosition,
    MemberId,
)
from quorate.errors import StorageError, SyncFailed
from quorate_simulation.logs import LogBuilder

SEGMENT_LENGTH = 4096
CALLS = (
    *("open", "close", "pread", "pwrite", "pwritev", "fdatasync", "fsync", "fstat", "fstatvfs"),
    *("listdir", "rename", "unlink", "ftruncate"),
)
"""What an archive asks the system for, beside the lock."""
VOTED = BLANK_NODE_STATE._replace(founded=True, candidate_term_id=LeadershipTermId(3))


class System:
    """Stands in for ``os`` below the archive: counts its calls and refuses one of them.

    It syncs nothing, and closing what was only read is not counted: that loses nothing, and a
    generator that is given up does it where nobody hears.
    """

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.number = 0
        self.refused_at = 0
        self.calls: list[str] = []
        self._writable: set[object] = set()
        for name in CALLS:
            patched.setattr(os, name, self._counted(name, getattr(os, name)))
        patched.setattr(fcntl, "flock", self._counted("flock", fcntl.flock))

    @contextmanager
    def refusing(self, at: int, number: int) -> Iterator[None]:
        """Refuse the call at this place, from 1 on; at 0 none, which only counts."""
        self.refused_at, self.number, self.calls = at, number, []
        try:
            yield
        finally:
            self.refused_at = 0

    def _counted(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **keywords: object) -> object:
            if name == "close" and arguments[0] not in self._writable:
                return real(*arguments)
            self.calls.append(name)
            is_refused = len(self.calls) == self.refused_at
            if is_refused and name != "close":
                raise OSError(self.number, os.strerror(self.number))
            result = None if "sync" in name else real(*arguments, **keywords)
            self._note(name, arguments, result)
            if is_refused:  # the descriptor is gone all the same
                raise OSError(self.number, os.strerror(self.number))
            return result

        return call

    def _note(self, name: str, arguments: tuple[object, ...], result: object) -> None:
        if name == "close":
            self._writable.remove(arguments[0])
        elif name == "open" and isinstance(arguments[1], int) and arguments[1] & os.O_RDWR:
            self._writable.add(result)


class Member:
    """A data directory, and what happens to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = SystemFiles(str(directory), create=True)
        self.builder = LogBuilder(SEGMENT_LENGTH)
        self.opened: Archive | None = None

    @property
    def archive(self) -> Archive:
        assert self.opened is not None
        return self.opened

    def open(self, durability: Durability = Durability.FSYNC) -> None:
        self.opened = Archive.open(
            self.files,
            cluster_id=ClusterId(b"cluster-of-tests"),
            constants=ClusterConstants(segment_length=SEGMENT_LENGTH),
            durability=durability,
            boot_id=bytes(16),
            new_member_id=MemberId(b"n" * 16),
            lock_grace_s=0.0,
        )

    def made(self, *lengths: int) -> AppendToLog:
        frames = [frame for n in lengths for frame in self.builder.frame(bytes(n), 3)]
        return AppendToLog(1, tuple(frames))

    def append(self, *lengths: int) -> None:
        self.archive.persist([self.made(*lengths)])

    def fill(self, durability: Durability = Durability.FSYNC) -> None:
        """Have a log of two segments and a half."""
        self.open(durability)
        self.archive.persist([StoreNodeState(1, VOTED)])
        self.append(*[900] * 10)

    def fill_replicated(self) -> None:
        self.fill(Durability.REPLICATED)

    def fill_and_prepare(self) -> None:
        self.fill()
        while self.archive.prepare_spare():
            pass

    def fill_and_vote(self) -> None:
        self.fill()
        self.archive.finish_node_state()
        self.archive.persist([StoreNodeState(2, VOTED)])

    def fill_and_write(self) -> None:
        self.fill()
        assert self.archive.write_at_once([self.made(10)])

    def stop(self) -> None:
        self.fill()
        self.archive.close_clean()

    def crash(self) -> None:
        """Leave a torn frame and an unfinished spare behind."""
        self.stop()
        self.overwrite(2 * SEGMENT_LENGTH + 3000, b"torn")
        (self.directory / "spare-7.tmp").write_bytes(b"unfinished")

    def damage(self) -> None:
        self.stop()
        self.overwrite(SEGMENT_LENGTH + 100, b"damage")

    def recover(self) -> None:
        self.damage()
        self.open()
        self.archive.close()

    def overwrite(self, position: int, data: bytes) -> None:
        base = position - position % SEGMENT_LENGTH
        with (self.directory / segment_name(base)).open("r+b") as file:
            file.seek(FRAMES_OFFSET + position - base)
            file.write(data)

    def end(self) -> None:
        if self.opened is not None:
            with suppress(StorageError):
                self.opened.close()
        self.files.close()


def has_ended(member: Member) -> None:
    assert member.archive.has_failed
    with pytest.raises(SyncFailed, match="failed before"):
        member.archive.persist([StoreNodeState(9, VOTED)])


def goes_on(member: Member) -> None:
    member.archive.persist([StoreNodeState(9, VOTED)])


def is_free(member: Member) -> None:
    with closing(SystemFiles(str(member.directory))) as files:
        files.lock(0.0)


class Entry(NamedTuple):
    """One way into the archive."""

    prepare: Callable[[Member], object]
    enter: Callable[[Member], object]
    doing: str | tuple[str, ...]
    """What its errors say first."""
    ends: Callable[[Member], None] = has_ended
    """What holds after an error."""


BLANK = Entry(lambda _: None, Member.open, "opening the data directory", is_free)
PERSIST = Entry(Member.fill, Member.append, "persisting")
ENTRIES = {
    "open": BLANK,
    "open stopped": BLANK._replace(prepare=Member.stop),
    "open crashed": BLANK._replace(prepare=Member.crash),
    "open damaged": BLANK._replace(prepare=Member.damage),
    "persist": PERSIST._replace(enter=lambda m: m.append(10)),
    "persist in a spare": PERSIST._replace(
        prepare=Member.fill_and_prepare, enter=lambda m: m.append(900, 900, 900)
    ),
    "persist in a new segment": PERSIST._replace(
        enter=lambda m: m.append(900, 900, 900), doing=("persisting", "preparing a segment")
    ),
    "persist a cut": PERSIST._replace(
        enter=lambda m: m.archive.persist([TruncateLog(1, LOG_START)])
    ),
    "persist a vote": PERSIST._replace(
        enter=lambda m: m.archive.persist([StoreNodeState(1, VOTED)])
    ),
    "write_at_once": PERSIST._replace(enter=lambda m: m.archive.write_at_once([m.made(10)])),
    "begin_sync": Entry(
        Member.fill_and_write, lambda m: m.archive.begin_sync(), "beginning a sync"
    ),
    "discard_founding": Entry(
        Member.fill, lambda m: m.archive.discard_founding(), "discarding the founding frame"
    ),
    "finish_node_state": Entry(
        Member.fill_and_vote, lambda m: m.archive.finish_node_state(), "storing the node state"
    ),
    "idle": Entry(
        Member.fill, lambda m: [m.archive.idle(now_s) for now_s in (0.0, 2.0)], "idle work"
    ),
    "sync_if_due": Entry(
        Member.fill_replicated,
        lambda m: [m.archive.sync_if_due(now_s) for now_s in (0.0, 2.0)],
        "syncing the recording",
    ),
    "sync": Entry(Member.fill_replicated, lambda m: m.archive.sync(), "syncing the recording"),
    "prepare_spare": Entry(Member.fill, lambda m: m.archive.prepare_spare(), "preparing a spare"),
    "read": Entry(
        *(Member.fill, lambda m: m.archive.read(LogPosition(0), 2000), "reading the recording"),
        goes_on,
    ),
    "free_bytes": Entry(
        *(Member.fill, lambda m: m.archive.free_bytes(), "asking for the free space"),
        goes_on,
    ),
    "close_clean": Entry(Member.fill_replicated, lambda m: m.archive.close_clean(), "closing"),
    "close": Entry(Member.fill_replicated, lambda m: m.archive.close(), "closing"),
    "close frees": Entry(Member.fill_replicated, lambda m: m.archive.close(), "closing", is_free),
    "verify": Entry(
        Member.crash, lambda m: verify_directory(m.files), "verifying the data directory", is_free
    ),
    "inspect": Entry(
        Member.stop, lambda m: list(iterate_frames(m.files)), "reading the recording", is_free
    ),
    "end": Entry(Member.stop, lambda m: log_end(m.files), "reading the recording", is_free),
    "recover": Entry(
        *(Member.recover, lambda m: accept_loss(m.files)),
        ("accepting the loss", "reading the recording"),
        is_free,
    ),
}


def test_no_method_of_an_archive_is_left_out() -> None:
    methods = {name for name, _ in inspect.getmembers(Archive, callable) if name[0] != "_"}
    assert methods - {name.split()[0] for name in ENTRIES} == {"end_sync", "fail"}


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ENTRIES)
def test_each_call_that_is_refused_is_an_error_of_ours(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, system, member = ENTRIES[name], System(monkeypatch), Member(tmp_path / "whole")
    entry.prepare(member)
    with system.refusing(0, number):
        entry.enter(member)
        calls = list(system.calls)
    member.end()
    assert calls, "nothing was asked of the system"
    for at, call in enumerate(calls, 1):
        member = Member(tmp_path / str(at))
        entry.prepare(member)
        with system.refusing(at, number), pytest.raises(StorageError) as raised:
            entry.enter(member)
        assert system.calls[:at] == calls[:at], "another run than the one that was counted"
        assert str(raised.value).startswith(entry.doing), f"{call}, call {at} of {calls}"
        assert os.strerror(number) in str(raised.value), f"{call}, call {at} of {calls}"
        entry.ends(member)
        member.end()
