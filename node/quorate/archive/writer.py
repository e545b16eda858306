"""The archive behind an event loop: writes on it, syncs beside it, threads for all that waits.

``ArchiveWriter`` takes persist effects in order. What is one write into the page cache is
written on the loop at once; the sync that durability ``fsync`` wants runs in a thread of the C
library, one at a time, and what is written meanwhile goes into the next (see ``library_sync`` for
what one of Python's would cost). What may wait for the disk (a new segment, a cut, a vote) goes to
the writing thread, when everything before it is durable, and everything behind it follows through
the thread. Nothing here decides; the first failure is handed to the loop once, and the process
ends.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from quorate.archive.archive import Archive, PersistEffect
from quorate.archive.library_sync import LibrarySync
from quorate.config import Durability
from quorate.consensus.types import LogMark, LogPosition
from quorate.errors import DiskFull, QuorateError, StorageError

IDLE_INTERVAL_S = 0.25
"""How often the writer looks whether something falls due by time."""
SPARE_PAUSE_S = 0.002
"""Between two pieces of a spare, so that the syncs of the log come in between."""
SPARE_RETRY_S = 2.0
"""How long to wait when no spare is wanted, or none can be had, before looking again."""
FULL_RETRY_S = 0.25
"""How often to look whether there is space for a segment without which nothing goes on."""
JOIN_TIMEOUT_S = 10.0

_NS = 1e-9

OnCompleted = Callable[[int, int], None]
"""Called on the loop, possibly from inside ``submit``, with the last sequence done and how long
the write or sync took, in nanoseconds."""
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
        self._submitted = 0
        self._written = 0
        self._completed = 0
        self._waiting: list[PersistEffect] = []
        """What could not be written at once, and everything behind it."""
        self._queue: queue.SimpleQueue[list[PersistEffect] | None] = queue.SimpleQueue()
        self._is_in_thread = False
        self._archive_in_use = threading.Lock()
        """Held by whoever writes: the thread, or the loop, which never waits for it."""
        self._syncing: tuple[int, LogMark] | None = None
        """The sequence that the running sync completes, and the end of the log that it covers."""
        self._busy_since_ns = 0
        self._failed = False
        self._has_given_up = False
        """Told to end while there was no space: what waited for some was not done."""
        self._is_quiet = asyncio.Event()
        self._is_quiet.set()
        self._stopping = threading.Event()
        self._is_closing = threading.Event()
        """Nothing waits for space any more."""
        self._spare_wanted = threading.Event()
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="archive-read")
        self._threads = [
            threading.Thread(target=self._run(self._write), name="archive-write", daemon=True),
            threading.Thread(target=self._run(self._prepare), name="archive-spares", daemon=True),
        ]
        self._syncs = archive.durability is Durability.FSYNC
        self._library: LibrarySync | None = None
        if archive.durability is Durability.REPLICATED:
            sync = threading.Thread(target=self._run(self._sync), name="archive-sync", daemon=True)
            self._threads.append(sync)
        else:
            self._library = _library_sync()

    @property
    def sync_mode(self) -> str:
        """Where syncs run.

        ``library``; ``thread`` where the C library runs none for us; or ``background`` in
        ``replicated``, which waits for none.
        """
        if self.archive.durability is Durability.REPLICATED:
            return "background"
        return "thread" if self._library is None else "library"

    def start(self) -> None:
        """Start the threads, and watch for the end of syncs."""
        for thread in self._threads:
            thread.start()
        if self._library is not None:
            self._loop.add_reader(self._library.fileno(), self._on_synced)

    def submit(self, effects: Sequence[PersistEffect]) -> None:
        """Have effects carried out behind all earlier ones.

        What waits has no bound of its own: what the consensus module has under way is bounded
        by its windows, and ``pending_sequences`` lets the agent stop taking ingress.

        Args:
            effects: At least one, with increasing sequences.

        Blocking:
            On a write to the page cache.

        """
        self._submitted = effects[-1].sequence
        if self._failed or self._has_given_up:
            return
        if self._waiting or self._is_in_thread or not self._write_at_once(effects):
            self._waiting += effects
        self._go_on()

    @property
    def pending_sequences(self) -> int:
        """How far completion lies behind submission, in sequences."""
        return self._submitted - self._completed

    @property
    def busy_ns(self) -> int:
        """For how long the write or sync that runs now has been running; 0 when none is."""
        since = self._busy_since_ns
        return self._monotonic_ns() - since if since else 0

    async def read(self, position: LogPosition, bytes_max: int) -> bytes:
        """Read whole frames on the reading thread; see ``Archive.read``."""
        return await self._loop.run_in_executor(
            self._readers, self.archive.read, position, bytes_max
        )

    async def close(self, *, clean: bool) -> None:
        """Finish what was submitted, stop the threads and close the archive.

        What waits for space on a full disk is given up: nothing of it was done, and nobody was
        told that it was.

        Args:
            clean: Sync everything and set the clean mark. Left out after a failure.

        Raises:
            StorageError: The clean close failed, or a file operation does not end; the files
                stay open then.

        """
        self._is_closing.set()
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                await self._is_quiet.wait()
        except TimeoutError:
            raise StorageError("a write or sync hangs") from None
        if self._library is not None:
            self._loop.remove_reader(self._library.fileno())
        self._queue.put(None)
        self._stopping.set()
        self._spare_wanted.set()
        await asyncio.to_thread(self._close, clean)

    def _close(self, clean: bool) -> None:  # noqa: FBT001 - positional for ``to_thread``
        """Wait for all that may still use the files, before these are closed."""
        try:
            if self._library is not None:
                self._library.close(JOIN_TIMEOUT_S)
            # Behind every read that was asked for.
            self._readers.submit(bool).result(JOIN_TIMEOUT_S)
        except TimeoutError:
            raise StorageError("a sync or read hangs") from None
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)
            if thread.is_alive():
                raise StorageError(f"thread {thread.name} hangs in a file operation")
        self._readers.shutdown()
        if clean and not self._failed:
            self.archive.close_clean()
        else:
            self.archive.close()

    # ---------------------------------------------------------------------------- the loop

    def _write_at_once(self, effects: Sequence[PersistEffect]) -> bool:
        """Write on the loop if that takes no waiting; tell whether it was done."""
        if self._syncs and self._sync_descriptor is None:
            return False
        if not self._archive_in_use.acquire(blocking=False):
            return False
        began = self._monotonic_ns()
        try:
            is_written = self.archive.write_at_once(effects)
        except QuorateError as error:
            self._loop.call_soon(self._fail, error)
            return True
        finally:
            self._archive_in_use.release()
        if is_written:
            self._written = effects[-1].sequence
            if self._library is None:
                self._complete(self._written, self._monotonic_ns() - began)
        return is_written

    @property
    def _sync_descriptor(self) -> int | None:
        """What the C library can sync: the last segment, where there is one on this machine."""
        return None if self._library is None else self.archive.sync_descriptor

    def _go_on(self) -> None:
        """Begin whatever may begin now: a sync of what is written, or the thread's next work."""
        if self._syncing is not None or self._is_in_thread or self._failed:
            return
        if self._written > self._completed:
            self._is_quiet.clear()
            self._begin_sync()
        elif self._waiting:
            self._is_quiet.clear()
            effects, self._waiting = self._waiting, []
            self._is_in_thread = True
            self._busy_since_ns = self._monotonic_ns()
            self._queue.put(effects)
        elif not self._is_quiet.is_set():
            self._is_quiet.set()

    def _begin_sync(self) -> None:
        descriptor = self._sync_descriptor
        assert self._library is not None, (self._written, self._completed)
        assert descriptor is not None, (self._written, self._completed)
        self._busy_since_ns = self._monotonic_ns()
        try:
            self._syncing = (self._written, self.archive.begin_sync())
            self._library.start(descriptor)
        except OSError as error:
            self._fail(self.archive.fail(error))
        except QuorateError as error:
            self._fail(error)

    def _on_synced(self) -> None:
        """Take the end of the sync that the C library ran."""
        assert self._library is not None
        try:
            if not self._library.finish():
                return
        except OSError as error:
            self._fail(self.archive.fail(error))
            return
        assert self._syncing is not None, "a sync ended that nobody began"
        sequence, end = self._syncing
        self._syncing = None
        self.archive.end_sync(end)
        self._end_work(sequence)

    def _on_thread_done(self, sequence: int) -> None:
        if not self._failed:
            self._is_in_thread = False
            self._written = sequence
            self._end_work(sequence)

    def _on_given_up(self) -> None:
        self._has_given_up = True
        self._waiting = []
        self._busy_since_ns = 0
        self._is_quiet.set()

    def _end_work(self, sequence: int) -> None:
        """Tell that everything up to ``sequence`` is durable, and go on with what waits."""
        duration = self._monotonic_ns() - self._busy_since_ns
        self._busy_since_ns = 0
        self._complete(sequence, duration)
        if self._waiting and self._write_at_once(self._waiting):
            self._waiting = []
        self._go_on()

    def _complete(self, sequence: int, duration_ns: int) -> None:
        if not self._failed:
            self._completed = sequence
            self._on_completed(sequence, duration_ns)

    def _fail(self, error: BaseException) -> None:
        if not self._failed:
            self._failed = True
            self._is_quiet.set()
            self._is_closing.set()
            self._stopping.set()
            self._on_failed(error)

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

    def _write(self) -> None:
        """Persist what is handed over; look after what falls due when nothing is."""
        while True:
            try:
                effects = self._queue.get(timeout=IDLE_INTERVAL_S)
            except queue.Empty:
                with self._archive_in_use:
                    self.archive.idle(self._monotonic_ns() * _NS)
                continue
            if effects is None:
                return
            with self._archive_in_use:
                sequence = self._persist(effects)
            if sequence is None:
                self._tell(self._on_given_up)
                continue
            self._tell(self._on_thread_done, sequence)
            self.archive.finish_node_state()
            if self.archive.spares.is_short and not self.archive.space_low:
                self._spare_wanted.set()

    def _persist(self, effects: list[PersistEffect]) -> int | None:
        """Persist; where there is no space for a segment, wait until there is.

        Meanwhile this member counts as one whose disk is stalled.

        Returns:
            The sequence of the last one; None where the writer is closed before there is space.

        """
        while True:
            try:
                return self.archive.persist(effects)
            except DiskFull:
                if self.archive.has_failed:
                    raise
                if self._is_closing.wait(FULL_RETRY_S):
                    return None

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
            self.archive.sync_if_due(self._monotonic_ns() * _NS)


def _library_sync() -> LibrarySync | None:
    """Return the C library's asynchronous sync, or None where there is none."""
    try:
        return LibrarySync()
    except OSError:
        return None
