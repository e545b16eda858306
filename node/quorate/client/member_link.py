"""One TCP connection to a member: moves bytes between the socket and the session.

Sending is lazy: whatever was offered during one turn of the loop leaves in one write. One timer
serves all deadlines of the session; it is armed for the earliest and moves only forward.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from quorate.client.session import NEVER, Session
from quorate.client.session_events import Event
from quorate.errors import RemoteProtocolError


class MemberLink(asyncio.Protocol):
    """A connection from its making to its loss."""

    def __init__(
        self,
        session: Session,
        loop: asyncio.AbstractEventLoop,
        on_events: Callable[[list[Event]], None],
    ) -> None:
        """Begin before the transport is there.

        Args:
            session: What is said on this connection.
            loop: Whose time is the session's time.
            on_events: Takes what the session reports.

        """
        self.lost: asyncio.Future[None] = loop.create_future()
        """Done when the connection is gone."""
        self.is_malformed = False
        """The other side did not speak the protocol."""
        self._session = session
        self._loop = loop
        self._on_events = on_events
        self._transport: asyncio.Transport | None = None
        self._is_flush_planned = False
        self._is_writable = True
        self._is_reading = True
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER

    @property
    def now(self) -> int:
        """The loop's time in nanoseconds."""
        return int(self._loop.time() * 1e9)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the session at once."""
        self._transport = cast("asyncio.Transport", transport)
        self._session.on_connected(self.now)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Pass on what arrived, then what the session says about it."""
        if self._transport is None:
            return
        try:
            events = self._session.receive(data, self.now)
        except RemoteProtocolError:
            self.is_malformed = True
            events = self._session.take_events()
            self.abort()
        if events:
            self._on_events(events)
        if self._session.wants_to_send:
            self.plan_flush()
        else:
            # What arrived may be due for an acknowledgement sooner than anything was before.
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        """Tell the session, once."""
        self._detach()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """Leave what is offered with the session, where it becomes larger batches."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Send what has gathered."""
        self._is_writable = True
        self.flush()

    def set_reading(self, *, is_reading: bool) -> None:
        """Stop or go on reading, for a consumer that is slower than the cluster."""
        self._is_reading = is_reading
        if self._transport is None:
            return
        if is_reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def plan_flush(self) -> None:
        """Send at the end of this turn of the loop."""
        if not self._is_flush_planned:
            self._is_flush_planned = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what the session has to send."""
        self._is_flush_planned = False
        if self._transport is None:
            return
        if self._is_writable:
            pieces = self._session.data_to_send(self.now)
            if pieces:
                # Not `writelines`: that of asyncio in Python 3.13.0 and its like never calls
                # `pause_writing`, so what a member does not take would have no bound.
                self._transport.write(b"".join(pieces))
        self._arm()

    def abort(self) -> None:
        """Leave this connection now; what was sent stays pending in the session."""
        transport = self._transport
        self._detach()
        if transport is not None:
            transport.abort()

    def _detach(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport = None
            self._session.on_disconnected()

    def _arm(self) -> None:
        deadline = self._session.next_deadline if self._transport is not None else NEVER
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline / 1e9, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = NEVER
        events = self._session.on_tick(self.now, is_reading=self._is_reading)
        if events:
            self._on_events(events)
        self.flush()
