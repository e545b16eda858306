"""Sessions that send for a while, again and again, each time as they are told."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

from quorate.bench.closed_loop import settle_memory
from quorate.bench.figures import percentiles
from quorate.bench.job import Job, Result
from quorate.bench.senders import Sender, all_they_may, by_schedule, senders, settle

LEAD_S = 0.3
"""Of load before each slice, until as much is under way as there will be."""


async def slices(job: Job) -> Result:
    """Send as each line of standard input says, and answer it in a line; until the input ends.

    A line is a JSON object: ``seconds``, and ``rate`` of all sessions together, or 0 for as much as
    there is credit. The answer is what ``slice_of`` returns.
    """
    loop = asyncio.get_running_loop()
    async with senders(job.addresses, job.connections) as clients:
        settle_memory()
        print('{"open": true}', flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            found = await slice_of(clients, float(asked["rate"]), float(asked["seconds"]))
            print(json.dumps(found), flush=True)
        await settle(clients)
        return {
            "resumptions": sum(one.client.counters.resumptions for one in clients),
            "wrong": [one.wrong for one in clients if one.wrong is not None],
        }


async def slice_of(clients: Sequence[Sender], rate: float, seconds: float) -> Result:
    """Send for a while and return what came of it, latencies in microseconds from the offer."""
    await settle(clients)
    await _send(clients, rate, LEAD_S)
    for one in clients:
        one.forget()
    began = time.perf_counter()
    await _send(clients, rate, seconds)
    passed = time.perf_counter() - began
    answered = sum(one.answered for one in clients)
    await settle(clients)
    return {
        "throughput": answered / passed,
        "offered": sum(one.sent + one.refused for one in clients) / passed,
        "latency": percentiles([ns / 1e3 for one in clients for ns in one.latencies_ns]),
        "unanswered": sum(one.unanswered for one in clients),
    }


async def _send(clients: Sequence[Sender], rate: float, seconds: float) -> None:
    if rate:
        await by_schedule(clients, rate, seconds)
    else:
        await all_they_may(clients, seconds)
