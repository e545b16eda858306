"""A served control port of a member that a test plays, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp

from quorate.consensus.types import Seat
from quorate.control.client import ControlClient
from quorate.control.metrics import Metrics
from quorate.control.port import Gauges, Health, OnOutcome
from quorate.control.server import ControlServer
from quorate.control.status import MemberState, MemberStatus

STATUS = MemberStatus(1, "0.1.0", "c" * 32, 0, "d" * 32, 1, "e" * 16, MemberState.FOLLOWER)


class FakePort:
    """A member that does as the test says."""

    def __init__(self) -> None:
        self.current = STATUS
        self.changed = asyncio.Condition()
        self.asked: list[tuple[str, object]] = []
        self.was_asked = asyncio.Event()
        self.was_polled = asyncio.Event()
        self.refusal: str | None = None
        self.on_outcome: OnOutcome | None = None
        self.health = Health(ok=True, reason="fine")

    def status(self) -> MemberStatus:
        return self.current

    async def wait_status(self, after: int) -> None:
        self.was_polled.set()
        async with self.changed:
            await self.changed.wait_for(lambda: self.current.status_version != after)

    async def change(self, **fields: Any) -> None:  # noqa: ANN401 - any field of the status
        async with self.changed:
            version = self.current.status_version + 1
            self.current = replace(self.current, status_version=version, **fields)
            self.changed.notify_all()

    def gauges(self) -> Gauges:
        return Gauges(sessions=3)

    def found(self, *, discard: bool, on_outcome: OnOutcome) -> str | None:
        self.asked.append(("found", discard))
        self.on_outcome = on_outcome
        self.was_asked.set()
        return self.refusal

    def transfer(self, target: Seat | None, on_outcome: OnOutcome) -> str | None:
        self.asked.append(("transfer", target))
        self.on_outcome = on_outcome
        self.was_asked.set()
        return self.refusal

    def alive(self) -> Health:
        return self.health

    def ready(self) -> Health:
        return self.health

    def started(self) -> Health:
        return self.health


class World:
    """A served fake member and a client of it."""

    def __init__(
        self, port: FakePort, metrics: Metrics, address: str, client: ControlClient
    ) -> None:
        self.port, self.metrics, self.address, self.client = port, metrics, address, client
        self.http = aiohttp.ClientSession()

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(f"http://{self.address}{path}") as response:
            return response.status, await response.text()

    async def post(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
        url = f"http://{self.address}{path}"
        async with self.http.post(url, data=data, headers=headers) as response:
            return response.status, await response.text()


@asynccontextmanager
async def world(token: bytes | None = None, client_token: str = "") -> AsyncIterator[World]:
    port, metrics = FakePort(), Metrics()
    served = ControlServer(port, metrics, token=lambda: token)
    number = await served.start("127.0.0.1", 0)
    async with ControlClient(client_token) as client:
        here = World(port, metrics, f"127.0.0.1:{number}", client)
        try:
            yield here
        finally:
            await here.http.close()
            await served.close()
