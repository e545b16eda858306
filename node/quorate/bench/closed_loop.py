"""Closed loops: a message waits for answers to earlier ones, so the cluster sets the pace."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from quorate.bench.job import PAYLOAD_BYTES, Job, Result
from quorate.bench.lone_frames import LoneFrameClient
from quorate.bench.processes import busy_seconds, process_seconds, resident_mib
from quorate.client.cluster_client import ClusterClient
from quorate.errors import IngressBackPressure

BURST = 256
"""Offers between two turns of the loop: what the loop of an application that has much to send
does in one turn. Each is an ``offer`` of its own."""
SAMPLE_S = 0.25
CONNECT_TIMEOUT_S = 30.0
_MESSAGE = b"x" * PAYLOAD_BYTES


def settle_memory() -> None:
    """Keep the collector from looking at what stays for the life of this process."""
    gc.collect()
    gc.freeze()


class Meter:
    """Samples how much was acknowledged, and what the processes used meanwhile."""

    def __init__(self, job: Job, acknowledged: Callable[[], int]) -> None:
        """Begin with the next ``measure``."""
        self._job = job
        self._acknowledged = acknowledged
        self._pids = (*job.pids, os.getpid())
        self.deadline = 0.0
        self._rows: list[tuple[float, int]] = []
        self._resident: list[list[float]] = []
        self._used: list[list[float]] = []
        self._busy: list[float] = []

    async def measure(self, send: Callable[[], Awaitable[None]]) -> Result:
        """Sample while ``send`` runs, which looks at ``deadline`` itself.

        Returns:
            Messages a second behind the warm-up, the samples (seconds, messages) and, for each
            process, the cores that it kept busy and its resident memory in MiB at each sample;
            and the cores that everything else on the machine kept busy.

        """
        self._began = time.monotonic()
        self.deadline = self._began + self._job.warm_up_s + self._job.seconds
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample(), name="sample")
            await send()
            sampling.cancel()
        self._note()
        warm = [index for index, row in enumerate(self._rows) if row[0] >= self._job.warm_up_s]
        first, last = warm[0], len(self._rows) - 1
        if first == last:
            first = 0
        (began, before), (ended, after) = self._rows[first], self._rows[last]
        cores = [
            (now - then) / (ended - began)
            for then, now in zip(self._used[first], self._used[last], strict=True)
        ]
        busy = (self._busy[last] - self._busy[first]) / (ended - began)
        return {
            "throughput": (after - before) / (ended - began),
            "messages": after,
            "samples": self._rows[first:],
            "resident_mib": self._resident[first:],
            "cores": cores,
            "others": max(0.0, busy - sum(cores)),
        }

    async def _sample(self) -> None:
        while True:
            self._note()
            await asyncio.sleep(SAMPLE_S)

    def _note(self) -> None:
        self._used.append([process_seconds(pid) for pid in self._pids])
        self._busy.append(busy_seconds())
        self._resident.append([resident_mib(pid) for pid in self._pids])
        self._rows.append((time.monotonic() - self._began, self._acknowledged()))


async def deep_window(job: Job) -> Result:
    """One session and as many messages as its window takes."""
    egress = 0

    def on_egress(_sequence: int, _message: bytes) -> None:
        """Count an answer: what every application does at least."""
        nonlocal egress
        egress += 1

    async with await ClusterClient.connect(
        job.addresses, name="bench", on_egress=on_egress, timeout=CONNECT_TIMEOUT_S
    ) as client:
        settle_memory()
        meter = Meter(job, lambda: client.acknowledged_sequence)
        result = await meter.measure(lambda: _offer(client, job.messages, meter))
        await client.flush()
        missing = client.last_sequence - egress
    return {**result, "egress_missing": missing}


async def _offer(client: ClusterClient, messages: int, meter: Meter) -> None:
    now, offer = time.monotonic, client.offer
    while now() < meter.deadline and not 0 < messages <= client.last_sequence:
        if not client.can_offer:
            await client.ready()
        try:
            for _ in range(BURST):
                offer(_MESSAGE)
        except IngressBackPressure:
            # The window is full: answers come first.
            continue
        await asyncio.sleep(0)
    if messages:
        await client.flush()


async def lone_frames(job: Job) -> Result:
    """One session, each message alone in its network frame."""
    client = await LoneFrameClient.connect(job.addresses)
    settle_memory()
    meter = Meter(job, lambda: client.acknowledged)

    async def send() -> None:
        while time.monotonic() < meter.deadline:
            if client.send(BURST):
                await asyncio.sleep(0)
            else:
                await client.changed()

    result = await meter.measure(send)
    await client.flush()
    missing = client.sent - client.egress
    await client.close()
    return {**result, "egress_missing": missing}


class _Connection:
    """A session that keeps so many messages under way: each answer brings the next."""

    def __init__(self, outstanding: int) -> None:
        self.client: ClusterClient
        self.stopping = False
        self.egress = 0
        self._outstanding = outstanding

    def begin(self) -> None:
        for _ in range(self._outstanding):
            self.client.offer(_MESSAGE)

    def on_egress(self, _sequence: int, _message: bytes) -> None:
        self.egress += 1
        if not self.stopping:
            self.client.offer(_MESSAGE)


async def connections(job: Job) -> Result:
    """Several sessions, each with a fixed number of messages under way."""
    async with AsyncExitStack() as stack:
        several = [_Connection(job.outstanding) for _ in range(job.connections)]
        for each in several:
            each.client = await stack.enter_async_context(
                ClusterClient.connect(
                    job.addresses,
                    name="bench",
                    on_egress=each.on_egress,
                    timeout=CONNECT_TIMEOUT_S,
                )
            )
        settle_memory()
        meter = Meter(job, lambda: sum(each.client.acknowledged_sequence for each in several))

        async def send() -> None:
            for each in several:
                each.begin()
            await asyncio.sleep(meter.deadline - time.monotonic())

        result = await meter.measure(send)
        for each in several:
            each.stopping = True
        for each in several:
            await each.client.flush()
        missing = sum(each.client.last_sequence - each.egress for each in several)
    return {**result, "egress_missing": missing}
