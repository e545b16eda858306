"""Clients that send on a schedule, or all that they may, and see how long answers take."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from quorate.client.cluster_client import ClusterClient

PATIENCE_S = 30.0
_STAMP = struct.Struct("<q")


class Sender:
    """One session. Each message carries when it was accepted; its answer brings that back."""

    def __init__(self, length: int = 100) -> None:
        """Send messages of ``length`` bytes, at least eight."""
        self.client: ClusterClient
        self.sent = 0
        self.refused = 0
        """Messages that found no credit."""
        self.answered = 0
        self.latencies_ns: list[int] = []
        self._filler = bytes(length - _STAMP.size)

    async def connect(self, addresses: Sequence[str]) -> None:
        """Open the session."""
        self.client = await ClusterClient.connect(
            addresses, timeout=PATIENCE_S, on_egress=self._on_egress
        )

    def forget(self) -> None:
        """Begin to count anew."""
        self.sent = self.refused = self.answered = 0
        self.latencies_ns = []

    async def at_rate(self, messages_per_s: float, seconds: float) -> None:
        """Offer by schedule, whether or not answers come; what finds no credit is dropped."""
        loop = asyncio.get_running_loop()
        began, due = loop.time(), 0
        while (passed := loop.time() - began) < seconds:
            now_due = int(passed * messages_per_s)
            # What finds no credit costs nothing here, or this client would be what is too slow.
            while due < now_due and self.client.can_offer:
                self._offer()
                due += 1
            self.refused += now_due - due
            due = now_due
            # The schedule is the input.
            await asyncio.sleep(0.002)

    async def all_it_may(self, seconds: float) -> None:
        """Offer as much as there is credit."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            while self.client.can_offer:
                for _ in range(64):
                    if self.client.can_offer:
                        self._offer()
                await asyncio.sleep(0)
                if loop.time() >= until:
                    return
            await self.client.ready()

    async def settle(self) -> None:
        """Wait until everything is answered."""
        async with asyncio.timeout(PATIENCE_S):
            await self.client.flush()

    def _offer(self) -> None:
        self.client.offer(_STAMP.pack(time.perf_counter_ns()) + self._filler)
        self.sent += 1

    def _on_egress(self, _sequence: int, message: bytes) -> None:
        self.answered += 1
        (sent_at,) = _STAMP.unpack_from(message)
        self.latencies_ns.append(time.perf_counter_ns() - sent_at)


@asynccontextmanager
async def senders(
    addresses: Sequence[str], count: int = 1, length: int = 100
) -> AsyncIterator[list[Sender]]:
    """Connect that many sessions; close them behind the block."""
    async with AsyncExitStack() as stack:
        found = [Sender(length) for _ in range(count)]
        for sender in found:
            await sender.connect(addresses)
            stack.push_async_callback(sender.client.close)
        yield found


async def answered_per_s(
    clients: Sequence[Sender], send: Callable[[Sender], Awaitable[None]]
) -> float:
    """Let each client send; return how many answers came in a second, from all of them."""
    for one in clients:
        await one.settle()
        one.forget()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for one in clients:
            group.create_task(_run(send, one), name="send")
    return sum(one.answered for one in clients) / (time.perf_counter() - began)


async def _run(send: Callable[[Sender], Awaitable[None]], one: Sender) -> None:
    await send(one)


def wait_ms(clients: Sequence[Sender], percent: float = 99) -> float:
    """Return within how many milliseconds so many percent of all answers came."""
    return percentile_ms([latency for one in clients for latency in one.latencies_ns], percent)


def percentile_ms(latencies_ns: Sequence[int], percent: float) -> float:
    """Return the latency below which so many percent lie."""
    assert latencies_ns, "nothing was answered"
    return (
        sorted(latencies_ns)[min(len(latencies_ns) - 1, int(len(latencies_ns) * percent / 100))]
        / 1e6
    )
