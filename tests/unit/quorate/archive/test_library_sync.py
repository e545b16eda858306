"""The C library's asynchronous data sync: outcome, failure, and who may have one.

Each in a process of its own: the signal belongs to the process, and all its threads must block it.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import platform
import select
import signal
import threading
from pathlib import Path

import pytest

from quorate.archive.library_sync import (
    SYNC_SIGNAL,
    LibrarySync,
    hold_sync_signal,
    thread_that_takes,
)
from quorate_forked.forked import forked
from quorate_forked.hanging import HangingDescriptor

WAIT_S = 20.0


def new_sync() -> LibrarySync:
    hold_sync_signal()
    return LibrarySync()


def wait(sync: LibrarySync) -> None:
    poll = select.poll()
    poll.register(sync.fileno(), select.POLLIN)
    assert poll.poll(WAIT_S * 1000), "the sync does not end"


def _sync(sync: LibrarySync, descriptor: int) -> None:
    sync.start(descriptor)
    wait(sync)
    assert sync.finish()


def test_one_sync_after_the_other_ends_well(tmp_path: Path) -> None:
    def part() -> None:
        sync = new_sync()
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        assert not sync.finish(), "nothing was begun"
        for number in range(20):
            os.pwrite(descriptor, bytes(4096), number * 4096)
            _sync(sync, descriptor)
            assert not sync.finish(), "one outcome each"
        os.close(descriptor)
        sync.close(WAIT_S)

    forked(part)


def test_a_file_that_cannot_be_synced_is_an_error() -> None:
    def part() -> None:
        sync = new_sync()
        _, writing = os.pipe()
        with pytest.raises(OSError, match="Invalid argument") as refused:
            _sync(sync, writing)
        assert refused.value.errno == errno.EINVAL
        # The next one has an outcome of its own.
        descriptor = os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
        _sync(sync, descriptor)
        sync.close(WAIT_S)

    forked(part)


def test_a_closed_descriptor_is_refused_at_once(tmp_path: Path) -> None:
    def part() -> None:
        sync = new_sync()
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.close(descriptor)
        with pytest.raises(OSError, match="aio_fsync") as refused:
            sync.start(descriptor)
        assert refused.value.errno == errno.EBADF
        sync.close(WAIT_S)

    forked(part)


def test_a_signal_of_somebody_else_is_no_outcome(tmp_path: Path) -> None:
    def part() -> None:
        sync = new_sync()
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.pwrite(descriptor, bytes(32 << 20), 0)
        sync.start(descriptor)
        os.kill(os.getpid(), SYNC_SIGNAL)
        ended = False
        while not ended:
            wait(sync)
            ended = sync.finish()
        _sync(sync, descriptor)
        sync.close(WAIT_S)

    forked(part)


def test_a_signal_while_nothing_runs_is_no_outcome(tmp_path: Path) -> None:
    """Nor is the second one where two were sent, however the sync went meanwhile."""

    def part() -> None:
        sync = new_sync()
        os.kill(os.getpid(), SYNC_SIGNAL)
        wait(sync)
        assert not sync.finish()
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        sync.start(descriptor)
        os.kill(os.getpid(), SYNC_SIGNAL)
        outcomes = []
        for _ in range(2):
            wait(sync)
            outcomes.append(sync.finish())
        assert sorted(outcomes) == [False, True]
        sync.close(WAIT_S)

    forked(part)


def test_closing_waits_for_what_runs_and_lets_another_begin(tmp_path: Path) -> None:
    def part() -> None:
        descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        for _ in range(3):
            sync = new_sync()
            number = sync.fileno()
            os.pwrite(descriptor, bytes(1 << 20), 0)
            sync.start(descriptor)
            sync.close(WAIT_S)
            sync.close(WAIT_S)
            with pytest.raises(OSError, match="descriptor"):
                os.fstat(number)

    forked(part)


def test_a_sync_that_hangs_is_waited_for_within_a_bound_and_gives_nothing_back() -> None:
    def part() -> None:
        sync, disk = new_sync(), HangingDescriptor()
        number = sync.fileno()
        sync.start(disk.descriptor)
        for _ in range(2):
            with pytest.raises(TimeoutError, match="not ended within"):
                sync.close(0.01)
            os.fstat(number)
            with pytest.raises(OSError, match="already"):
                LibrarySync()
        disk.go_on()
        sync.close(WAIT_S)
        LibrarySync().close(WAIT_S)

    forked(part)


def test_the_memory_of_a_sync_that_hangs_is_not_given_to_others() -> None:
    """The library writes the outcome into it, whatever has become of the object."""

    def part() -> None:
        sync, disk = new_sync(), HangingDescriptor()
        length = ctypes.sizeof(sync._request)
        address, aio_error = ctypes.addressof(sync._request), sync._aio_error
        sync.start(disk.descriptor)
        del sync
        gc.collect()
        others = [ctypes.create_string_buffer(length) for _ in range(100_000)]
        assert aio_error(ctypes.c_void_p(address)) == errno.EINPROGRESS
        disk.go_on()
        while aio_error(ctypes.c_void_p(address)) == errno.EINPROGRESS:
            os.sched_yield()
        assert aio_error(ctypes.c_void_p(address)) == errno.EINVAL, "a pipe is not synced"
        assert not any(any(other.raw) for other in others)

    forked(part)


def test_there_is_one_in_a_process() -> None:
    def part() -> None:
        sync = new_sync()
        with pytest.raises(OSError, match="already") as refused:
            LibrarySync()
        assert refused.value.errno == errno.EBUSY
        sync.close(WAIT_S)
        LibrarySync().close(WAIT_S)

    forked(part)


def test_a_thread_that_would_take_the_signal_and_die_of_it_forbids_it() -> None:
    def part() -> None:
        end = threading.Event()
        early = threading.Thread(target=end.wait)
        early.start()
        hold_sync_signal()
        with pytest.raises(OSError, match=str(early.native_id)) as refused:
            LibrarySync()
        assert refused.value.errno == errno.EPERM
        end.set()
        early.join()
        later = threading.Thread(target=threading.Event().wait, daemon=True)
        later.start()
        assert thread_that_takes(SYNC_SIGNAL) is None
        LibrarySync().close(WAIT_S)

    forked(part)


def test_without_holding_the_signal_there_is_none() -> None:
    def part() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SYNC_SIGNAL})
        with pytest.raises(OSError, match="does not block"):
            LibrarySync()

    forked(part)


def test_another_c_library_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    with pytest.raises(OSError, match="glibc") as refused:
        LibrarySync()
    assert refused.value.errno == errno.ENOSYS
