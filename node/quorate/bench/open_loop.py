"""Loops by the clock: one message at a time, and messages on schedule whatever the cluster does."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable

from quorate.bench.closed_loop import CONNECT_TIMEOUT_S, settle_memory
from quorate.bench.figures import percentiles
from quorate.bench.job import PAYLOAD_BYTES, Job, Result
from quorate.bench.schedule import held, histogram, late_us
from quorate.bench.timer import FineTimer
from quorate.client.cluster_client import ClusterClient

TICK_S = 0.0002
GAP_S = 0.005
"""Shorter gaps between acknowledgements are not listed."""
_MESSAGE = b"x" * PAYLOAD_BYTES


def _drop(_sequence: int, _message: bytes) -> None:
    """Take an answer: its acknowledgement is what counts."""


async def _connect(job: Job) -> ClusterClient:
    client = await ClusterClient.connect(
        job.addresses, name="bench", on_egress=_drop, timeout=CONNECT_TIMEOUT_S
    )
    settle_memory()
    return client


async def idle(job: Job) -> Result:
    """One message under way at a time; the round trips in microseconds."""
    now = time.perf_counter
    async with await _connect(job) as client:
        request = client.request
        stop = now() + job.warm_up_s
        while now() < stop:
            await request(_MESSAGE)
        stop = now() + job.seconds
        samples: list[float] = []
        before = now()
        while before < stop:
            await request(_MESSAGE)
            after = now()
            samples.append((after - before) * 1e6)
            before = after
    return _latency(samples)


def _latency(samples: list[float]) -> Result:
    return {
        "latency": percentiles(samples),
        "count": len(samples),
        "max": max(samples, default=0.0),
        "histogram": list(histogram(samples).items()),
    }


class OpenLoop:
    """Messages on schedule, whatever the cluster does, and when they were acknowledged."""

    def __init__(self, client: ClusterClient, rate: float) -> None:
        """Begin the schedule now."""
        self._client = client
        self._rate = rate
        self._first = client.last_sequence
        self._stopping = False
        self.began = time.monotonic()
        self.sent: list[tuple[float, int]] = []
        """Monotonic time, messages offered by then."""
        self.acknowledged: list[tuple[float, int]] = []
        """Monotonic time, messages acknowledged by then."""

    async def run(self, until: Callable[[], Awaitable[object]]) -> None:
        """Send until that returns, then wait for what is outstanding."""
        async with asyncio.TaskGroup() as group:
            offering = group.create_task(self._offer(), name="offer")
            noting = group.create_task(self._note(), name="note acknowledgements")
            await until()
            self._stopping = True
            await offering
            await self._client.flush()
            # The last acknowledgement woke that task, too; let it note it.
            await asyncio.sleep(0)
            noting.cancel()

    async def _offer(self) -> None:
        client, rate, offered = self._client, self._rate, 0
        with FineTimer(TICK_S) as timer:
            while not self._stopping:
                due = int((time.monotonic() - self.began) * rate) + 1
                while offered < due:
                    if not client.can_offer:
                        await client.ready()
                    client.offer(_MESSAGE)
                    offered += 1
                self.sent.append((time.monotonic(), offered))
                await timer.tick()

    async def _note(self) -> None:
        client = self._client
        while True:
            await client.wait_acknowledged(client.acknowledged_sequence + 1)
            at = time.monotonic()
            self.acknowledged.append((at, client.acknowledged_sequence - self._first))


async def open_loop(job: Job) -> Result:
    """A fixed rate for a time; latencies from the scheduled time in microseconds."""
    seconds = job.warm_up_s + job.seconds
    async with await _connect(job) as client:
        loop = OpenLoop(client, job.rate)
        await loop.run(lambda: asyncio.sleep(seconds))
    began, rate, warm_up_s = loop.began, job.rate, job.warm_up_s
    samples = late_us(loop.acknowledged, began=began, rate=rate, warm_up_s=warm_up_s)
    sent_late = late_us(loop.sent, began=began, rate=rate, warm_up_s=warm_up_s)
    return {
        **_latency(samples),
        "sent_late": percentiles(sent_late),
        "held": held(loop.acknowledged, began=began, rate=rate, seconds=seconds),
    }


async def gaps(job: Job) -> Result:
    """A fixed rate until standard input ends; the gaps between acknowledgements.

    Times are those of CLOCK_MONOTONIC in seconds, which is one for the whole machine, so they
    compare with the killer's.
    """
    async with await _connect(job) as client:
        loop = OpenLoop(client, job.rate)
        reader = asyncio.get_running_loop().run_in_executor
        await loop.run(lambda: reader(None, sys.stdin.read))
        resumptions = client.counters.resumptions
    times = [at for at, _ in loop.acknowledged]
    return {
        "gaps": [
            (before, after)
            for before, after in itertools.pairwise(times)
            if after - before >= GAP_S
        ],
        "acknowledged": loop.acknowledged[-1][1] if loop.acknowledged else 0,
        "offered": loop.sent[-1][1],
        "resumptions": resumptions,
    }


async def idle_sessions(job: Job) -> Result:
    """Hold sessions that send nothing until standard input ends; a line says when all are open."""
    clients: list[ClusterClient] = []
    try:
        for _ in range(job.connections):
            clients.append(await _connect_idle(job))  # noqa: PERF401 - the `finally` needs each
        settle_memory()
        print('{"open": true}', flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    finally:
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                group.create_task(client.close(), name=f"close session {number}")
    return {"sessions": len(clients)}


async def _connect_idle(job: Job) -> ClusterClient:
    return await ClusterClient.connect(
        job.addresses, name="idle", on_egress=_drop, timeout=CONNECT_TIMEOUT_S
    )
