"""Dials one seat whenever no link to it stands.

The name is resolved anew at every attempt, off the loop: in Kubernetes a member comes back
under another address. The first attempt after a break is made at once, because its refusal
is how the others learn that a process has died and not only a connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from quorate.consensus.types import Seat
from quorate.transport.interfaces import LinkSettings
from quorate.transport.member_connection import MemberConnection

_Addresses: TypeAlias = list[tuple[str, int]]


class Dialler:
    """The attempts to reach one seat; ``run`` is its task."""

    def __init__(
        self,
        seat: Seat,
        address: tuple[str, int],
        settings: LinkSettings,
        *,
        connection: Callable[[Seat], MemberConnection],
        on_refused: Callable[[Seat], None],
        jitter: Callable[[], float],
    ) -> None:
        """Prepare; nothing happens before ``run``.

        Args:
            seat: Whom to dial.
            address: Host and port, the host a name or an IP address.
            settings: Timeouts and backoff.
            connection: Makes a fresh connection that shakes hands as the dialling side.
            on_refused: Called when the machine at every address says that nobody listens.
            jitter: Random number in [0, 1).

        """
        self._seat = seat
        self._host, self._port = address
        self._settings = settings
        self._connection = connection
        self._on_refused = on_refused
        self._jitter = jitter
        self._missing = asyncio.Event()
        self._missing.set()
        self._hurry = asyncio.Event()
        self._is_patient = False
        self._up_since = 0.0
        self._backoff_s = settings.backoff_min_s
        self._current: MemberConnection | None = None
        self._resolving: asyncio.Task[_Addresses] | None = None

    def link_up(self, link: MemberConnection) -> None:
        """Stop dialling: a link to the seat stands, dialled from here or from there."""
        self._missing.clear()
        self._hurry.clear()
        self._up_since = asyncio.get_running_loop().time()
        if self._current is not None and self._current is not link:
            self._current.close()

    def link_down(self, *, at_once: bool) -> None:
        """Dial again: at once after a break, after a pause when a side closed on purpose.

        A link that stood for a moment only counts as one more failed attempt, so that two
        members which cannot keep a link do not spin.
        """
        stood_s = asyncio.get_running_loop().time() - self._up_since
        has_stood = stood_s > self._settings.backoff_max_s
        if has_stood:
            self._backoff_s = self._settings.backoff_min_s
        self._is_patient = not (at_once and has_stood)
        self._missing.set()
        if not self._is_patient:
            self._hurry.set()

    async def run(self) -> None:
        """Dial whenever the link is missing, until cancelled."""
        try:
            while True:
                await self._missing.wait()
                if self._is_patient:
                    self._is_patient = False
                    await self._pause()
                self._hurry.clear()
                await self._attempt()
                if self._missing.is_set():
                    await self._pause()
        finally:
            if self._resolving is not None:
                self._resolving.cancel()

    async def _attempt(self) -> None:
        """Dial once and wait until the handshake has an outcome."""
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                connection = await self._connect()
        except ConnectionRefusedError:
            self._on_refused(self._seat)
            return
        except (OSError, UnicodeError):
            # No route, no such name, no time: try again later, the name may change meanwhile.
            return
        if not self._missing.is_set():
            connection.close()
        self._current = connection
        try:
            await connection.settled.wait()
        finally:
            self._current = None

    async def _connect(self) -> MemberConnection:
        """Connect to the first address of the name that answers.

        Raises:
            ConnectionRefusedError: Every address refused.
            OSError: The name has no address, or none answered.

        """
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for host, port in await self._resolve():
            connection = self._connection(self._seat)
            try:
                await loop.create_connection(partial(_given, connection), host, port)
            except OSError as error:
                connection.abandon()
                if failure is None or not isinstance(error, ConnectionRefusedError):
                    failure = error
            except asyncio.CancelledError:
                # Too slow, or no longer wanted. It may be connected all the same, and uvloop
                # then drops the socket without telling the protocol.
                connection.abandon()
                raise
            else:
                return connection
        raise failure or OSError(f"{self._host} has no address")

    async def _resolve(self) -> _Addresses:
        # A look-up that hangs holds a thread: an abandoned one is waited for, not doubled.
        if self._resolving is None or self._resolving.done():
            loop = asyncio.get_running_loop()
            self._resolving = loop.create_task(
                _look_up(self._host, self._port), name=f"resolve seat {self._seat}"
            )
            self._resolving.add_done_callback(_note_failure)
        return await asyncio.shield(self._resolving)

    async def _pause(self) -> None:
        delay = self._backoff_s * (0.5 + self._jitter() / 2)
        self._backoff_s = min(2 * self._backoff_s, self._settings.backoff_max_s)
        try:
            async with asyncio.timeout(delay):
                await self._hurry.wait()
        except TimeoutError:
            return


async def _look_up(host: str, port: int) -> _Addresses:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(sockaddr[0]), int(sockaddr[1])) for *_, sockaddr in found]


def _given(connection: MemberConnection) -> MemberConnection:
    return connection


def _note_failure(resolving: asyncio.Task[_Addresses]) -> None:
    """Mark a failure as seen: nobody may be waiting any more."""
    if not resolving.cancelled():
        resolving.exception()
