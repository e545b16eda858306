"""The load generator: a process of its own that does one job and prints what it measured.

``python -m quorate.bench.load '<job as JSON>'`` prints one JSON object. Only the process that
offers the messages takes their times, so no clock of another process is compared with its own,
except for kills: CLOCK_MONOTONIC is one for the whole machine.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from quorate.bench.figures import percentiles
from quorate.bench.timer import FineTimer
from quorate.client.cluster_client import ClusterClient
from quorate.errors import IngressBackPressure

PAYLOAD_BYTES = 100
BURST = 256
"""Offers between two turns of the loop in the closed loop: what the loop of an application that
has much to send does in one turn. Each is an ``offer`` of its own."""
TICK_S = 0.0002
SAMPLE_S = 0.25
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
GAP_S = 0.005
"""Shorter gaps between acknowledgements are not listed."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to do."""

    kind: str
    """A key of ``KINDS``."""
    addresses: tuple[str, ...]
    seconds: float = 0.0
    """How long to measure; 0 until standard input ends."""
    warm_up_s: float = 0.0
    rate: float = 0.0
    """Messages a second of an open loop."""
    pids: tuple[int, ...] = ()
    """Processes whose processor time a closed loop reports beside its own."""

    def encode(self) -> str:
        """Return the form that the process takes as its argument."""
        return json.dumps(asdict(self))


Result = dict[str, object]


class Load:
    """One job on one session."""

    def __init__(self, job: Job) -> None:
        """Prepare."""
        self.job = job
        self.egress = 0
        self.client: ClusterClient
        self.message = b"x" * PAYLOAD_BYTES

    def on_egress(self, _sequence: int, _message: bytes) -> None:
        """Count an answer: what every application does at least."""
        self.egress += 1

    async def run(self) -> Result:
        """Do the job; return what its kind measures."""
        self.client = await ClusterClient.connect(
            self.job.addresses, name="bench", on_egress=self.on_egress, timeout=30
        )
        async with self.client:
            gc.collect()
            gc.freeze()
            return await KINDS[self.job.kind](self)


async def closed_loop(load: Load) -> Result:
    """As many messages as the window takes; samples of (seconds, acknowledged)."""
    client, job = load.client, load.job
    pids = (*job.pids, os.getpid())
    stop = time.monotonic() + job.warm_up_s + job.seconds
    async with asyncio.TaskGroup() as group:
        samples = group.create_task(_sample(load, stop), name="sample")
        processor = group.create_task(_processor(pids, stop, job.seconds), name="processor")
        await _offer_until(load, stop)
        await client.flush()
    measured = [row for row in samples.result() if row[0] >= job.warm_up_s]
    (began, before), (ended, after) = measured[0], measured[-1]
    return {
        "throughput": (after - before) / (ended - began),
        "messages": after,
        "samples": measured,
        "egress_missing": client.last_sequence - load.egress,
        "cores": processor.result(),
    }


async def _offer_until(load: Load, stop: float) -> None:
    client, message, now = load.client, load.message, time.monotonic
    offer = client.offer
    while now() < stop:
        if not client.can_offer:
            await client.ready()
        try:
            for _ in range(BURST):
                offer(message)
        except IngressBackPressure:
            # The window is full: answers come first.
            continue
        await asyncio.sleep(0)


async def _sample(load: Load, stop: float) -> list[tuple[float, int]]:
    began = time.monotonic()
    rows = [(0.0, 0)]
    while (now := time.monotonic()) < stop:
        rows.append((now - began, load.client.acknowledged_sequence))
        await asyncio.sleep(SAMPLE_S)
    rows.append((time.monotonic() - began, load.client.acknowledged_sequence))
    return rows


async def _processor(pids: tuple[int, ...], stop: float, seconds: float) -> list[float]:
    """Return the cores that each process kept busy in the measured time."""
    await asyncio.sleep(stop - seconds - time.monotonic())
    began, before = time.monotonic(), [process_seconds(pid) for pid in pids]
    await asyncio.sleep(stop - time.monotonic())
    used = [process_seconds(pid) - then for pid, then in zip(pids, before, strict=True)]
    passed = time.monotonic() - began
    return [each / passed for each in used]


def process_seconds(pid: int) -> float:
    """Return the processor time of a process, user and system, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


async def idle(load: Load) -> Result:
    """One message under way at a time; percentiles of the round trip in microseconds."""
    request, message, now = load.client.request, load.message, time.perf_counter
    stop = now() + load.job.warm_up_s
    while now() < stop:
        await request(message)
    stop = now() + load.job.seconds
    samples: list[float] = []
    before = now()
    while before < stop:
        await request(message)
        after = now()
        samples.append((after - before) * 1e6)
        before = after
    return {"latency": percentiles(samples), "count": len(samples)}


class _OpenLoop:
    """Messages on schedule, whatever the cluster does, and when they were acknowledged."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._first = load.client.last_sequence
        self._stopping = False
        self.offered = 0
        self.began = time.monotonic()
        self.rows: list[tuple[float, int]] = []
        """Monotonic time, messages acknowledged by then."""

    async def run(self, until: Callable[[], Awaitable[object]]) -> None:
        """Send until that returns, then wait for what is outstanding."""
        async with asyncio.TaskGroup() as group:
            offering = group.create_task(self._offer(), name="offer")
            noting = group.create_task(self._note(), name="note acknowledgements")
            await until()
            self._stopping = True
            await offering
            await self._load.client.flush()
            noting.cancel()

    async def _offer(self) -> None:
        client, message, rate = self._load.client, self._load.message, self._load.job.rate
        with FineTimer(TICK_S) as timer:
            while not self._stopping:
                due = int((time.monotonic() - self.began) * rate) + 1
                while self.offered < due:
                    if not client.can_offer:
                        await client.ready()
                    client.offer(message)
                    self.offered += 1
                await timer.tick()

    async def _note(self) -> None:
        client = self._load.client
        while True:
            await client.wait_acknowledged(client.acknowledged_sequence + 1)
            self.rows.append((time.monotonic(), client.acknowledged_sequence - self._first))

    def latencies_us(self, warm_up_s: float) -> list[float]:
        """Return the latency of each message, from the time it was due, in microseconds."""
        rate, samples, before = self._load.job.rate, list[float](), 0
        for at, count in self.rows:
            passed = at - self.began
            for index in range(before, count):
                due = index / rate
                if due >= warm_up_s:
                    samples.append((passed - due) * 1e6)
            before = count
        return samples


async def open_loop(load: Load) -> Result:
    """A fixed rate for a time; percentiles from the scheduled time in microseconds."""
    job, loop = load.job, _OpenLoop(load)

    async def last() -> None:
        await asyncio.sleep(job.warm_up_s + job.seconds)

    await loop.run(last)
    samples = loop.latencies_us(job.warm_up_s)
    return {"latency": percentiles(samples), "count": len(samples)}


async def gaps(load: Load) -> Result:
    """A fixed rate until standard input ends; the gaps between acknowledgements.

    Times are those of CLOCK_MONOTONIC in seconds, which the killer's are too.
    """
    loop = _OpenLoop(load)
    reader = asyncio.get_running_loop().run_in_executor
    await loop.run(lambda: reader(None, sys.stdin.read))
    times = [at for at, _ in loop.rows]
    return {
        "gaps": [
            (before, after)
            for before, after in itertools.pairwise(times)
            if after - before >= GAP_S
        ],
        "acknowledged": loop.rows[-1][1] if loop.rows else 0,
        "offered": loop.offered,
        "resumptions": load.client.counters.resumptions,
    }


KINDS: dict[str, Callable[[Load], Awaitable[Result]]] = {
    "closed": closed_loop,
    "idle": idle,
    "open": open_loop,
    "gaps": gaps,
}


def main() -> int:
    """Do the job of the first argument."""
    fields = json.loads(sys.argv[1])
    job = Job(**{**fields, "addresses": tuple(fields["addresses"]), "pids": tuple(fields["pids"])})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(Load(job).run())
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
