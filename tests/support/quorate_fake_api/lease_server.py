"""One Lease on an API server of paper, in virtual time: each message takes what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from quorate_fake_api.virtual_loop import VirtualClock, run_virtually
from quorate_operator.errors import Conflict, OperatorError, Unavailable
from quorate_operator.kube.api import Api
from quorate_operator.kube.kinds import Kind
from quorate_operator.lease import Lease
from quorate_operator.planning.observed import Body

Delay = Callable[[], float]


@dataclass
class LeaseServer:
    """One Lease with optimistic locking; a request arrives, and is answered, when a test says.

    What has arrived takes effect even if its sender has given up waiting.
    """

    there: Delay = lambda: 0.01
    back: Delay = lambda: 0.01
    is_away: bool = False
    body: Body | None = None
    version: int = 0
    writes: list[str] = field(default_factory=list)

    async def find(self, kind: Kind, namespace: str, name: str) -> Body | None:
        return await self._travel(lambda: self.body)

    async def create(self, kind: Kind, namespace: str, body: Body, manager: str) -> Body:
        return cast("Body", await self._travel(lambda: self._write(body, None)))

    async def update(self, kind: Kind, namespace: str, name: str, body: Body) -> Body:
        meta = cast("Body", body["metadata"])
        wanted = cast("str", meta["resourceVersion"])
        return cast("Body", await self._travel(lambda: self._write(body, wanted)))

    def _write(self, body: Body, wanted: str | None) -> Body:
        present = None if self.body is None else str(self.version)
        if wanted != present:
            raise Conflict(f"version {wanted}, present is {present}")
        self.version += 1
        meta = {**cast("Body", body["metadata"]), "resourceVersion": str(self.version)}
        self.body = {**body, "metadata": meta}
        self.writes.append(holder_of(self.body))
        return self.body

    async def _travel(self, effect: Callable[[], Body | None]) -> Body | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Body | None] = loop.create_future()
        back = self.back()

        def arrive() -> None:
            try:
                if self.is_away:
                    raise Unavailable("away")
                value = effect()
            except OperatorError as error:
                loop.call_later(back, deliver, None, error)
            else:
                loop.call_later(back, deliver, value, None)

        def deliver(value: Body | None, error: OperatorError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)

        loop.call_later(self.there(), arrive)
        return await answer


def holder_of(body: Body) -> str:
    return cast("str", cast("Body", body["spec"])["holderIdentity"])


def lease_of(server: LeaseServer, holder: str, shift_s: float = 0.0) -> Lease:
    return Lease(cast("Api", server), VirtualClock(shift_s), "ns", "lease", holder)


async def until(condition: Callable[[], bool], limit_s: float = 300.0) -> float:
    """Return how long the condition took in virtual seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < limit_s, "not within the limit"
        await asyncio.sleep(0.01)
    return loop.time() - began


def running(*stories: Callable[[], Awaitable[None]]) -> None:
    """Run the last story; the others go on in the background until it ends."""

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:

            async def run(story: Callable[[], Awaitable[None]]) -> None:
                await story()

            background = [group.create_task(run(story)) for story in stories[:-1]]
            await stories[-1]()
            for task in background:
                task.cancel()

    run_virtually(all_of_them())
