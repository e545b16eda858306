"""The parts of the benchmark: each runs its repeats and returns figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from quorate.bench.figures import Figure, Floor, gather
from quorate.bench.machine import loopback_latency, sync_latency
from quorate.bench.rig import LoadProcess, Rig, rig
from quorate.config import Durability
from quorate.consensus.types import Seat

CLOSED_FLOOR = Floor(150_000)
FAILOVER_FLOOR = Floor(150, at_least=False)
FAILOVER_RATE = 1_000
SYNC_COUNT = 1_500
LOOPBACK_COUNT = 5_000
QUARTERS = 4
AROUND_KILL_S = 5.0
"""A gap belongs to a kill if it begins less than this after it."""
CATCH_UP_TIMEOUT_S = 60.0
_PERIOD_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often to measure."""

    directory: Path
    repeats: int = 3
    closed_s: float = 10.0
    idle_s: float = 5.0
    open_s: float = 10.0
    open_rate: float = 10_000
    kills: int = 10
    length_s: float = 30.0

    def quick(self) -> Plan:
        """Return a plan that takes a minute and says less."""
        return replace(self, closed_s=3.0, idle_s=2.0, open_s=3.0, kills=3, length_s=8.0)


async def machine(plan: Plan) -> list[Figure]:
    """Measure the disk and the loopback."""
    syncs = [
        await asyncio.to_thread(sync_latency, plan.directory, SYNC_COUNT) for _ in _times(plan)
    ]
    trips = [await asyncio.to_thread(loopback_latency, LOOPBACK_COUNT) for _ in _times(plan)]
    return [
        *gather("machine", "us", syncs, "4 KiB write and data sync, "),
        *gather("machine", "us", trips, "bare loopback round trip, "),
    ]


async def latency(plan: Plan, durability: Durability, kinds: Sequence[str]) -> list[Figure]:
    """Measure what one cluster of this durability does: idle, open loop, then closed loop.

    In this order, because a closed loop leaves the disk with work for a while.
    """
    measure: Mapping[str, Callable[[Rig, Plan], Coroutine[object, object, list[Figure]]]] = {
        "idle": _idle,
        "open": _open,
        "closed": _closed,
    }
    async with rig(plan.directory / f"latency-{durability.name.lower()}", durability) as running:
        return [
            _with_part(figure, durability)
            for kind, part in measure.items()
            if kind in kinds
            for figure in await part(running, plan)
        ]


def _with_part(figure: Figure, durability: Durability) -> Figure:
    """Name the durability; the floor is one of ``fsync``."""
    floor = figure.floor if durability is Durability.FSYNC else None
    part = f"{figure.part}, {durability.name.lower()}"
    return Figure(part, figure.name, figure.unit, figure.values, floor)


async def _idle(running: Rig, plan: Plan) -> list[Figure]:
    repeats = [await running.load(running.job("idle", plan.idle_s)) for _ in _times(plan)]
    return gather("idle", "us", [_latency(result) for result in repeats], "one under way, ")


async def _open(running: Rig, plan: Plan) -> list[Figure]:
    job = running.job("open", plan.open_s, rate=plan.open_rate)
    repeats = [await running.load(job) for _ in _times(plan)]
    prefix = f"{plan.open_rate:,.0f}/s, "
    return gather("open loop", "us", [_latency(result) for result in repeats], prefix)


async def _closed(running: Rig, plan: Plan) -> list[Figure]:
    leader = Seat((await running.cluster.wait_leader()).seat)
    seats = [leader, *(seat for seat in running.cluster.seats if seat != leader)]
    pids = tuple(pid for seat in seats if (pid := running.cluster.pid(seat)) is not None)
    job = replace(running.job("closed", plan.closed_s, warm_up_s=1.5), pids=pids)
    repeats = [await running.load(job) for _ in _times(plan)]
    rates = tuple(_number(result, "throughput") for result in repeats)
    cores = [_cores(cast("list[float]", result["cores"])) for result in repeats]
    messages = Figure("closed loop", "messages of 100 bytes", "/s", rates, CLOSED_FLOOR)
    return [messages, *gather("closed loop", "cores", cores, "processor, ")]


def _cores(busy: Sequence[float]) -> dict[str, float]:
    """Name what the leader, the followers on average and the client used."""
    leader, *followers, client = busy
    mean = sum(followers) / len(followers)
    return {"leader": leader, "follower": mean, "client": client}


async def failover(plan: Plan) -> list[Figure]:
    """Kill the leader again and again; return the gaps between acknowledgements."""
    async with rig(plan.directory / "failover", Durability.FSYNC) as running:
        load = await LoadProcess.start(running.job("gaps", 0, rate=FAILOVER_RATE))
        try:
            await asyncio.sleep(2)
            kills = [await _kill_and_restart(running) for _ in range(plan.kills)]
            result = await load.result()
        finally:
            load.kill()
    gaps = cast("list[tuple[float, float]]", result["gaps"])
    found = tuple(gap_at(kill, gaps) * 1e3 for kill in kills)
    name = f"gap after SIGKILL of the leader under {FAILOVER_RATE:,}/s, {plan.kills} kills"
    return [Figure("failover", name, "ms", found, FAILOVER_FLOOR)]


def gap_at(kill: float, gaps: Sequence[tuple[float, float]]) -> float:
    """Return the longest gap, in seconds, that a kill at this time can have caused; 0 for none."""
    return max(
        (end - begin for begin, end in gaps if begin < kill + AROUND_KILL_S and end > kill),
        default=0.0,
    )


async def _kill_and_restart(running: Rig) -> float:
    """Kill the leader, restart it and wait until it has caught up; return when it was killed."""
    cluster = running.cluster
    leader = await cluster.wait_leader()
    seat = Seat(leader.seat)
    killed_at = time.monotonic()
    cluster.kill(seat)
    new = await cluster.wait_leader(above_term=leader.leadership_term_id)
    await asyncio.sleep(0.5)
    await cluster.restart(seat)
    async with asyncio.timeout(CATCH_UP_TIMEOUT_S):
        while True:
            status = (await cluster.statuses())[seat]
            if status is not None and status.service_position >= new.commit_position:
                break
            await asyncio.sleep(_PERIOD_S)
    await asyncio.sleep(1)
    return killed_at


async def length(plan: Plan) -> list[Figure]:
    """Write a long log in one go; compare the throughput of its last quarter with the first."""
    ratios: list[float] = []
    messages: list[float] = []
    for number in _times(plan):
        async with rig(plan.directory / f"length-{number}", Durability.FSYNC) as running:
            job = running.job("closed", plan.length_s, warm_up_s=2)
            result = await running.load(job)
        ratios.append(last_to_first(cast("list[tuple[float, int]]", result["samples"])))
        messages.append(_number(result, "messages"))
    return [
        Figure("long log", "messages in the log", "", tuple(messages)),
        Figure("long log", "throughput, last quarter to first", "x", tuple(ratios)),
    ]


def last_to_first(samples: Sequence[tuple[float, int]]) -> float:
    """Return the rate in the last quarter of the time, relative to that in the first.

    Args:
        samples: Ascending pairs of seconds and messages acknowledged, at least five.

    """
    began, ended = samples[0][0], samples[-1][0]
    quarter = (ended - began) / QUARTERS
    first = [row for row in samples if row[0] <= began + quarter]
    last = [row for row in samples if row[0] >= ended - quarter]
    return _rate(last) / _rate(first)


def _rate(rows: Sequence[tuple[float, int]]) -> float:
    (began, before), (ended, after) = rows[0], rows[-1]
    return (after - before) / (ended - began)


def _times(plan: Plan) -> range:
    return range(plan.repeats)


def _latency(result: Mapping[str, object]) -> dict[str, float]:
    return cast("dict[str, float]", result["latency"])


def _number(result: Mapping[str, object], key: str) -> float:
    return cast("float", result[key])
