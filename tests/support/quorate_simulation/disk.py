"""A disk that forgets: what was not synced survives a power cut in any part and any order.

``SimulatedDisk`` is the archive's second ``FileSystem``. It keeps, besides what the page cache
shows, what each un-synced sector held before and in between, and every operation on the
directory since its last sync. A power cut then picks, with the random source given to it, one
of the versions of every such sector and a subset of the directory operations.

It also fails on demand: a crash at the n-th operation, an error from a hook, a full disk, a
flipped bit. It is deterministic: the same calls and the same random source, the same disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from quorate.errors import DirectoryInUse

SECTOR_LENGTH = 512
VERSIONS_MAX = 4


class SimulatedCrash(BaseException):
    """The process is gone in the middle of an operation; nothing may catch this and go on."""


class Operation(NamedTuple):
    """One operation that changes something, as hooks and recordings see it."""

    kind: str
    """create, write, sync, rename, remove or sync-directory."""
    name: str
    offset: int
    length: int


FaultHook = Callable[[Operation], OSError | None]


class _Node:
    """One file's content, whatever names it has."""

    __slots__ = ("data", "durable_size", "lost", "versions")

    def __init__(self) -> None:
        self.data = bytearray()
        """What the page cache shows."""
        self.durable_size = 0
        self.versions: dict[int, list[bytes]] = {}
        """Un-synced sector → what it held at the last sync, then what it held in between."""
        self.lost: dict[int, bytes] = {}
        """Sector whose sync failed: clean in the cache, but this is what the disk holds."""

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        for sector in range(offset // SECTOR_LENGTH, -(-end // SECTOR_LENGTH)):
            start = sector * SECTOR_LENGTH
            present = bytes(self.data[start : start + SECTOR_LENGTH])
            versions = self.versions.get(sector)
            if versions is None:
                self.versions[sector] = [self.lost.pop(sector, present)]
            elif len(versions) < VERSIONS_MAX:
                versions.append(present)
        if end > len(self.data):
            self.data.extend(bytes(end - len(self.data)))
        self.data[offset:end] = data

    def sync(self) -> None:
        self.versions.clear()
        self.durable_size = len(self.data)

    def fail_sync(self, random: Random) -> None:
        """Forget that sectors are dirty although only some of them reached the disk."""
        for sector, versions in self.versions.items():
            if random.random() < 0.5:
                self.lost[sector] = versions[0]
        self.versions.clear()

    def cut_power(self, random: Random) -> None:
        """Keep of every un-synced sector one of the versions that it had."""
        size = random.choice((self.durable_size, len(self.data)))
        for sector, versions in self.versions.items():
            which = random.randrange(len(versions) + 1)
            if which < len(versions):
                self._put(sector, versions[which])
        for sector, content in self.lost.items():
            self._put(sector, content)
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))
        self.versions.clear()
        self.lost.clear()
        self.durable_size = len(self.data)

    def _put(self, sector: int, content: bytes) -> None:
        start = sector * SECTOR_LENGTH
        length = min(SECTOR_LENGTH, len(self.data) - start)
        self.data[start : start + length] = content.ljust(SECTOR_LENGTH, b"\0")[:length]

    def flip(self, offset: int, mask: int) -> None:
        """Change a byte on the medium: every version of it that could come back."""
        self.data[offset] ^= mask
        sector, inside = divmod(offset, SECTOR_LENGTH)
        versions = self.versions.get(sector, [])
        if sector in self.lost:
            versions = [self.lost[sector]]
        for index, version in enumerate(versions):
            if inside < len(version):
                changed = bytearray(version)
                changed[inside] ^= mask
                versions[index] = bytes(changed)
        if sector in self.lost:
            self.lost[sector] = versions[0]


class SimulatedFile:
    """An open file of a simulated disk; dead once the process that opened it is."""

    __slots__ = ("_disk", "_life", "_node", "is_writable", "name")

    def __init__(self, disk: SimulatedDisk, name: str, node: _Node, *, writable: bool) -> None:
        self.name = name
        self._disk = disk
        self._node: _Node | None = node
        self._life = disk.life
        self.is_writable = writable
        disk.open_files.append(self)

    @property
    def descriptor(self) -> int | None:
        """None: no kernel knows this file."""
        return None

    def size(self) -> int:
        """Return its present length in bytes."""
        return len(self._open_node().data)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``offset`` on."""
        return bytes(self._open_node().data[offset : offset + length])

    def write(self, offset: int, buffers: Sequence[bytes]) -> None:
        """Write the buffers one behind the other; a crash in between leaves a part."""
        node = self._open_node()
        if not self.is_writable:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self.name)
        data = b"".join(buffers)
        disk = self._disk
        if disk.begin(Operation("write", self.name, offset, len(data))):
            node.write(offset, data[: disk.random.randrange(len(data) + 1)])
            raise SimulatedCrash
        disk.take_space(self.name, offset + len(data) - len(node.data))
        node.write(offset, data)

    def sync(self) -> None:
        """Make what was written durable; a failed one loses some of it for good."""
        node = self._open_node()
        disk = self._disk
        try:
            if disk.begin(Operation("sync", self.name, 0, 0)):
                raise SimulatedCrash
        except OSError:
            node.fail_sync(disk.random)
            raise
        node.sync()

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._node is not None and self._life == self._disk.life:
            self._disk.open_files.remove(self)
        self._node = None

    def _open_node(self) -> _Node:
        if self._node is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self.name)
        self._disk.check_alive(self._life)
        return self._node


class SimulatedDisk:
    """One data directory. Survives the processes that use it; one at a time uses it."""

    def __init__(self, random: Random, *, capacity: int | None = None) -> None:
        """Start with an empty directory.

        Args:
            random: Decides what a crash in the middle of a write and a failed sync leave.
            capacity: Bytes that fit, None for any number.

        """
        self.random = random
        self.capacity = capacity
        self.copy_on_write = False
        self.life = 0
        self.operations = 0
        """Operations begun so far, over all lives."""
        self.crash_at: int | None = None
        """The operation with this number does not complete: ``SimulatedCrash``."""
        self.fault: FaultHook | None = None
        """Asked before every operation; the error that it returns is raised."""
        self.recorded: list[Operation] | None = None
        """Set to a list to have every operation noted."""
        self.open_files: list[SimulatedFile] = []
        """What this life has open."""
        self._names: dict[str, _Node] = {}
        self._durable_names: dict[str, _Node] = {}
        self._unsynced: list[tuple[str, str, _Node | None]] = []
        self._locked = False
        self._crashed = False

    # ------------------------------------------------------------------------- FileSystem

    def free_bytes(self) -> int:
        """Return what is left of the capacity."""
        if self.capacity is None:
            return 1 << 60
        return max(0, self.capacity - self.used_bytes)

    @property
    def used_bytes(self) -> int:
        """Bytes that all files take."""
        return sum(len(node.data) for node in self._names.values())

    def names(self) -> list[str]:
        """Return the names in the directory, sorted."""
        self.check_alive(self.life)
        return sorted(self._names)

    def open(self, name: str, *, writable: bool = True) -> SimulatedFile:
        """Open an existing file."""
        self.check_alive(self.life)
        return SimulatedFile(self, name, self._node(name), writable=writable)

    def create(self, name: str) -> SimulatedFile:
        """Make a new empty file."""
        if name in self._names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        self._begin_or_crash(Operation("create", name, 0, 0))
        self.take_space(name, 1)
        node = _Node()
        self._change("", name, node)
        return SimulatedFile(self, name, node, writable=True)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; one operation, whole or not at all."""
        node = self._node(old)
        self._begin_or_crash(Operation("rename", old, 0, 0))
        self._change(old, new, node)

    def remove(self, name: str) -> None:
        """Remove a name."""
        self._node(name)
        self._begin_or_crash(Operation("remove", name, 0, 0))
        self._change(name, "", None)

    def sync_directory(self) -> None:
        """Make creations, renames and removals durable."""
        self._begin_or_crash(Operation("sync-directory", "", 0, 0))
        self._durable_names = dict(self._names)
        self._unsynced.clear()

    def lock(self, grace_s: float) -> None:
        """Take the lock, which ends with the process."""
        self.check_alive(self.life)
        if self._locked:
            raise DirectoryInUse(f"the simulated directory is held; waited {grace_s} s")
        self._locked = True

    def unlock(self) -> None:
        """Let go of the lock; also by a process that is dead."""
        if not self._crashed:
            self._locked = False

    # ------------------------------------------------------------------------------ faults

    def crash_process(self) -> None:
        """End the process; what it wrote stays in the page cache."""
        self.life += 1
        self.open_files = []
        self._locked = False
        self._crashed = False
        self.crash_at = None

    def power_cut(self, random: Random) -> None:
        """End the process and lose the page cache: any part of what was not synced survives."""
        names = dict(self._durable_names)
        changed = [node for _, _, node in self._unsynced if node is not None]
        nodes = {id(node): node for node in (*self._names.values(), *names.values(), *changed)}
        for old, new, node in self._unsynced:
            if random.random() < 0.5:
                _apply(names, old, new, node)
        for node in nodes.values():
            node.cut_power(random)
        self._names = names
        self._durable_names = dict(names)
        self._unsynced.clear()
        self.crash_process()

    def flip(self, name: str, offset: int, mask: int = 0xFF) -> None:
        """Rot one byte of a file, in the cache and on the medium."""
        self._node(name).flip(offset, mask)

    def content(self, name: str) -> bytes:
        """Return a file as the page cache shows it."""
        return bytes(self._node(name).data)

    def uncertain(self, name: str) -> dict[int, list[bytes]]:
        """Return what a power cut may leave of a file instead of what the page cache shows.

        Returns:
            By the offset of a sector, what it may hold else; only what differs.

        """
        node = self._node(name)
        versions = {**node.versions, **{sector: [node.lost[sector]] for sector in node.lost}}
        found: dict[int, list[bytes]] = {}
        for sector, held in versions.items():
            start = sector * SECTOR_LENGTH
            present = bytes(node.data[start : start + SECTOR_LENGTH])
            others = [other for version in held if (other := _padded(version)) != _padded(present)]
            if others:
                found[start] = others
        return found

    @property
    def uncertain_names(self) -> set[str]:
        """Names that a power cut may take, or bring back."""
        return {name for old, new, _ in self._unsynced for name in (old, new) if name}

    def put(self, name: str, content: bytes) -> None:
        """Place a synced file into the directory."""
        node = _Node()
        node.data = bytearray(content)
        node.durable_size = len(content)
        self._names[name] = self._durable_names[name] = node

    def copy(self) -> SimulatedDisk:
        """Return a disk of its own with the same synced content; faults are not copied."""
        twin = SimulatedDisk(self.random, capacity=self.capacity)
        for name, node in self._names.items():
            twin.put(name, bytes(node.data))
        return twin

    # -------------------------------------------------------------------------- for files

    def check_alive(self, life: int) -> None:
        """Refuse what a dead process does."""
        if self._crashed or life != self.life:
            raise SimulatedCrash

    def begin(self, operation: Operation) -> bool:
        """Count an operation; True when the process dies in it.

        Raises:
            OSError: The fault hook wants it.

        """
        self.check_alive(self.life)
        self.operations += 1
        if self.recorded is not None:
            self.recorded.append(operation)
        if self.crash_at is not None and self.operations >= self.crash_at:
            self._crashed = True
            return True
        error = self.fault(operation) if self.fault is not None else None
        if error is not None:
            error.filename = operation.name
            raise error
        return False

    def take_space(self, name: str, growth: int) -> None:
        """Refuse growth beyond the capacity."""
        if growth > 0 and self.capacity is not None and self.used_bytes + growth > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def _begin_or_crash(self, operation: Operation) -> None:
        if self.begin(operation):
            raise SimulatedCrash

    def _change(self, old: str, new: str, node: _Node | None) -> None:
        _apply(self._names, old, new, node)
        self._unsynced.append((old, new, node))

    def _node(self, name: str) -> _Node:
        node = self._names.get(name)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return node


def _padded(content: bytes) -> bytes:
    """Return a sector's content as a whole sector: what was never written is zeros."""
    return content.ljust(SECTOR_LENGTH, b"\0")


def _apply(names: dict[str, _Node], old: str, new: str, node: _Node | None) -> None:
    """Carry out one directory operation: creation, rename or removal."""
    if old:
        names.pop(old, None)
    if new and node is not None:
        names[new] = node
