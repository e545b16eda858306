"""Says where the loop's thread stands when a turn does not end.

A callback of the service that never returns stops everything that could tell of it: status,
metrics and alarms are served by the same loop. So a thread of its own looks, and writes a line.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from quorate.runtime.events import Event, log_event

LOGGER = logging.getLogger("quorate.runtime")
LOOKS: Final = 4
"""So many looks have to find the same turn: one that the process slept through shows nothing."""
FRAMES_SHOWN: Final = 8


class HangingTurns:
    """Looks at the turns of one loop from another thread."""

    def __init__(
        self, turn_began_ns: Callable[[], int], limit_ns: int, *, seat: int, thread_id: int
    ) -> None:
        """Prepare.

        Args:
            turn_began_ns: Tells by a clock when the present turn began; 0 between two turns.
            limit_ns: After how long a turn is said to hang, about; then once for that turn.
            seat: Of this member.
            thread_id: Of the loop's thread.

        """
        self._turn_began_ns = turn_began_ns
        self._pause_s = limit_ns / LOOKS / 1e9
        self._seat = seat
        self._thread_id = thread_id
        self._turn = 0
        self._looks = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hanging-turns", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> None:
        """Tell if the turn found the last times still runs."""
        turn = self._turn_began_ns()
        self._looks = self._looks + 1 if turn and turn == self._turn else 0
        self._turn = turn
        if self._looks == LOOKS:
            seconds = round(LOOKS * self._pause_s, 1)
            where = self._where()
            log_event(LOGGER, Event.LOOP_HANGS, seat=self._seat, seconds=seconds, where=where)

    def _where(self) -> str:
        """Return the innermost calls of the loop's thread, the last one first."""
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - documented, if odd
        calls = traceback.extract_stack(frame)[-FRAMES_SHOWN:]
        return "; ".join(f"{call.name} ({call.filename}:{call.lineno})" for call in calls[::-1])

    def _run(self) -> None:
        while not self._stopping.wait(self._pause_s):
            self.look()
