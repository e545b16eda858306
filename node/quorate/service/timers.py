"""Timers ordered by deadline, then timer id, driven by the log's time alone.

A frame with timestamp T takes the timers that are due by T when it begins; one set while they
fire, or by the frame itself, waits for the next frame however early its deadline. So a timer
that keeps setting itself in the past can never stop the log.
"""

from __future__ import annotations

import heapq
from collections import deque

_STALE_MAX = 64
"""Heap rows of timers that were cancelled or moved, tolerated beyond the number pending."""


class TimerQueue:
    """The pending timers of a service.

    Invariant:
        Every pending timer has a row in the heap; a row that does not match what is pending
        is stale and is dropped when it comes up.
    """

    __slots__ = ("_due", "_due_order", "_heap", "_pending")

    def __init__(self) -> None:
        """Begin without timers."""
        self._pending: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []
        self._due: dict[int, int] = {}
        self._due_order: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        """Return how many timers are pending, those due in the frame being applied included."""
        return len(self._pending) + len(self._due)

    @property
    def next_deadline(self) -> int | None:
        """The earliest deadline that a later frame has to reach, or None."""
        heap = self._heap
        while heap and self._pending.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def is_pending(self, timer_id: int) -> bool:
        """Tell whether this timer is to fire."""
        return timer_id in self._pending or timer_id in self._due

    def schedule(self, timer_id: int, deadline: int) -> None:
        """Have the timer fire at the first frame to come that reaches ``deadline``."""
        self._due.pop(timer_id, None)
        self._pending[timer_id] = deadline
        heapq.heappush(self._heap, (deadline, timer_id))
        if len(self._heap) > 2 * len(self._pending) + _STALE_MAX:
            self._heap = [(deadline, timer_id) for timer_id, deadline in self._pending.items()]
            heapq.heapify(self._heap)

    def cancel(self, timer_id: int) -> None:
        """Forget the timer, if it is pending."""
        self._due.pop(timer_id, None)
        self._pending.pop(timer_id, None)

    def begin_frame(self, timestamp: int) -> bool:
        """Take aside what is due by ``timestamp``, to be fired with ``pop_due``; tell if any is."""
        assert not self._due, f"{len(self._due)} timers of an earlier frame have not fired"
        heap, pending = self._heap, self._pending
        if not heap or heap[0][0] > timestamp:
            return False
        self._due_order.clear()
        while heap and heap[0][0] <= timestamp:
            deadline, timer_id = heapq.heappop(heap)
            if pending.get(timer_id) == deadline:
                del pending[timer_id]
                self._due[timer_id] = deadline
                self._due_order.append((deadline, timer_id))
        return bool(self._due)

    def pop_due(self) -> tuple[int, int] | None:
        """Return deadline and id of the next timer to fire, no longer pending, or None."""
        while self._due_order:
            deadline, timer_id = self._due_order.popleft()
            if self._due.pop(timer_id, None) is not None:
                return deadline, timer_id
        return None

    def rows(self) -> list[tuple[int, int]]:
        """Return deadline and id of every pending timer, in the order in which they will fire.

        Only between frames.
        """
        assert not self._due, "rows of timers while a frame is being applied"
        return sorted((deadline, timer_id) for timer_id, deadline in self._pending.items())
