"""A data sync that runs beside the loop, in a thread of the C library that needs no interpreter.

glibc carries ``aio_fsync`` out in a native thread of its own and tells the end by a signal, which
arrives through a signalfd that the loop watches as any other descriptor. Neither costs a
hand-over of the interpreter's lock, for which a Python thread queues beside a busy loop.

The kernel's own queue (``io_submit``) did this before. Its worker runs on the processor of whoever
submitted, so beside a busy loop a sync waited for a turn of the scheduler: a median of 4 ms,
here 0.15. And a process that has such a queue gives up its sockets late when it is killed, since
the queue goes first: 32 ms later (median; once 400), in which nobody knows that a leader is dead.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import platform
import signal
from pathlib import Path
from typing import ClassVar, Final

SYNC_SIGNAL: Final = signal.SIGRTMIN + 5
"""Tells of the end of a sync. All threads of the process have to block it."""
WAIT_S = 0.05
"""Of one look at a sync that is waited for."""
_NOTICE_BYTES = 128
"""``struct signalfd_siginfo``."""
_NOTIFY_BY_SIGNAL: Final = 0
_TASKS = Path("/proc/self/task")


class _Duration(ctypes.Structure):
    """``struct timespec`` of <time.h>, 64 bits."""

    _fields_ = [  # type: ignore[mutable-override] # ctypes wants it so
        ("seconds", ctypes.c_int64),
        ("nanoseconds", ctypes.c_int64),
    ]


class _Notification(ctypes.Structure):
    """``struct sigevent`` of <signal.h>, 64 bits."""

    _fields_ = [  # type: ignore[mutable-override] # ctypes wants it so
        ("value", ctypes.c_uint64),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_int * 12),
    ]


class _Request(ctypes.Structure):
    """``struct aiocb`` of glibc's <aio.h>, 64 bits."""

    _fields_ = [  # type: ignore[mutable-override] # ctypes wants it so
        ("descriptor", ctypes.c_int),
        ("operation", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("notification", _Notification),
        ("library_s_own", ctypes.c_byte * 32),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_byte * 32),
    ]


def hold_sync_signal() -> None:
    """Block the signal in this thread and in all that it starts.

    A process calls it before it has other threads: one that takes the signal would end it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {SYNC_SIGNAL})


class LibrarySync:
    """One data sync at a time, and one such object in a process. Belongs to one thread.

    Invariant:
        Between ``start`` and the ``finish`` that returns True the file stays open.
    """

    __slots__ = (
        "_aio_error",
        "_aio_fsync",
        "_aio_return",
        "_free",
        "_notices",
        "_reference",
        "_request",
        "_runs",
    )

    _is_taken: ClassVar[bool] = False
    """The signal is the process's, so only one can wait for it."""

    def __init__(self) -> None:
        """Prepare.

        Raises:
            OSError: There is none here: another system or C library, a thread that does not block
                the signal (see ``hold_sync_signal``), or there is one already.

        """
        if platform.libc_ver()[0] != "glibc" or ctypes.sizeof(ctypes.c_void_p) != 8:  # noqa: PLR2004
            raise OSError(errno.ENOSYS, "no asynchronous sync known but that of glibc, 64 bits")
        if LibrarySync._is_taken:
            raise OSError(errno.EBUSY, "this process has an asynchronous sync already")
        open_thread = thread_that_takes(SYNC_SIGNAL)
        if open_thread is not None:
            raise OSError(errno.EPERM, f"thread {open_thread} does not block {SYNC_SIGNAL}")
        # PyDLL keeps the interpreter's lock: none of these calls waits.
        library = ctypes.PyDLL(None, use_errno=True)
        signals = ctypes.c_uint64(1 << (SYNC_SIGNAL - 1))
        self._notices = library.signalfd(-1, ctypes.byref(signals), os.O_NONBLOCK | os.O_CLOEXEC)
        if self._notices < 0:
            raise _last_error("signalfd")
        LibrarySync._is_taken = True
        # Not the interpreter's memory: the library writes the outcome into it when the sync has
        # ended, and a process that fails does not wait for that.
        library.calloc.restype = ctypes.c_void_p
        self._request = _Request.from_address(library.calloc(1, ctypes.sizeof(_Request)))
        self._free = library.free
        self._request.notification.signal = SYNC_SIGNAL
        self._request.notification.notify = _NOTIFY_BY_SIGNAL
        self._reference = ctypes.byref(self._request)
        self._aio_fsync = library.aio_fsync
        self._aio_error = library.aio_error
        self._aio_return = library.aio_return
        self._runs = False
        """Whether there is a sync whose outcome was not taken yet."""

    def fileno(self) -> int:
        """Return the descriptor that is readable when a sync has ended."""
        return int(self._notices)

    def start(self, descriptor: int) -> None:
        """Begin a data sync of an open file.

        Raises:
            OSError: The library does not take it.

        """
        self._request.descriptor = descriptor
        if self._aio_fsync(os.O_DSYNC, self._reference) != 0:
            raise _last_error("aio_fsync")
        self._runs = True

    def finish(self) -> bool:
        """Take the outcome; tell whether there was one.

        Anybody may send the signal, so one says only that it is time to look.

        Raises:
            OSError: The sync failed. What the file holds now is unknown.

        """
        try:
            os.read(self._notices, _NOTICE_BYTES)
        except BlockingIOError:
            return False
        if not self._runs:
            return False
        result = self._aio_error(self._reference)
        if result == errno.EINPROGRESS:
            return False
        self._runs = False
        self._aio_return(self._reference)
        if result:
            raise OSError(result, os.strerror(result))
        return True

    def close(self, timeout_s: float) -> None:
        """Wait for a sync that still runs, and give the descriptor and the memory back.

        A second call does nothing. Any thread may call it once nobody calls ``finish`` any more.

        Raises:
            TimeoutError: It runs still; nothing was given back, and the file must stay open.

        Blocking:
            For at most ``timeout_s``, without the interpreter's lock.

        """
        if self._notices < 0:
            return
        if not self._ends_within(timeout_s):
            raise TimeoutError(f"a sync has not ended within {timeout_s} s")
        os.close(self._notices)
        self._notices = -1
        self._free(self._reference)
        LibrarySync._is_taken = False

    def _ends_within(self, timeout_s: float) -> bool:
        """Wait until nothing runs; False where something does after that time."""
        requests = (ctypes.c_void_p * 1)(ctypes.addressof(self._request))
        wait = ctypes.CDLL(None, use_errno=True).aio_suspend
        at_most = ctypes.byref(_Duration(0, int(WAIT_S * 1e9)))
        waits_left = math.ceil(timeout_s / WAIT_S)
        while self._aio_error(self._reference) == errno.EINPROGRESS:
            if waits_left <= 0:
                return False
            # A signal ends one early; there are enough of them.
            waits_left -= 1
            wait(requests, 1, at_most)
        return True


def thread_that_takes(number: int) -> int | None:
    """Return a thread of this process that does not block this signal; None if all do."""
    for task in _TASKS.iterdir():
        try:
            lines = (task / "status").read_text(encoding="ascii").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        blocked = next(line for line in lines if line.startswith("SigBlk:"))
        if not int(blocked.split()[1], 16) >> (number - 1) & 1:
            return int(task.name)
    return None


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno() or errno.EIO
    return OSError(number, f"{call}: {os.strerror(number)}")
