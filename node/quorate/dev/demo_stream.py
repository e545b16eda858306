"""A paced stream of messages through one session, and when each was acknowledged.

The stream is open loop: message n is due n / rate seconds after the start whatever the cluster
does, and its latency counts from there. So a leader that is gone for 50 ms shows up in the
latency of every message that was due meanwhile, as it would for independent users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from quorate.client.cluster_client import ClusterClient
from quorate.errors import NotConnected

TICK_S = 0.002
"""How often what has become due is offered: the batch of a tick goes out as one frame."""
STALL_S = 20.0
"""Without an acknowledgement for so long the stream has failed: elections take a second."""


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """What the stream measured; times in seconds."""

    duration_s: float
    """From the first message due to the last acknowledgement."""
    longest_gap_s: float
    """Between two acknowledgements, or from the start to the first."""
    longest_gap_at: int
    """Messages acknowledged when it began."""
    latency_s: dict[str, float]
    """By percentile: ``p50``, ``p99``, ``p99.9``."""


@dataclass(slots=True)
class AcknowledgementLog:
    """When how much was acknowledged, relative to the start of the stream."""

    rows: list[tuple[float, int]] = field(default_factory=list)
    """Time in seconds and number of messages acknowledged by then; both only rise."""

    @property
    def count(self) -> int:
        """Messages acknowledged so far."""
        return self.rows[-1][1] if self.rows else 0

    def figures(self, rate: float) -> StreamFigures:
        """Return what the rows say about a stream of ``rate`` messages a second."""
        latencies: list[float] = []
        gap, gap_at = 0.0, 0
        before_s, before = 0.0, 0
        for at_s, count in self.rows:
            if at_s - before_s > gap:
                gap, gap_at = at_s - before_s, before
            latencies.extend(at_s - index / rate for index in range(before, count))
            before_s, before = at_s, count
        latencies.sort()
        shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
        percentiles = {name: percentile(latencies, share) for name, share in shares.items()}
        return StreamFigures(before_s, gap, gap_at, percentiles)


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of the sorted values do not exceed; 0 for no values."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]


class PacedStream:
    """Offers messages on schedule and notes their acknowledgements."""

    def __init__(self, client: ClusterClient, messages: Sequence[bytes], rate: float) -> None:
        """Prepare; ``run`` sends.

        Args:
            client: An open session. Nobody else may offer on it meanwhile.
            messages: What is sent.
            rate: Messages a second.

        """
        self.offered = 0
        self.acknowledged = AcknowledgementLog()
        self._client = client
        self._messages = messages
        self._rate = rate
        self._first = client.last_sequence
        self._moved = asyncio.Condition()
        self._began = 0.0

    async def run(self) -> None:
        """Send everything and return when the last message is acknowledged.

        Raises:
            ClientError: The session has ended before, or nothing was acknowledged for long
                (``NotConnected``); in an exception group.

        Blocking: at least as long as the schedule is.

        """
        self._began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._offer_all(), name="offer")
            group.create_task(self._note_acknowledgements(), name="note acknowledgements")

    async def reached(self, count: int) -> None:
        """Wait until so many messages are acknowledged."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.acknowledged.count >= count)

    async def _offer_all(self) -> None:
        loop = asyncio.get_running_loop()
        client, messages = self._client, self._messages
        offer = client.offer
        while self.offered < len(messages):
            due = min(len(messages), int((loop.time() - self._began) * self._rate) + 1)
            while self.offered < due:
                if not client.can_offer:
                    await client.ready()
                offer(messages[self.offered])
                self.offered += 1
            await asyncio.sleep(TICK_S)

    async def _note_acknowledgements(self) -> None:
        loop = asyncio.get_running_loop()
        client, log, first = self._client, self.acknowledged, self._first
        while log.count < len(self._messages):
            try:
                async with asyncio.timeout(STALL_S):
                    await client.wait_acknowledged(client.acknowledged_sequence + 1)
            except TimeoutError:
                text = f"nothing was acknowledged for {STALL_S:g} s, behind message {log.count:,}"
                raise NotConnected(text) from None
            row = (loop.time() - self._began, client.acknowledged_sequence - first)
            async with self._moved:
                log.rows.append(row)
                self._moved.notify_all()
