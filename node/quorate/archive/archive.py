"""The archive: what a member keeps on disk, behind one object.

The consensus module's persist effects go in; when ``persist`` returns they are durable in the
sense of the configured durability. The first error ends it: what a file holds after a failed
write or sync is unknown until it is read anew, by another process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

from quorate.archive.files import FileSystem, storage_error
from quorate.archive.opening import Opened, ThisLife, open_directory
from quorate.archive.recording import Recording
from quorate.archive.recovery import RecoveredLog
from quorate.archive.segment import Watermark
from quorate.archive.spares import SparePool
from quorate.config import ClusterConstants, Durability
from quorate.consensus.effects import AppendToLog, StoreNodeState, TruncateLog
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    ClusterId,
    LogFrame,
    LogMark,
    LogPosition,
    MemberId,
)
from quorate.errors import (
    DiskFull,
    InvariantBroken,
    QuorateError,
    StorageError,
    SyncFailed,
)

PersistEffect = StoreNodeState | AppendToLog | TruncateLog

WATERMARK_DELAY_S = 1.0
"""Quiet time after which the synced end is written as watermark."""
SYNC_INTERVAL_S = 1.0
"""Durability ``replicated``: how long written frames may stay without a sync."""
SYNC_LENGTH = 16 * 1024 * 1024
"""Durability ``replicated``: how many written bytes may stay without a sync."""
UNSYNCED_LENGTH_MAX = 4 * SYNC_LENGTH
"""Durability ``replicated``: beyond this ``persist`` itself syncs: the disk cannot keep up."""

_Result = TypeVar("_Result")


class Archive:
    """The files of one member. One thread persists; reads and syncs may run beside it."""

    def __init__(self, files: FileSystem, opened: Opened, durability: Durability) -> None:
        """Use ``open``."""
        stored = opened.node_state.stored
        self._files = files
        self._node_state = opened.node_state
        self._durability = durability
        self.spares: SparePool = opened.spares
        """Call ``prepare_spare`` again and again, from a thread of its own."""
        self._recording = Recording(
            files,
            (stored.cluster_id, stored.epoch, stored.member_id),
            opened.spares,
            durability,
            opened.scan,
            opened.repaired,
        )
        self.member_id: MemberId = stored.member_id
        self.epoch: int = stored.epoch
        self.formatted: bool = opened.formatted
        """Whether the directory was empty and got its member id just now."""
        self.recovered = RecoveredLog(
            stored.node_state,
            opened.scan.recording_log.records,
            opened.scan.end,
            opened.scan.last_timestamp,
            opened.scan.founding,
            opened.scan.watermark.mark,
        )
        self._failure: QuorateError | None = None
        self._appended_position = -1
        self._quiet_since_s = 0.0
        self._unsynced_since_s: float | None = None

    @classmethod
    def open(  # noqa: PLR0913 - keywords: what one start of a process knows
        cls,
        files: FileSystem,
        *,
        cluster_id: ClusterId,
        constants: ClusterConstants,
        durability: Durability,
        boot_id: bytes,
        new_member_id: MemberId,
        spares: int = 2,
        lock_grace_s: float = 5.0,
    ) -> Archive:
        """Lock the directory, format it where it is empty, read it, repair it, sync it.

        Args:
            files: The data directory.
            cluster_id: Whose member this is.
            constants: Used where there is no log yet; one that is there keeps its own segment
                length (``segment_length``).
            durability: Of this life.
            boot_id: 16 bytes that name this boot of the machine.
            new_member_id: Random; becomes this directory's if it is formatted now.
            spares: How many spares ``prepare_spare`` keeps ready.
            lock_grace_s: How long to wait for a process that still holds the directory.

        Raises:
            DirectoryInUse: Another process holds it.
            ForeignData: It belongs to another cluster, member, format or program.
            CorruptRecord: The node state is beyond repair.
            StorageError: A file operation failed.

        Blocking:
            On the lock, on reading the whole log and on several syncs.

        """
        life = ThisLife(
            cluster_id, constants.segment_length, durability, boot_id, new_member_id, spares
        )
        try:
            files.lock(lock_grace_s)
            try:
                return cls(files, open_directory(files, life), durability)
            except BaseException:
                files.unlock()
                raise
        except OSError as error:
            raise storage_error(error, "opening the data directory") from error

    # ----------------------------------------------------------------------------- persist

    def persist(self, effects: Sequence[PersistEffect]) -> int:
        """Carry out persist effects in order.

        Consecutive appends share one write and one data sync. What may be acted upon after this
        is durable; the second copy of a node state follows with ``finish_node_state``, with
        ``idle`` or before the next change, whichever comes first.

        Args:
            effects: At least one, with increasing sequences.

        Returns:
            The sequence of the last one.

        Raises:
            DiskFull: A new segment is needed and there is no spare and no space. Nothing was
                done: call again with the same effects when there may be some.
            SyncFailed: A write or sync failed; every later call raises the same.
            InvariantBroken: A frame does not stand where the log ends.
            CorruptRecord: The log is not what a truncation says it is.

        Blocking:
            On the writes and data syncs.

        """
        self._reserve(effects)
        return self._guarded("persisting", lambda: self._persist(effects))

    def _reserve(self, effects: Sequence[PersistEffect]) -> None:
        """Have the segments ready that the effects need, before anything of them is done."""
        if self._failure is not None:
            return
        try:
            self.spares.reserve(self._recording.missing_segments(effects))
        except OSError as error:
            failure = storage_error(error, "preparing a segment")
            if not isinstance(failure, DiskFull):
                self._failure = failure
            raise failure from error

    def write_at_once(self, effects: Sequence[PersistEffect]) -> bool:
        """Carry out effects as far as writing goes, if that is one write and nothing else.

        ``replicated``: they are durable in its sense then. ``fsync``: when a sync begun after
        this has ended; until then ``persist`` must not be called.

        Returns:
            False where more is needed than a write; nothing was done, call ``persist``.

        Raises:
            SyncFailed: The write failed; every later call raises the same.
            InvariantBroken: A frame does not stand where the log ends.

        Blocking:
            On a write to the page cache.

        """
        frames: list[LogFrame] = []
        for effect in effects:
            if not isinstance(effect, AppendToLog):
                return False
            frames += effect.frames
        recording = self._recording
        if recording.unsynced_length > UNSYNCED_LENGTH_MAX:
            return False
        return self._guarded("persisting", recording.write_at_once, frames)

    @property
    def sync_descriptor(self) -> int | None:
        """Of the file that ``write_at_once`` writes to; None without one, or on another system."""
        current = self._recording.current
        return None if current is None else current.file.descriptor

    def begin_sync(self) -> LogMark:
        """Prepare a data sync of that descriptor; return the end of the log that it will cover.

        Raises:
            SyncFailed: The write of the watermark failed.

        """
        return self._guarded("beginning a sync", self._recording.begin_sync)

    def end_sync(self, end: LogMark) -> None:
        """Note that a data sync of that descriptor, begun when the log ended there, was good."""
        self._recording.synced = end

    def fail(self, error: OSError) -> StorageError:
        """Note that a sync has failed, which ends the archive; return the error to raise."""
        failure = storage_error(error, "syncing the recording")
        self._failure = failure
        return failure

    def _persist(self, effects: Sequence[PersistEffect]) -> int:
        frames: list[LogFrame] = []
        for effect in effects:
            if isinstance(effect, AppendToLog):
                frames.extend(effect.frames)
                continue
            self._append(frames)
            frames = []
            if isinstance(effect, StoreNodeState):
                self._store(effect)
            else:
                self._recording.truncate(effect.end)
        self._append(frames)
        return effects[-1].sequence

    def _append(self, frames: list[LogFrame]) -> None:
        if frames:
            self._recording.append(frames)
            if self._recording.unsynced_length > UNSYNCED_LENGTH_MAX:
                self._recording.sync_written()

    def _store(self, effect: StoreNodeState) -> None:
        # The founded mark needs no sync of the log: the founding frame never goes without one.
        self._node_state.store(self._node_state.stored._replace(node_state=effect.state))

    def discard_founding(self) -> None:
        """Drop the whole log, as for a truncation to position 0: a founding was discarded."""
        self._guarded("discarding the founding frame", self._recording.discard)

    def finish_node_state(self) -> None:
        """Write the second copy of the last node state, if it is owed."""
        self._guarded("storing the node state", self._node_state.finish)

    # -------------------------------------------------------------------------- background

    def idle(self, now_s: float) -> None:
        """Do what falls due by time; call it a few times a second, from the persisting thread.

        After a second without an append the synced end is written as watermark.

        Args:
            now_s: Any clock in seconds that only goes forward.

        Blocking:
            On a sync of the watermark, where that is due.

        """
        self._guarded("idle work", self._idle, now_s)

    def _idle(self, now_s: float) -> None:
        self._node_state.finish()
        recording = self._recording
        if recording.end.position != self._appended_position:
            self._appended_position = recording.end.position
            self._quiet_since_s = now_s
        elif now_s - self._quiet_since_s >= WATERMARK_DELAY_S and recording.watermark_due:
            recording.settle()

    def sync_if_due(self, now_s: float) -> None:
        """Sync what was written, where that has waited a second or is 16 MiB (``replicated``).

        Call it a few times a second, from a thread of its own, so that no append waits for it.
        Never due in ``fsync``: whoever writes at once there sees to the sync, however long it
        takes.

        Args:
            now_s: Any clock in seconds that only goes forward.

        Blocking:
            On a data sync of every segment that was written to since the last one.

        """
        length = 0 if self._durability is Durability.FSYNC else self._recording.unsynced_length
        if length == 0:
            self._unsynced_since_s = None
            return
        if self._unsynced_since_s is None:
            self._unsynced_since_s = now_s
        if length >= SYNC_LENGTH or now_s - self._unsynced_since_s >= SYNC_INTERVAL_S:
            self.sync()

    def sync(self) -> None:
        """Sync what was written without one (``replicated``); may run beside ``persist``."""
        self._unsynced_since_s = None
        self._guarded("syncing the recording", self._recording.sync_written)

    def prepare_spare(self) -> bool:
        """Write one piece of a spare; from a thread of its own.

        Returns:
            True while more is wanted now; False when there are enough, or the disk is full.

        """
        return self._guarded("preparing a spare", self.spares.step)

    def read(self, position: LogPosition, bytes_max: int) -> bytes:
        """Return whole frames as they lie on disk; may run beside ``persist``.

        Args:
            position: A frame boundary.
            bytes_max: How much to return; a longer first frame is returned all the same.

        Returns:
            Frames within one segment; empty at or beyond the written end.

        Raises:
            NoBoundary: A sound frame goes on at ``position``.
            CorruptRecord: What lies there is no frame of this position.
            StorageError: The read failed.

        """
        try:
            return self._recording.read(position, bytes_max)
        except OSError as error:
            raise storage_error(error, "reading the recording") from error

    # ------------------------------------------------------------------------------- close

    def close_clean(self) -> None:
        """Sync everything, say so with the clean mark, and let go of the directory.

        No other thread may use the archive any more.
        """
        self._guarded("closing", self._close_clean)
        self.close()

    def _close_clean(self) -> None:
        self._recording.sync_written()
        self._recording.settle()
        self._node_state.store(self._node_state.stored._replace(clean=True))
        self._node_state.finish()

    def close(self) -> None:
        """Let go of the directory as it is, as the end of the process would.

        Raises:
            StorageError: A file could not be closed; the lock is let go of all the same.

        """
        self._failure = self._failure or InvariantBroken("the archive is closed")
        try:
            with ExitStack() as last_first:
                last_first.callback(self._files.unlock)
                last_first.callback(self._node_state.close)
                last_first.callback(self._recording.close)
                last_first.callback(self.spares.close)
        except OSError as error:
            raise storage_error(error, "closing") from error

    # ------------------------------------------------------------------------------ status

    @property
    def durability(self) -> Durability:
        """Of this life."""
        return self._durability

    @property
    def segment_length(self) -> int:
        """Bytes of frames in a segment of this log."""
        return self._recording.segment_length

    @property
    def end(self) -> LogMark:
        """The end of what is written."""
        return self._recording.end

    @property
    def synced(self) -> LogMark:
        """The end of what is known to be durable."""
        return self._recording.synced

    @property
    def watermark(self) -> Watermark:
        """The last watermark written."""
        return self._recording.watermark

    @property
    def space_low(self) -> bool:
        """Whether the disk has no space for the spares that are wanted."""
        return self.spares.space_low

    @property
    def has_failed(self) -> bool:
        """Whether an error has ended the archive; the lack of space for a segment does not."""
        return self._failure is not None

    @property
    def room_end(self) -> LogPosition:
        """How far the log can grow without more space; ``ROOM_UNBOUNDED`` where there is some.

        Read from any thread; while a segment is taken it may be one segment too far.
        """
        if not self.spares.space_low:
            return ROOM_UNBOUNDED
        ready = self.spares.ready_count * self.segment_length
        return LogPosition(self._recording.segments_end + ready)

    def free_bytes(self) -> int:
        """Return how much more the file system takes.

        Raises:
            StorageError: It does not tell.

        """
        try:
            return self._files.free_bytes()
        except OSError as error:
            raise storage_error(error, "asking for the free space") from error

    @property
    def spares_run_out_count(self) -> int:
        """How often the writer had to fill a segment itself."""
        return self.spares.run_out_count

    @property
    def copy_on_write(self) -> bool:
        """Whether the file system needs new space for overwrites: full disks are not foreseen."""
        return self._files.copy_on_write

    @property
    def node_state_healed(self) -> bool:
        """Whether one slot of the node state was bad at the start."""
        return self._node_state.healed

    def _guarded(self, doing: str, action: Callable[..., _Result], *arguments: object) -> _Result:
        """Run an action unless one has failed before; remember the first failure for good."""
        if self._failure is not None:
            raise SyncFailed(f"{doing}: the archive has failed before: {self._failure}")
        try:
            return action(*arguments)
        except OSError as error:
            self._failure = storage_error(error, doing)
            raise self._failure from error
        except QuorateError as error:
            self._failure = error
            raise
