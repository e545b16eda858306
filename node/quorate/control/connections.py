"""The connections of the control port: how many, and for how long without a request.

What holds a place without asking anything makes room for who comes: else a few hundred idle
connections would keep probes and supervisors out, and a probe that fails ends the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import web

CONNECTIONS_MAX = 256
FIRST_REQUEST_TIMEOUT_S = 10.0
"""From the accept to the end of the first request's header."""
IDLE_TIMEOUT_S = 60.0
"""From an answer to the end of the next request's header."""
LINGERING_S = 1.0
"""How long what is left of a body is read, so that its sender can read the refusal."""

_QUIET = logging.getLogger("quorate.control.http")
"""Gets what aiohttp says of connections; a bug in a handler is logged as an error."""


class ControlConnection(web.RequestHandler):
    """One connection; bytes that are not HTTP are answered, counted and not logged."""

    __slots__ = ("_connections",)

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        connections: ControlConnections,
    ) -> None:
        """Serve ``server``'s application, known to ``connections``."""
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # documented, not annotated
            logger=_QUIET,
            lingering_time=LINGERING_S,
            # No body here is worth it, and a small one can blow up to block the loop for seconds.
            auto_decompress=False,
        )
        self._connections = connections

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._connections.forget(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request, or a handler that failed."""
        self._connections.refused(f"http {int(status)}")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=status, text="not a request that this port understands\n")
        response.force_close()
        return response


class ControlConnections:
    """Makes connections, and ends those that say nothing."""

    def __init__(self, refused: Callable[[str], None]) -> None:
        """Tell ``refused`` the reason of everything that is not wanted."""
        self.refused = refused
        self._open: set[web.RequestHandler] = set()
        self._idle: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        """Longest idle first."""

    def accept(self, server: web.Server) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        loop = asyncio.get_running_loop()
        if len(self._open) >= CONNECTIONS_MAX:
            self.refused("connections")
            longest = next(iter(self._idle), None)
            if longest is None:
                return _Closed()
            self._end(longest)
        connection = ControlConnection(server, loop, self)
        self._open.add(connection)
        self._wait(connection, FIRST_REQUEST_TIMEOUT_S)
        return connection

    @contextmanager
    def answering(self, connection: web.RequestHandler) -> Iterator[None]:
        """Let a connection alone while its request is answered."""
        self._stop(connection)
        try:
            yield
        finally:
            if connection in self._open:
                self._wait(connection, IDLE_TIMEOUT_S)

    def forget(self, connection: web.RequestHandler) -> None:
        """Drop a connection that is gone."""
        self._open.discard(connection)
        self._stop(connection)

    def close(self) -> None:
        """Judge nobody any more."""
        for timer in self._idle.values():
            timer.cancel()
        self._idle.clear()
        self._open.clear()

    def _wait(self, connection: web.RequestHandler, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._idle[connection] = loop.call_later(timeout_s, self._on_silent, connection)

    def _stop(self, connection: web.RequestHandler) -> None:
        timer = self._idle.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _on_silent(self, connection: web.RequestHandler) -> None:
        self.refused("silent")
        self._end(connection)

    def _end(self, connection: web.RequestHandler) -> None:
        self.forget(connection)
        connection.force_close()


class _Closed(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
