"""What is known of the members at any moment, and waiting for it to change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quorate.consensus.types import Seat
from quorate.control.client import ControlClient
from quorate.control.status import MemberStatus
from quorate.errors import NotConnected, RemoteProtocolError

POLL_S = 20
RETRY_S = 0.05
"""Between two attempts to reach a member that does not answer: it is starting, or is down."""
FROZEN_S = 2.0
"""A member that accepts but does not answer for so long is shown as not answering."""
SILENT_S = 10.0
"""After so long without an answer a person is told: a service that does not return can say nothing
itself."""

Statuses = dict[Seat, MemberStatus | None]


class StatusBoard:
    """The latest status of each seat; None for one that does not answer."""

    def __init__(self, addresses: dict[Seat, str], client: ControlClient) -> None:
        """Know nothing yet; ``watch`` fills it."""
        self._addresses = addresses
        self._client = client
        self._changed = asyncio.Condition()
        self.statuses: Statuses = dict.fromkeys(addresses)
        self.silent: set[Seat] = set()
        """Those that have not answered for ``SILENT_S``, whether their process runs or not."""
        self._silent_since: dict[Seat, float] = {}

    def leader(self) -> MemberStatus | None:
        """Return the member that leads, by the highest term that anyone tells of."""
        present = [status for status in self.statuses.values() if status is not None]
        term = max((status.leadership_term_id for status in present), default=0)
        return next(
            (
                status
                for status in present
                if status.role == "leader" and status.leadership_term_id == term
            ),
            None,
        )

    async def watch(self, seat: Seat) -> None:
        """Follow one member for ever, by long poll."""
        while True:
            known = self.statuses[seat]
            after = None if known is None else known.status_version
            try:
                status = await self._client.status(
                    self._addresses[seat], after=after, wait_s=POLL_S
                )
            except (NotConnected, RemoteProtocolError):
                await self.tell(seat, None)
                await self._note_silence(seat)
                await asyncio.sleep(RETRY_S)
            else:
                self.expect(seat)
                await self.tell(seat, status)

    def expect(self, seat: Seat) -> None:
        """Give a seat that has answered, or has a new process, its whole time anew."""
        self._silent_since.pop(seat, None)
        self.silent.discard(seat)

    async def _note_silence(self, seat: Seat) -> None:
        now = asyncio.get_running_loop().time()
        since = self._silent_since.setdefault(seat, now)
        if now - since >= SILENT_S and seat not in self.silent:
            self.silent.add(seat)
            await self.wake()

    async def refresh(self) -> Statuses:
        """Ask every member now, whatever the long polls say, and return the answers."""
        async with asyncio.TaskGroup() as group:
            for seat in self._addresses:
                group.create_task(self._refresh(seat), name=f"status of seat {seat}")
        return dict(self.statuses)

    async def _refresh(self, seat: Seat) -> None:
        try:
            async with asyncio.timeout(FROZEN_S):
                status = await self._client.status(self._addresses[seat])
        except (NotConnected, RemoteProtocolError, TimeoutError):
            await self.tell(seat, None)
        else:
            await self.tell(seat, status)

    async def tell(self, seat: Seat, status: MemberStatus | None) -> None:
        """Take over what is known of a seat."""
        if status == self.statuses[seat]:
            return
        async with self._changed:
            self.statuses[seat] = status
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as this holds; it is asked anew with every change."""
        async with self._changed:
            await self._changed.wait_for(holds)

    async def wake(self) -> None:
        """Have every waiter look again: something beside the statuses has changed."""
        async with self._changed:
            self._changed.notify_all()
