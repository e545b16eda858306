"""A descriptor whose sync hangs until it is told to go on, by the C library's own rules."""

from __future__ import annotations

import ctypes
import os
from typing import Final

from quorate.archive.library_sync import _Request

_NOTIFY_BY_NOTHING: Final = 1


class HangingDescriptor:
    """A pipe that nobody writes to: the library works on one descriptor in order.

    A read that waits for a byte keeps back the sync that was asked for behind it. Once it goes
    on, the sync fails: a pipe has no disk.
    """

    def __init__(self) -> None:
        """Begin the read."""
        self.descriptor, self._writing = os.pipe()
        self._buffer = ctypes.create_string_buffer(1)
        self._request = _Request()
        self._request.descriptor = self.descriptor
        self._request.buffer = ctypes.addressof(self._buffer)
        self._request.length = 1
        self._request.notification.notify = _NOTIFY_BY_NOTHING
        if ctypes.CDLL(None).aio_read(ctypes.byref(self._request)) != 0:
            raise OSError("the C library takes no read")

    def go_on(self) -> None:
        """Let the read end, and then the sync."""
        os.write(self._writing, b"x")
