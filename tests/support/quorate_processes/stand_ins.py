"""Shell scripts in the place of members, and what their control ports would say, for DevCluster."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Self

from quorate.consensus.types import Seat
from quorate.control.status import MemberState, MemberStatus
from quorate.dev.layout import DevDirectory, DevOptions
from quorate.errors import NotConnected

RUNS = "while :; do sleep 0.02; done"
"""A member that runs until a signal ends it."""


def command(script: str) -> tuple[str, ...]:
    """Return what starts a script as a member; ``$seat`` names its seat, ``$home`` its folder."""
    found = 'home=$(dirname "$2"); seat=${home##*-}'
    return ("sh", "-c", f"{found}; {script}", "member")


def says(seat: int, state: MemberState, *, term: int = 1, founded: bool = True) -> MemberStatus:
    """Return the status of a member in this state."""
    role = state.value if state in {MemberState.LEADER, MemberState.CANDIDATE} else "follower"
    identity = (1, "0.1.0", "c" * 32, 0, "d" * 32, seat, "e" * 16)
    return MemberStatus(*identity, state, role=role, leadership_term_id=term, founded=founded)


class ControlPorts:
    """Stands for the control client: members answer what the test has put there, and are asked."""

    def __init__(self, options: DevOptions) -> None:
        directory = DevDirectory.open(options)
        directory.close()
        self._seats = {row.control_address: row.seat for row in directory.seats}
        self._said: dict[Seat, MemberStatus | None] = dict.fromkeys(self._seats.values())
        self._changed = asyncio.Condition()
        self.founding_asked: list[Seat] = []
        self.refusals: list[Exception] = []
        """Of the next attempts to found, in order; then one succeeds."""
        self.founded_says: list[MemberStatus] = []
        """What members say once it has succeeded."""
        self.transfers: list[tuple[Seat, Seat | None]] = []

    def __call__(self, _token: str) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def put(self, *statuses: MemberStatus) -> None:
        """Have members say this from now on."""
        async with self._changed:
            for status in statuses:
                before = self._said[Seat(status.seat)]
                version = 1 if before is None else before.status_version + 1
                self._said[Seat(status.seat)] = replace(status, status_version=version)
            self._changed.notify_all()

    async def hush(self, *seats: int) -> None:
        """Have members say nothing any more."""
        async with self._changed:
            for seat in seats:
                self._said[Seat(seat)] = None
            self._changed.notify_all()

    async def status(
        self, address: str, *, after: int | None = None, wait_s: int = 20
    ) -> MemberStatus:
        seat = self._seats[address]
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_news(seat, after))
        said = self._said[seat]
        if said is None:
            raise NotConnected(address)
        return said

    def _is_news(self, seat: Seat, after: int | None) -> bool:
        said = self._said[seat]
        return said is None or said.status_version != after

    async def found(self, address: str) -> str:
        self.founding_asked.append(self._seats[address])
        if self.refusals:
            raise self.refusals.pop(0)
        await self.put(*self.founded_says)
        return "founded"

    async def transfer(self, address: str, to: Seat | None = None) -> str:
        self.transfers.append((self._seats[address], to))
        return "handed over"


def lines_of(path: Path) -> list[str]:
    """Return what scripts have written into a file, nothing if there is none."""
    return path.read_text().splitlines() if path.exists() else []
