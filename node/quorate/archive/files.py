"""The files of a data directory: the edge below which the archive knows nothing.

``FileSystem`` has two implementations: ``SystemFiles`` here, on descriptors, and the simulated
disk of the tests, which forgets what was not synced. Both raise ``OSError`` with the file's
name; ``storage_error`` translates it once, where the archive is entered.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Sequence
from typing import Protocol

from quorate.archive.mounts import is_copy_on_write
from quorate.errors import DirectoryInUse, DiskFull, StorageError, SyncFailed

LOCK_NAME = "lock"
LOCK_POLL_S = 0.05
BUFFERS_MAX = 512
"""Buffers of one write; the kernel takes at most 1,024."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says where there is no space."""
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL})
"""What it says of a directory that others look after, such as the one above a mounted volume."""


class DataFile(Protocol):
    """One open file of the data directory. Safe to read from several threads at once."""

    @property
    def name(self) -> str:
        """The name it was opened under."""
        ...

    @property
    def descriptor(self) -> int | None:
        """The descriptor of a file of this machine; None for one that the kernel does not know."""
        ...

    def size(self) -> int:
        """Return its present length in bytes."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset`` on; fewer only where the file ends."""
        ...

    def write(self, offset: int, buffers: Sequence[bytes]) -> None:
        """Write the buffers one behind the other from ``offset`` on, all of them."""
        ...

    def sync(self) -> None:
        """Make everything written so far durable, and a changed length with it."""
        ...

    def close(self) -> None:
        """Let go of it; syncs nothing. A second call does nothing."""
        ...


class FileSystem(Protocol):
    """The files of one data directory, which holds no directories of ours yet."""

    @property
    def copy_on_write(self) -> bool:
        """Whether an overwrite may need new space, so that pre-written segments promise none."""
        ...

    def free_bytes(self) -> int:
        """Return how much more the file system takes, as far as it can tell."""
        ...

    def names(self) -> list[str]:
        """Return the names in the directory, sorted."""
        ...

    def open(self, name: str, *, writable: bool = True) -> DataFile:
        """Open an existing file."""
        ...

    def create(self, name: str) -> DataFile:
        """Make a new empty file; it is an error if the name is taken."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, replacing what had it; durable with the directory."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file's name; durable with the directory."""
        ...

    def sync_directory(self) -> None:
        """Make creations, renames and removals durable."""
        ...

    def lock(self, grace_s: float) -> None:
        """Take the directory's lock, waiting for at most ``grace_s`` seconds.

        Raises:
            DirectoryInUse: Another process still holds it.

        """
        ...

    def unlock(self) -> None:
        """Let go of the lock; does nothing where it is not held."""
        ...


def storage_error(error: OSError, doing: str) -> StorageError:
    """Return the error of ours for one of the system's; the caller raises it ``from`` that.

    Args:
        error: What a file operation raised.
        doing: The object and the action, as in "appending to the recording".

    """
    name = f" {error.filename}" if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return DiskFull(
            f"{doing}: no space for{name or ' the data directory'} ({reason}); add some"
        )
    return SyncFailed(f"{doing}:{name} {reason}; the process ends, its files are read anew")


class SystemFile:
    """A file of this machine, by descriptor. Interrupted calls are repeated by the interpreter."""

    __slots__ = ("_descriptor", "name")

    def __init__(self, name: str, descriptor: int) -> None:
        """Own the descriptor from now on."""
        self.name = name
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int | None:
        """The open descriptor."""
        return self._descriptor

    def size(self) -> int:
        """Return its present length in bytes."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset`` on; fewer only where the file ends."""
        try:
            data = os.pread(self._descriptor, length, offset)
            while data and len(data) < length:
                more = os.pread(self._descriptor, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            error.filename = self.name
            raise
        return data

    def write(self, offset: int, buffers: Sequence[bytes]) -> None:
        """Write the buffers one behind the other from ``offset`` on, all of them."""
        try:
            for first in range(0, len(buffers), BUFFERS_MAX):
                part = buffers[first : first + BUFFERS_MAX]
                length = sum(map(len, part))
                written = os.pwritev(self._descriptor, part, offset)
                if written < length:
                    self._write_rest(offset, b"".join(part), written)
                offset += length
        except OSError as error:
            error.filename = self.name
            raise

    def _write_rest(self, offset: int, data: bytes, written: int) -> None:
        """Finish a short write: the next call takes more or says what is the matter."""
        while written < len(data):
            more = os.pwrite(self._descriptor, data[written:], offset + written)
            if more == 0:
                raise OSError(errno.EIO, "a write took no bytes")
            written += more

    def sync(self) -> None:
        """Make everything written so far durable (fdatasync, which covers a changed length)."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            error.filename = self.name
            raise

    def close(self) -> None:
        """Let go of the descriptor; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class SystemFiles:
    """A data directory of this machine."""

    def __init__(self, directory: str, *, create: bool = False) -> None:
        """Open the directory.

        Args:
            directory: Its path.
            create: Make it, and what lies above it, where it does not exist.

        Raises:
            StorageError: It cannot be opened or made.

        """
        self.directory = directory
        self.copy_on_write = False
        self._lock = -1
        self._directory = -1
        try:
            if create:
                make_directory(os.path.abspath(directory))
            self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            self.copy_on_write = is_copy_on_write(directory)
        except OSError as error:
            raise storage_error(error, f"opening data directory {directory}") from error

    def free_bytes(self) -> int:
        """Return how much more the file system takes from a process without privileges."""
        known = os.fstatvfs(self._directory)
        return known.f_bavail * known.f_frsize

    def names(self) -> list[str]:
        """Return the names in the directory, sorted."""
        return sorted(os.listdir(self._directory))

    def open(self, name: str, *, writable: bool = True) -> SystemFile:
        """Open an existing file."""
        flags = os.O_RDWR if writable else os.O_RDONLY
        return SystemFile(name, os.open(name, flags | os.O_NOFOLLOW, dir_fd=self._directory))

    def create(self, name: str) -> SystemFile:
        """Make a new empty file; it is an error if the name is taken."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        return SystemFile(name, os.open(name, flags, 0o600, dir_fd=self._directory))

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, replacing what had it; durable with the directory."""
        os.rename(old, new, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def remove(self, name: str) -> None:
        """Remove a file's name; durable with the directory."""
        os.unlink(name, dir_fd=self._directory)

    def sync_directory(self) -> None:
        """Make creations, renames and removals durable."""
        os.fsync(self._directory)

    def lock(self, grace_s: float) -> None:
        """Take the directory's lock (flock), waiting for at most ``grace_s`` seconds.

        The kernel alone decides who holds it, and frees it with the process; the pid inside
        is for reading only, since in containers every member is process 1.

        Raises:
            DirectoryInUse: Another process still holds it.

        """
        flags = os.O_RDWR | os.O_CREAT
        descriptor = os.open(LOCK_NAME, flags, 0o600, dir_fd=self._directory)
        try:
            self._wait_for_lock(descriptor, grace_s)
            _write_pid(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def _wait_for_lock(self, descriptor: int, grace_s: float) -> None:
        polls_left = int(grace_s / LOCK_POLL_S)
        while not _try_lock(descriptor):
            if polls_left <= 0:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                raise DirectoryInUse(
                    f"data directory {self.directory} is held by process {holder or 'unknown'}; "
                    f"waited {grace_s} s: end that process first"
                )
            polls_left -= 1
            time.sleep(LOCK_POLL_S)

    def unlock(self) -> None:
        """Let go of the lock; does nothing where it is not held."""
        descriptor, self._lock = self._lock, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of the lock and of the directory."""
        self.unlock()
        descriptor, self._directory = self._directory, -1
        if descriptor >= 0:
            os.close(descriptor)


def make_directory(path: str) -> None:
    """Make a directory, and what lies above it, where it is not there; its name is durable then.

    A name that an earlier life made may not have been synced, so that is done at every start.

    Raises:
        OSError: It cannot be made or synced.

    """
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        make_directory(above)
    is_new = True
    try:
        os.mkdir(path, mode=0o700)
    except FileExistsError:
        is_new = False
    try:
        _sync_directory(above)
    except OSError as error:
        if is_new or error.errno not in _NOT_OURS:
            raise


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_pid(descriptor: int) -> None:
    pid = f"{os.getpid()}\n".encode()
    try:
        os.pwrite(descriptor, pid, 0)
        os.ftruncate(descriptor, len(pid))
    except OSError as error:
        # For reading only: a full disk must not keep a member from starting.
        if error.errno not in FULL:
            raise


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
