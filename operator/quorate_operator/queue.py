"""The work queue: which ClusterService is reconciled when.

One reconciliation of a key at a time; wakes that come meanwhile become one more. A key whose
reconciliation failed waits, longer each time. The queue is bounded: what does not fit is dropped
and counted, and the next resync brings it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from quorate.clock import Clock
from quorate_operator.backoff import grown_s, spread_s

KEYS_MAX = 10_000
GAP_S = 0.2
"""From the end of a reconciliation to the next one of the same key, however often it is woken."""
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 15.0
_S = 1e-9


class Key(NamedTuple):
    """A ClusterService."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a reconciliation ended."""

    again_s: float | None = None
    """Look again by then, whatever happens; None: when woken."""
    failed: bool = False
    """Wait longer each time in a row; ``again_s`` is then the shortest wait."""
    forget: bool = False
    """There is nothing to look after under this key."""


@dataclass(slots=True)
class _Entry:
    due_s: float | None = None
    not_before_s: float = 0.0
    failures: int = 0
    is_running: bool = False
    is_woken: bool = False
    """While it ran."""
    is_changed: bool = False
    """By its user while it ran: what fails may have been carried out for the state before."""


class Schedule:
    """When each key is due: pure, times in seconds of one clock that never goes back.

    Invariant:
        A key that was woken is due, runs, or waits for its back-off to end; never lost.

    """

    def __init__(self, chance: Callable[[], float], keys_max: int = KEYS_MAX) -> None:
        """Take the source of jitter, from 0 to 1, and the bound."""
        self._chance = chance
        self._keys_max = keys_max
        self._entries: dict[Key, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def known(self) -> list[Key]:
        """Return all keys that are looked after."""
        return list(self._entries)

    def depth(self, now_s: float) -> int:
        """Return how many keys are due and not running."""
        entries = self._entries.values()
        return sum(
            not entry.is_running and entry.due_s is not None and entry.due_s <= now_s
            for entry in entries
        )

    def wake(self, key: Key, now_s: float, *, at_once: bool = False) -> bool:
        """Make a key due as soon as its back-off allows; return False if there is no room.

        Args:
            key: What to reconcile.
            now_s: Now.
            at_once: Its user changed it, so that what failed before may work: end the back-off.

        """
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._keys_max:
                return False
            entry = self._entries[key] = _Entry()
        if at_once:
            entry.failures, entry.not_before_s = 0, now_s
            entry.is_changed = True
        if entry.is_running:
            entry.is_woken = True
        else:
            wanted = max(now_s, entry.not_before_s)
            entry.due_s = wanted if entry.due_s is None else min(entry.due_s, wanted)
        return True

    def take(self, now_s: float) -> Key | None:
        """Return the key that has been due for longest, as running; None if none is due."""
        due = [
            (entry.due_s, key)
            for key, entry in self._entries.items()
            if not entry.is_running and entry.due_s is not None and entry.due_s <= now_s
        ]
        if not due:
            return None
        _, key = min(due)
        entry = self._entries[key]
        entry.is_running, entry.is_woken, entry.is_changed, entry.due_s = True, False, False, None
        return key

    def next_due_s(self) -> float | None:
        """Return when the next key falls due; None if none does."""
        waiting = (e.due_s for e in self._entries.values() if not e.is_running)
        return min((due for due in waiting if due is not None), default=None)

    def done(self, key: Key, now_s: float, verdict: Verdict) -> None:
        """Take the verdict of a key that was running."""
        entry = self._entries[key]
        assert entry.is_running, f"{key} has ended without having been taken"
        entry.is_running = False
        if verdict.forget and not entry.is_woken:
            del self._entries[key]
            return
        if verdict.failed and not entry.is_changed:
            entry.failures += 1
            entry.not_before_s = now_s + max(verdict.again_s or 0.0, self._backoff_s(entry))
            entry.due_s = entry.not_before_s
            return
        entry.failures, entry.not_before_s = 0, now_s + GAP_S
        if entry.is_woken:
            entry.due_s = entry.not_before_s
        elif verdict.again_s is not None:
            entry.due_s = now_s + max(verdict.again_s, GAP_S)

    def _backoff_s(self, entry: _Entry) -> float:
        """Double from the first up to the most; the upper half is left to chance."""
        most = grown_s(BACKOFF_FIRST_S, entry.failures - 1, BACKOFF_MAX_S)
        return spread_s(most, self._chance())


class WorkQueue:
    """Runs a worker for each key that is due, a few at once. Used from one loop."""

    def __init__(
        self,
        clock: Clock,
        chance: Callable[[], float],
        *,
        on_drop: Callable[[], None] = lambda: None,
        keys_max: int = KEYS_MAX,
    ) -> None:
        """Make an empty queue; ``on_drop`` is called for each wake that found no room."""
        self.schedule = Schedule(chance, keys_max)
        self._clock = clock
        self._on_drop = on_drop
        self._changed = asyncio.Event()
        self._is_closed = False
        self._ended = asyncio.Event()
        self._ended.set()

    def wake(self, key: Key, *, at_once: bool = False) -> None:
        """Have the key reconciled soon."""
        if self.schedule.wake(key, self._now_s(), at_once=at_once):
            self._changed.set()
        else:
            self._on_drop()

    def wake_all(self, keys: Iterable[Key] | None = None) -> None:
        """Have these keys reconciled soon, or with None all that are known."""
        for key in self.schedule.known() if keys is None else keys:
            self.wake(key)

    def wake_namespace(self, namespace: str) -> None:
        """Have every key of a namespace that is known reconciled soon."""
        self.wake_all([key for key in self.schedule.known() if key.namespace == namespace])

    def depth(self) -> int:
        """Return how many keys are due and wait for a worker."""
        return self.schedule.depth(self._now_s())

    async def close(self) -> None:
        """Begin nothing any more.

        Blocking: until the reconciliations that run have ended; the caller sets the bound.
        """
        self._is_closed = True
        self._changed.set()
        await self._ended.wait()

    async def run(self, work: Callable[[Key], Awaitable[Verdict]], *, at_once_max: int) -> None:
        """Reconcile what is due until closed, at most ``at_once_max`` keys at a time.

        ``work`` bounds its own time; what it raises ends the queue.
        """
        places = asyncio.Semaphore(at_once_max)
        self._ended.clear()

        async def one(key: Key) -> None:
            try:
                verdict = await work(key)
            finally:
                places.release()
            self.schedule.done(key, self._now_s(), verdict)
            self._changed.set()

        async with asyncio.TaskGroup() as group:
            while True:
                await places.acquire()
                key = await self._next()
                if key is None:
                    break
                group.create_task(one(key), name=f"reconcile {key.namespace}/{key.name}")
        self._ended.set()

    async def _next(self) -> Key | None:
        """Return the next key that falls due; None when closed."""
        while not self._is_closed:
            self._changed.clear()
            now = self._now_s()
            key = self.schedule.take(now)
            if key is not None:
                return key
            due = self.schedule.next_due_s()
            try:
                async with asyncio.timeout(None if due is None else max(due - now, 0.0)):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return None

    def _now_s(self) -> float:
        return self._clock.boottime() * _S
