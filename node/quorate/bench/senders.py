"""Sessions that offer by schedule, or all that they may, and see how long answers take."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from quorate.bench.job import PAYLOAD_BYTES
from quorate.client.cluster_client import ClusterClient

PATIENCE_S = 30.0
TICK_S = 0.002
BURST = 128
"""Offers of one session between two turns of the loop."""
_STAMP = struct.Struct("<qq")


class Sender:
    """One session. Each message carries its number and when it was accepted; an echo brings both.

    So every answer is seen to be the next one due, in its order and once.
    """

    def __init__(self, length: int = PAYLOAD_BYTES) -> None:
        """Send messages of ``length`` bytes, at least sixteen."""
        self.client: ClusterClient
        self.sent = 0
        self.refused = 0
        """Messages that were due and not accepted: mostly for want of credit."""
        self.answered = 0
        self.wrong: tuple[int, int] | None = None
        """The first answer that was not the next one due: the number due and that of the answer."""
        self.latencies_ns: list[int] = []
        self._filler = bytes(length - _STAMP.size)
        self._offered = 0
        self._due = 0

    async def connect(self, addresses: Sequence[str]) -> None:
        """Open the session."""
        self.client = await ClusterClient.connect(
            addresses, timeout=PATIENCE_S, on_egress=self._on_egress
        )

    def forget(self) -> None:
        """Begin to count anew; what is under way is still checked when it comes."""
        self.sent = self.refused = self.answered = 0
        self.latencies_ns = []

    @property
    def unanswered(self) -> int:
        """Messages under way."""
        return self._offered - self._due

    def offer(self, count: int) -> int:
        """Offer so many messages, as far as there is credit; return how many those were."""
        client, filler = self.client, self._filler
        first = number = self._offered
        while number < first + count and client.can_offer:
            client.offer(_STAMP.pack(number, time.perf_counter_ns()) + filler)
            number += 1
        self._offered = number
        self.sent += number - first
        return number - first

    async def offer_in_bursts(self, count: int, burst: int, until: float) -> int:
        """Offer so many, with turns of the loop between bursts, until there is no credit.

        Nor beyond a loop time; return how many were accepted.
        """
        loop, left = asyncio.get_running_loop(), count
        while left and loop.time() < until:
            asked = min(burst, left)
            accepted = self.offer(asked)
            left -= accepted
            if accepted < asked:
                break
            if left:
                await asyncio.sleep(0)
        return count - left

    async def all_it_may(self, seconds: float) -> None:
        """Offer as much as there is credit."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            while self.offer(BURST):
                await asyncio.sleep(0)
                if loop.time() >= until:
                    return
            await self.client.ready()

    async def settle(self) -> None:
        """Wait until everything is answered."""
        async with asyncio.timeout(PATIENCE_S):
            await self.client.flush()

    def _on_egress(self, _sequence: int, message: bytes) -> None:
        number, sent_at = _STAMP.unpack_from(message)
        if number != self._due and self.wrong is None:
            self.wrong = (self._due, number)
        self._due += 1
        self.answered += 1
        self.latencies_ns.append(time.perf_counter_ns() - sent_at)


@asynccontextmanager
async def senders(addresses: Sequence[str], count: int = 1) -> AsyncIterator[list[Sender]]:
    """Connect that many sessions; close them behind the block."""
    async with AsyncExitStack() as stack:
        found = [Sender() for _ in range(count)]
        for sender in found:
            await sender.connect(addresses)
            stack.push_async_callback(sender.client.close)
        yield found


async def by_schedule(
    clients: Sequence[Sender], rate: float, seconds: float, burst: int = BURST
) -> None:
    """Offer ``rate`` messages a second by schedule, to the sessions in turns.

    Whether or not answers come: what finds no credit is dropped. So a rate far beyond what a
    cluster takes costs this process nothing, or this process would be what is too slow.

    Args:
        clients: At least one.
        rate: Messages a second of all together.
        seconds: For how long.
        burst: Offers of one session between two turns of the loop; where it is more than there can
            be credit for, credit runs out however slow this process is.

    """
    loop, count = asyncio.get_running_loop(), len(clients)
    began, done, first = loop.time(), 0, 0
    while (passed := loop.time() - began) < seconds:
        due = int(passed * rate)
        each, more = divmod(due - done, count)
        done = due
        for number in range(count if each else more):
            share = each + (number < more)
            one = clients[(first + number) % count]
            one.refused += share - await one.offer_in_bursts(share, burst, began + seconds)
        first = (first + more) % count
        # The schedule is the input.
        await asyncio.sleep(TICK_S)
    # What this process was too late for was due as well.
    clients[first].refused += int(seconds * rate) - done


async def all_they_may(clients: Sequence[Sender], seconds: float) -> None:
    """Offer as much as all have credit for."""
    async with asyncio.TaskGroup() as group:
        for one in clients:
            group.create_task(one.all_it_may(seconds), name="send")


async def settle(clients: Sequence[Sender]) -> None:
    """Wait until everything of all is answered."""
    for one in clients:
        await one.settle()
