"""Files full of zeros, ready to become segments, prepared ahead of need.

A thread of its own (or the simulator) calls ``step`` again and again; each call writes one
small piece and syncs it, because zeros that gather in the page cache stall the syncs of the
log, and in longer ones while more than one is missing, because a thread beside a busy loop is
let run seldom. The writer takes spares; when there are none it fills up the one under way
itself, which is slow, works, and is counted.

A disk without space for another spare is *nearly full*: what is ready by then is all that the
log can grow into. Nothing is tried that would fill such a disk, and nothing else needs space.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque

from quorate.archive.files import FULL, DataFile, FileSystem
from quorate.archive.segment import FRAMES_OFFSET, PIECE_LENGTH, is_zero, zero_pieces

_NAME = re.compile(r"spare-(\d+)\.seg")
_TEMPORARY = re.compile(r"spare-(\d+)\.tmp")
_PROBE_LENGTH = 4096
LONG_PIECE_LENGTH = 4 * PIECE_LENGTH


def is_spare_name(name: str) -> bool:
    """Tell whether this is the name of a finished spare."""
    return _NAME.fullmatch(name) is not None


def is_temporary_name(name: str) -> bool:
    """Tell whether this is the name of a spare that was still being written."""
    return _TEMPORARY.fullmatch(name) is not None


class SparePool:
    """The spares of one recording. ``step`` and ``take`` may run in two threads."""

    def __init__(self, files: FileSystem, segment_length: int, wanted: int) -> None:
        """Start with none; ``adopt`` adds those of an earlier life.

        Args:
            files: The data directory.
            segment_length: Bytes of frames in a segment.
            wanted: How many spares ``step`` keeps ready; at least one.

        """
        self._files = files
        self._file_length = FRAMES_OFFSET + segment_length
        self._wanted = wanted
        self._ready: deque[str] = deque()
        self._numbers = itertools.count()
        self._under_way: tuple[DataFile, int] | None = None
        self._filling = threading.Lock()
        """Held by whoever fills the spare under way."""
        self.space_low = False
        """There was no space for a spare that is wanted, and those wanted are not ready since."""
        self.run_out_count = 0
        """How often the writer had to fill a segment itself."""

    @property
    def ready_count(self) -> int:
        """Spares that can be taken at once."""
        return len(self._ready)

    @property
    def is_short(self) -> bool:
        """Whether fewer spares are ready than are wanted."""
        return len(self._ready) < self._wanted

    def adopt(self, name: str) -> bool:
        """Take over a spare of an earlier life; False where it is not one of ours."""
        match = _NAME.fullmatch(name)
        fits = self._is_sound(name)
        if fits and match:
            self._ready.append(name)
            self._numbers = itertools.count(max(int(match.group(1)) + 1, next(self._numbers)))
        return fits

    def step(self) -> bool:
        """Write one piece of the next spare that is wanted.

        Returns:
            True while more is wanted now. False when there are enough spares, or when there is
            no space for one: ``space_low`` tells which, and the next call tries anew.

        Raises:
            OSError: Anything but a full disk.

        """
        with self._filling:
            return self._step()

    def _step(self) -> bool:
        if self._under_way is None:
            if not self.is_short:
                self.space_low = False
                return False
            if not self._has_space():
                self.space_low = True
                return False
        is_hurried = self._wanted - len(self._ready) > 1
        try:
            self._write_piece(LONG_PIECE_LENGTH if is_hurried else PIECE_LENGTH)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return False
        if not self.is_short:
            self.space_low = False
        return self._under_way is not None or self.is_short

    def _has_space(self) -> bool:
        """Tell whether another spare fits, and leaves the file system a little for itself."""
        return self._files.free_bytes() >= self._file_length + self._file_length // 64

    def reserve(self, count: int) -> None:
        """Have that many spares ready, made on the spot where they are not.

        Blocking:
            On zero-filling and syncing a whole segment for each one that is missing.

        Raises:
            OSError: ENOSPC or EDQUOT where the disk is full; nothing is left of the attempt.

        """
        while len(self._ready) < count:
            with self._filling:
                # Perhaps the thread has just finished one.
                if len(self._ready) < count:
                    self.run_out_count += 1
                    self._write_piece(self._file_length)

    def take(self) -> str:
        """Return the name of a spare, made on the spot where none is ready.

        Blocking:
            On zero-filling and syncing a whole segment, where none is ready.

        Raises:
            OSError: ENOSPC where none is ready and the disk is full.

        """
        while True:
            self.reserve(1)
            name = self._ready.popleft()
            if self._is_sound(name):
                return name
            self._files.remove(name)

    def close(self) -> None:
        """Let go of a spare under way; the next start removes it."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way[0].close()

    def _write_piece(self, length_max: int) -> None:
        """Write and sync the next piece of the spare under way, ready with the last one.

        Raises:
            OSError: Nothing is left of the spare where there is no space for the piece.

        """
        try:
            if self._under_way is None:
                self._under_way = (self._files.create(self._next_temporary()), 0)
            file, written = self._under_way
            length = min(length_max, self._file_length - written)
            file.write(written, zero_pieces(length))
            file.sync()
            self._under_way = (file, written + length)
            if written + length == self._file_length:
                self._finish(file)
        except OSError as error:
            if error.errno in FULL:
                self._give_up()
            raise

    def _finish(self, file: DataFile) -> None:
        """Give a synced file its name: whatever bears that name is zeros from end to end."""
        name = file.name.removesuffix(".tmp") + ".seg"
        self._files.rename(file.name, name)
        self._under_way = None
        file.close()
        self._ready.append(name)

    def _give_up(self) -> None:
        """Give back what a full disk let us take: others may need it."""
        self.space_low = True
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way[0].close()
            self._files.remove(under_way[0].name)

    def _next_temporary(self) -> str:
        return f"spare-{next(self._numbers)}.tmp"

    def _is_sound(self, name: str) -> bool:
        """Look at length, header and first frame: a segment must not look used before it is.

        A power cut may keep the header of a segment and not the name that it was given.
        """
        file = self._files.open(name, writable=False)
        try:
            fits = file.size() == self._file_length
            return fits and is_zero(file.read(0, FRAMES_OFFSET + _PROBE_LENGTH))
        finally:
            file.close()
