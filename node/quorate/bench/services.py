"""A service that takes a given processor time for each message, as a real one does."""

from __future__ import annotations

import time

from quorate.service import ClientSession, ClusteredService

WORK_US = 20


class Working(ClusteredService):
    """Echoes each message after so many microseconds of processor time, 20 unless told.

    It asks a clock, which no real service may: here the time is the point, and nothing of it
    gets into the answer. Processor time, so that being preempted does not count as work done.
    """

    def __init__(self, work_us: str = "") -> None:
        """Take ``work_us`` microseconds for each message."""
        self._work_ns = int(work_us or WORK_US) * 1_000

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Work, then send the message back."""
        del timestamp  # an echo does not depend on when
        now = time.thread_time_ns
        end = now() + self._work_ns
        while now() < end:
            pass
        if session is not None:
            session.offer(message)
