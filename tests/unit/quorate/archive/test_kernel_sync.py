"""The kernel's asynchronous data sync: outcome, failure, and life of the queue."""

from __future__ import annotations

import errno
import os
import platform
import select
from pathlib import Path

import pytest

from quorate.archive.kernel_sync import KernelSync

WAIT_MS = 20_000


def wait(sync: KernelSync) -> None:
    poll = select.poll()
    poll.register(sync.fileno(), select.POLLIN)
    assert poll.poll(WAIT_MS), "the sync does not end"


def _sync(sync: KernelSync, descriptor: int) -> None:
    sync.start(descriptor)
    wait(sync)
    assert sync.finish()


def test_one_sync_after_the_other_ends_well(tmp_path: Path) -> None:
    sync = KernelSync()
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert not sync.finish(), "nothing was begun"
    for number in range(20):
        os.pwrite(descriptor, bytes(4096), number * 4096)
        _sync(sync, descriptor)
        assert not sync.finish(), "one outcome each"
    os.close(descriptor)
    sync.close()


def test_a_file_that_cannot_be_synced_is_an_error() -> None:
    sync = KernelSync()
    reading, writing = os.pipe()
    with pytest.raises(OSError, match="Invalid argument") as refused:
        _sync(sync, writing)
    assert refused.value.errno == errno.EINVAL
    os.close(reading)
    os.close(writing)
    sync.close()


def test_a_closed_descriptor_is_refused_at_once(tmp_path: Path) -> None:
    sync = KernelSync()
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.close(descriptor)
    with pytest.raises(OSError, match="io_submit") as refused:
        sync.start(descriptor)
    assert refused.value.errno == errno.EBADF
    sync.close()


def test_closing_gives_the_descriptor_back_once() -> None:
    sync = KernelSync()
    number = sync.fileno()
    sync.close()
    sync.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)


@pytest.mark.parametrize("machine", ["riscv64", "sparc"])
def test_a_processor_whose_numbers_are_not_known_has_none(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(OSError, match=machine):
        KernelSync()
