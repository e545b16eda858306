"""The archive behind an event loop: threads that write, prepare spares and read.

``ArchiveWriter`` takes persist effects in order, groups whatever came in while a sync was
running, and tells the loop which sequence is done. Nothing here decides; the first failure of
any thread is handed to the loop once, and the process ends.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from quorate.archive.archive import Archive, PersistEffect
from quorate.config import Durability
from quorate.consensus.types import LogPosition
from quorate.errors import StorageError

IDLE_INTERVAL_S = 0.25
"""How often the writer looks whether something falls due by time."""
SPARE_PAUSE_S = 0.002
"""Between two pieces of a spare, so that the syncs of the log come in between."""
SPARE_RETRY_S = 2.0
"""How long to wait when no spare is wanted, or none can be had, before looking again."""
JOIN_TIMEOUT_S = 10.0
EFFECTS_MAX = 4096
"""Effects that one call of the archive takes at most."""

_NS = 1e-9

OnCompleted = Callable[[int, int], None]
"""Called on the loop with the last sequence done and how long that call took, in nanoseconds."""
OnFailed = Callable[[BaseException], None]
"""Called on the loop at most once; nothing completes after it."""


class ArchiveWriter:
    """One archive and its threads. All methods belong to the loop's thread."""

    def __init__(
        self,
        archive: Archive,
        *,
        loop: asyncio.AbstractEventLoop,
        monotonic_ns: Callable[[], int],
        on_completed: OnCompleted,
        on_failed: OnFailed,
    ) -> None:
        """Prepare; ``start`` starts the threads.

        Args:
            archive: Open; used by nobody else until ``close`` has returned.
            loop: The loop on which the callbacks run.
            monotonic_ns: A clock in nanoseconds that only goes forward; read in the threads.
            on_completed: Told of every group of effects that is done.
            on_failed: Told of the first failure.

        """
        self.archive = archive
        self._loop = loop
        self._monotonic_ns = monotonic_ns
        self._on_completed = on_completed
        self._on_failed = on_failed
        self._queue: queue.SimpleQueue[Sequence[PersistEffect] | None] = queue.SimpleQueue()
        self._submitted = 0
        self._completed = 0
        self._busy_since_ns = 0
        self._failed = False
        self._stopping = threading.Event()
        self._spare_wanted = threading.Event()
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="archive-read")
        self._threads = [
            threading.Thread(target=self._run(self._write), name="archive-write", daemon=True),
            threading.Thread(target=self._run(self._prepare), name="archive-spares", daemon=True),
        ]
        if archive.durability is Durability.REPLICATED:
            sync = threading.Thread(target=self._run(self._sync), name="archive-sync", daemon=True)
            self._threads.append(sync)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, effects: Sequence[PersistEffect]) -> None:
        """Have effects carried out behind all earlier ones.

        The queue has no bound of its own: what the consensus module has under way is bounded
        by its windows, and ``pending_sequences`` lets the agent stop taking ingress.

        Args:
            effects: At least one, with increasing sequences.

        """
        self._submitted = effects[-1].sequence
        self._queue.put(effects)

    @property
    def pending_sequences(self) -> int:
        """How far completion lies behind submission, in sequences."""
        return self._submitted - self._completed

    @property
    def busy_ns(self) -> int:
        """For how long the call that is running now has been running; 0 when none is."""
        since = self._busy_since_ns
        return self._monotonic_ns() - since if since else 0

    async def read(self, position: LogPosition, bytes_max: int) -> bytes:
        """Read whole frames on the reading thread; see ``Archive.read``."""
        return await self._loop.run_in_executor(
            self._readers, self.archive.read, position, bytes_max
        )

    async def close(self, *, clean: bool) -> None:
        """Finish what was submitted, stop the threads and close the archive.

        Args:
            clean: Sync everything and set the clean mark. Left out after a failure.

        Raises:
            StorageError: The clean close failed, or a thread does not end.

        """
        self._queue.put(None)
        self._stopping.set()
        self._spare_wanted.set()
        await asyncio.to_thread(self._close, clean)

    def _close(self, clean: bool) -> None:  # noqa: FBT001 - positional for ``to_thread``
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)
            if thread.is_alive():
                raise StorageError(f"thread {thread.name} hangs in a file operation")
        self._readers.shutdown(wait=True)
        if clean and not self._failed:
            self.archive.close_clean()
        else:
            self.archive.close()

    # ----------------------------------------------------------------------------- threads

    def _run(self, work: Callable[[], None]) -> Callable[[], None]:
        """Wrap a thread's work so that its failure reaches the loop."""

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - handed on, and the process ends
                self._tell(self._fail, error)

        return run

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call back on the loop, unless that is gone already."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            self._stopping.set()

    def _fail(self, error: BaseException) -> None:
        if not self._failed:
            self._failed = True
            self._stopping.set()
            self._on_failed(error)

    def _complete(self, sequence: int, duration_ns: int) -> None:
        if not self._failed:
            self._completed = sequence
            self._on_completed(sequence, duration_ns)

    def _write(self) -> None:
        """Persist what waits, group by group; look after what falls due when nothing does."""
        stopping = False
        while not stopping:
            effects, stopping = self._gather()
            started = self._monotonic_ns()
            if not effects:
                self.archive.idle(started * _NS)
                continue
            self._busy_since_ns = started
            sequence = self.archive.persist(effects)
            self._busy_since_ns = 0
            self._tell(self._complete, sequence, self._monotonic_ns() - started)
            self.archive.finish_node_state()
            if self.archive.spares.is_short and not self.archive.space_low:
                self._spare_wanted.set()

    def _gather(self) -> tuple[list[PersistEffect], bool]:
        """Wait for effects and take all that are there; tell whether the last one was seen."""
        effects: list[PersistEffect] = []
        try:
            item = self._queue.get(timeout=IDLE_INTERVAL_S)
            while item is not None and len(effects) < EFFECTS_MAX:
                effects.extend(item)
                item = self._queue.get_nowait() if len(effects) < EFFECTS_MAX else ()
        except queue.Empty:
            return effects, False
        return effects, item is None

    def _prepare(self) -> None:
        """Keep spares ready, in small pieces."""
        while not self._stopping.is_set():
            if self.archive.prepare_spare():
                self._stopping.wait(SPARE_PAUSE_S)
            else:
                self._spare_wanted.wait(SPARE_RETRY_S)
                self._spare_wanted.clear()

    def _sync(self) -> None:
        """Durability ``replicated``: sync in the background, beside the writes."""
        while not self._stopping.wait(0.05):
            if self.archive.sync_due(self._monotonic_ns() * _NS):
                self.archive.sync()
