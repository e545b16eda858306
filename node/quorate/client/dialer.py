"""Keeps one connection to the right member: dials, follows redirects, leaves silent members."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

from quorate.client.member_link import MemberLink
from quorate.client.member_rotation import MemberRotation
from quorate.client.session import Session
from quorate.client.session_events import Established, Event
from quorate.config import split_address

CONNECT_TIMEOUT_S: Final = 1.0
"""One attempt to connect, name look-up included."""
_LOST_SUSPECT_NS: Final = 100_000_000
"""A broken connection: the process is gone, which the others notice as quickly."""
_SILENT_SUSPECT_NS: Final = 1_000_000_000
"""A frozen or cut-off member: the others need an election timeout."""


class Dialer:
    """The connections of one session, one after the other."""

    def __init__(
        self,
        session: Session,
        rotation: MemberRotation,
        loop: asyncio.AbstractEventLoop,
        on_events: Callable[[list[Event]], None],
    ) -> None:
        """Dial nobody before ``run``."""
        self.address = ""
        self.connections = 0
        self.redirects = 0
        self.rotation = rotation
        self._session = session
        self._loop = loop
        self._on_events = on_events
        self._is_reading = True
        self._link: MemberLink | None = None
        self._follow: asyncio.TimerHandle | None = None
        self._outcomes: dict[str, str] = {}
        """How the last attempt at each address ended, until a session is open."""

    def describe_attempts(self) -> list[str]:
        """Return each address, with what is known about why no session was opened there."""
        return [
            f"{address} ({self._outcomes[address]})" if address in self._outcomes else address
            for address in self.rotation.addresses
        ]

    async def run(self) -> None:
        """Dial for ever; ends by cancellation."""
        while True:
            if self.rotation.delay_ns:
                await asyncio.sleep(self.rotation.delay_ns / 1e9)
            self.address = self.rotation.next()
            # Taken back when a session is open there.
            self.rotation.on_failure()
            self._link = MemberLink(self._session, self._loop, self._on_events)
            try:
                await self._connect(self._link)
                self._note_outcome("answered, opened none")
                await self._link.lost
            except (OSError, TimeoutError) as error:
                self._note_outcome(_describe(error))
            finally:
                self._suspect(_LOST_SUSPECT_NS)
                self._cancel_follow()
                self.leave()
                self._link = None

    def _note_outcome(self, outcome: str) -> None:
        # Redirects may name ever new addresses; only those of the members are told of.
        if self.address in self.rotation.addresses:
            self._outcomes[self.address] = outcome

    def plan_flush(self) -> None:
        """Send at the end of this turn of the loop, if there is a connection."""
        if self._link is not None:
            self._link.plan_flush()

    def set_reading(self, *, is_reading: bool) -> None:
        """Stop or go on reading from the member, whichever connection leads there."""
        if is_reading is not self._is_reading:
            self._is_reading = is_reading
            if self._link is not None:
                self._link.set_reading(is_reading=is_reading)

    def leave(self) -> None:
        """Drop the connection; the next member is dialled."""
        if self._link is not None:
            self._link.abort()

    def leave_silent(self) -> None:
        """Drop the connection to a member that may be frozen or cut off."""
        self._suspect(_SILENT_SUSPECT_NS)
        self.leave()

    def on_established(self, event: Established) -> None:
        """A session is open on this connection."""
        self._cancel_follow()
        if not self._is_reading and self._link is not None:
            # Not before: redirects are to be read whatever the application has not taken yet.
            self._link.set_reading(is_reading=False)
        self.rotation.on_success()
        self._outcomes.clear()
        # One that cannot be dialled would end the dialler, and with it the client.
        self.rotation.learn([address for address in event.members if _is_address(address)])

    def on_redirected(self, address: str) -> None:
        """Go where the leader is, unless that member has just been found wanting."""
        self._cancel_follow()
        if not address or address == self.address or not _is_address(address):
            return
        until = self.rotation.suspect_until(address, self._now())
        if until is None:
            self._follow_redirect(address)
        else:
            # This member has not noticed yet that its leader is gone; it tells us when it has.
            self._follow = self._loop.call_at(until / 1e9, self._follow_redirect, address)

    async def _connect(self, link: MemberLink) -> None:
        host, port = split_address(self.address)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._loop.create_connection(lambda: link, host, port)
        self.connections += 1

    def _follow_redirect(self, address: str) -> None:
        self._follow = None
        self.redirects += 1
        self.rotation.prefer(address)
        self.leave()

    def _suspect(self, for_ns: int) -> None:
        now = self._now()
        if self.rotation.suspect_until(self.address, now) is None:
            self.rotation.suspect(self.address, now + for_ns)

    def _cancel_follow(self) -> None:
        if self._follow is not None:
            self._follow.cancel()
            self._follow = None

    def _now(self) -> int:
        return int(self._loop.time() * 1e9)


def _describe(error: OSError) -> str:
    """Name the failure without the address and numbers that asyncio adds to it."""
    if isinstance(error, TimeoutError):
        return f"no answer in {CONNECT_TIMEOUT_S} s"
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _is_address(address: str) -> bool:
    try:
        split_address(address)
    except ValueError:
        return False
    return True
