"""A service that takes as long as its configuration says."""

from __future__ import annotations

import time

from quorate.service.api import ClientSession, ClusteredService


class Spinning(ClusteredService):
    """Echoes each message after some microseconds of work; takes that number as its setting."""

    def __init__(self, work_us: str = "") -> None:
        """Take ``work_us`` for each message; no time without."""
        self._work_ns = int(work_us or "0") * 1000

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Work, then answer."""
        # Reads the clock to waste time: nothing that replicates depends on it.
        until = time.perf_counter_ns() + self._work_ns
        while time.perf_counter_ns() < until:
            pass
        if session is not None:
            session.offer(message)
