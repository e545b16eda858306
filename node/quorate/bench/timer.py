"""A periodic wake-up of the loop, finer than the loop's own timers.

The timers of libuv count whole milliseconds: an open loop paced by them would measure itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType
from typing import Self

_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_EXPIRATIONS_LENGTH = 8


class _Interval(ctypes.Structure):
    """``struct itimerspec``: period and first expiry, each in seconds and nanoseconds."""

    _fields_ = tuple(  # type: ignore[mutable-override] # ctypes wants it so
        (name, ctypes.c_long) for name in ("period_s", "period_ns", "first_s", "first_ns")
    )


class FineTimer:
    """A context manager; ``tick`` waits for the next beat of a timerfd."""

    def __init__(self, period_s: float) -> None:
        """Beat every ``period_s`` seconds, below one second, from the entry on."""
        assert 0 < period_s < 1, period_s
        self._period_ns = int(period_s * 1e9)
        self._descriptor = -1
        self._beat: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        """Begin to beat.

        Raises:
            OSError: The system has no timer for us.

        """
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._descriptor = descriptor
        interval = _Interval(0, self._period_ns, 0, self._period_ns)
        if libc.timerfd_settime(descriptor, 0, ctypes.byref(interval), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._loop.add_reader(descriptor, self._on_beat)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    async def tick(self) -> None:
        """Wait for the next beat."""
        self._beat = self._loop.create_future()
        await self._beat

    def _on_beat(self) -> None:
        os.read(self._descriptor, _EXPIRATIONS_LENGTH)
        beat, self._beat = self._beat, None
        if beat is not None and not beat.done():
            beat.set_result(None)
