"""Feeds committed frames to the service, in slices that leave the loop time for heartbeats.

Frames come from memory while they are there, and from the recording in bounded pieces after a
restart or when the service has fallen behind.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

from quorate.clock import Clock
from quorate.consensus.log_view import LogView
from quorate.consensus.types import FrameType, LogFrame, LogPosition
from quorate.errors import InvariantBroken
from quorate.protocol.log_codec import decode_frames, frame_body
from quorate.protocol.term_codec import decode_term
from quorate.runtime.events import Event, log_event
from quorate.service.container import ServiceContainer

LOGGER = logging.getLogger("quorate.runtime")
MESSAGES_PER_STEP = 256
"""At most: of a service that takes long for a message, as many as a quarter of a slice holds."""
SLICE_NS = 4_000_000
"""A slice ends after the step that passes this; heartbeats are every 50 ms."""
READ_BYTES = 1024 * 1024

ReadLog = Callable[[LogPosition, int], Awaitable[bytes]]
Spawn = Callable[[Coroutine[object, object, None], str], None]


class Applier:
    """Applies the log up to the commit position, one frame after the other."""

    def __init__(
        self,
        container: ServiceContainer,
        log: LogView,
        clock: Clock,
        read: ReadLog,
        spawn: Spawn,
        wake: Callable[[], None],
    ) -> None:
        """Feed ``container`` from ``log``.

        Args:
            container: Started, at the position from which to go on.
            log: The member's own log.
            clock: Measures slices and callbacks.
            read: Reads whole frames from the recording.
            spawn: Runs a coroutine as a task with a name.
            wake: Asks for another slice, from a task.

        """
        self.container = container
        self.possible_loss = False
        """Whether the newest term applied began without proof that nothing is missing."""
        self.slowest_step_ns = 0
        """Since it was last set back; a step holds at least one whole callback."""
        self._log = log
        self._clock = clock
        self._read = read
        self._spawn = spawn
        self._wake = wake
        self._commit = container.position
        self._from_file: deque[LogFrame] = deque()
        self._reading = False
        self._is_ended = False
        self._current: LogFrame | None = None
        self._step_messages = MESSAGES_PER_STEP

    @property
    def position(self) -> LogPosition:
        """The service position: end of the last frame applied whole."""
        return self.container.position

    @property
    def is_behind(self) -> bool:
        """Whether something committed is not applied yet."""
        return self.container.position < self._commit and not self._is_ended

    @property
    def can_go_on(self) -> bool:
        """Whether another slice would find a frame in memory."""
        return self.is_behind and not self._reading

    def commit_to(self, position: LogPosition) -> None:
        """Allow applying up to here."""
        self._commit = max(self._commit, position)

    def end(self) -> None:
        """Apply nothing more, and tell the service that this member stops."""
        self._is_ended = True
        self.container.terminate()

    def apply_slice(self) -> None:
        """Apply what is committed for about ``SLICE_NS``, whole frames or parts of one."""
        began = self._clock.monotonic()
        before = began
        container = self.container
        while container.position < self._commit and self._take_frame():
            finished = container.step(self._step_messages)
            if finished:
                self._current = None
            after = self._clock.monotonic()
            self._adapt(after - before, was_full=not finished)
            before = after
            if after - began > SLICE_NS:
                return

    def _adapt(self, took_ns: int, *, was_full: bool) -> None:
        """Take so many messages in a step that a slice can end in time.

        Only a step that took all it may shows that more would do: an empty frame, or one with
        sessions only, says nothing of what a message takes.
        """
        self.slowest_step_ns = max(self.slowest_step_ns, took_ns)
        if took_ns > SLICE_NS // 2:
            self._step_messages = max(1, self._step_messages * SLICE_NS // (4 * took_ns))
        elif was_full and took_ns < SLICE_NS // 8:
            self._step_messages = min(2 * self._step_messages, MESSAGES_PER_STEP)

    def _take_frame(self) -> bool:
        """Have a frame under way; tell whether there is one in memory."""
        if self._current is not None:
            return True
        position = self.container.position
        frame = self._log.frame_at(position) or self._frame_from_file(position)
        if frame is None:
            return False
        if frame.end > self._commit:
            raise InvariantBroken(f"commit position {self._commit} inside frame at {position}")
        self._current = frame
        if frame.frame_type is FrameType.NEW_LEADERSHIP_TERM:
            self._begin_term(frame)
        self.container.begin(frame)
        return True

    def _begin_term(self, frame: LogFrame) -> None:
        term = decode_term(frame_body(frame))
        self.possible_loss = term.possible_loss
        log_event(
            LOGGER,
            Event.NEW_LEADERSHIP_TERM,
            leadership_term_id=term.leadership_term_id,
            log_position=frame.position,
            leader=term.leader.hex(),
            possible_loss=term.possible_loss,
        )

    def _frame_from_file(self, position: LogPosition) -> LogFrame | None:
        while self._from_file and self._from_file[0].position < position:
            self._from_file.popleft()
        if self._from_file:
            return self._from_file.popleft()
        if not self._reading:
            self._reading = True
            self._spawn(self._read_piece(position), f"read log at {position}")
        return None

    async def _read_piece(self, position: LogPosition) -> None:
        # What was not committed when it was read may be another frame by the time it is. And where
        # the log is not durable, the file may hold what is about to be cut off.
        known = min(self._commit, self._log.durable)
        try:
            data = await self._read(position, READ_BYTES)
        finally:
            self._reading = False
        frames = decode_frames(data)
        if not frames or frames[0].position != position:
            raise InvariantBroken(f"the recording holds no frame at {position}")
        self._from_file = deque(frame for frame in frames if frame.end <= known)
        self._wake()
