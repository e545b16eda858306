"""Secrets that are read anew whenever one is asked for, so that a file replaced takes effect.

Whoever replaces the file of a running member, as Kubernetes does with a mounted Secret, need not
restart it: a member that was restarted with the new one would find nobody who knows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from quorate.errors import ConfigurationError
from quorate.runtime.events import Event, log_event

LOGGER = logging.getLogger("quorate.runtime")


class Credential:
    """What a file holds now; what it held last while it cannot be read."""

    def __init__(self, read: Callable[[], bytes | None]) -> None:
        """Read it for the first time.

        Args:
            read: Returns the bytes, None where no file is configured.

        Raises:
            ConfigurationError: It cannot be read, or holds nothing usable.

        """
        self._read = read
        self._last = read()
        self._is_readable = True

    def __call__(self) -> bytes | None:
        """Return the bytes; None where no file is configured. Blocking: on a small file."""
        try:
            self._last = self._read()
            self._is_readable = True
        except ConfigurationError as error:
            if self._is_readable:
                log_event(LOGGER, Event.CREDENTIAL_UNREADABLE, detail=str(error))
            self._is_readable = False
        return self._last
