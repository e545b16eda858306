"""The parts that share one running cluster: latency by the clock, then throughput."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import cast

from quorate.bench.figures import Figure, Measured, gather
from quorate.bench.goals import with_goal
from quorate.bench.job import Job, Result
from quorate.bench.plan import Plan
from quorate.bench.rig import Rig, running_load
from quorate.config import Durability

CONNECTIONS = 16
OUTSTANDING = 64


async def idle(running: Rig, plan: Plan, durability: Durability) -> Measured:
    """One message at a time."""
    job = _job(running, plan, "idle", plan.idle_s)
    return await _latency(running, plan, "idle", "one outstanding", job, durability)


async def open_loop(
    rate: int, key: str, running: Rig, plan: Plan, durability: Durability
) -> Measured:
    """So many messages a second, by schedule."""
    job = _job(running, plan, "open", plan.open_s, rate=rate)
    title = f"{rate:,}/s by schedule"
    measured = await _latency(running, plan, key, title, job, durability)
    shares = tuple(number(result, "held") for result in measured.details)
    extra = [Figure(f"{title}, share answered in time", "x", shares)]
    return replace(measured, figures=[*measured.figures, *extra])


async def _latency(
    running: Rig, plan: Plan, key: str, title: str, job: Job, durability: Durability
) -> Measured:
    results = [await running.load(job) for _ in range(plan.repeats)]
    found = [cast("dict[str, float]", result["latency"]) for result in results]
    figures = [
        replace(
            with_goal(figure, f"{key} {figure.name}", durability),
            name=f"{title}, {figure.name}",
            is_bound_by_machine=True,
        )
        for figure in gather("us", found)
    ]
    seen: Counter[int] = Counter()
    for result in results:
        seen.update(dict(cast("list[tuple[int, int]]", result["histogram"])))
    details = [{**result, "histogram": "see the file"} for result in results]
    return Measured(figures, details, {key: seen})


async def closed(running: Rig, plan: Plan, durability: Durability) -> Measured:
    """One connection, the client batches by itself, deep window."""
    title = "one connection, deep window"
    return await _throughput(running, plan, "closed", title, durability)


async def lone_frames(running: Rig, plan: Plan, durability: Durability) -> Measured:
    """The same with every message alone in its network frame."""
    title = "the same, each message in its own frame"
    return await _throughput(running, plan, "lone-frames", title, durability)


async def connections(running: Rig, plan: Plan, durability: Durability) -> Measured:
    """Sixteen connections with 64 outstanding each."""
    title = f"{CONNECTIONS} connections, {OUTSTANDING} outstanding each"
    return await _throughput(running, plan, "connections", title, durability)


async def _throughput(
    running: Rig, plan: Plan, key: str, title: str, durability: Durability
) -> Measured:
    job = await closed_job(running, plan, key)
    if key == "connections":
        job = replace(job, connections=CONNECTIONS, outstanding=OUTSTANDING)
    results = [await running.load(job) for _ in range(plan.repeats)]
    rates = tuple(number(result, "throughput") for result in results)
    figures = [with_goal(Figure(title, "/s", rates), key, durability), *cores_of(results)]
    return Measured(figures, results)


async def sessions(running: Rig, plan: Plan, durability: Durability) -> Measured:
    """Throughput beside many idle sessions, relative to that just before and just after them.

    One session sends all it may and stays connected; the idle ones come and go. So a machine that
    becomes slower meanwhile does so for both.
    """
    addresses = running.cluster.client_addresses
    crowd = Job("idle-sessions", addresses, connections=plan.sessions)
    beside: list[Result] = []
    async with running_load(Job("slices", addresses, connections=1)) as load:
        await load.slice(plan.warm_up_s)
        without = [await load.slice(plan.slice_s)]
        for _ in range(plan.session_pairs):
            async with running_load(crowd) as idlers:
                beside.append(await load.slice(plan.slice_s))
                await idlers.result()
            without.append(await load.slice(plan.slice_s))
        await load.result()
    alone, crowded = (tuple(number(each, "throughput") for each in s) for s in (without, beside))
    means = [(before + after) / 2 for before, after in pairwise(alone)]
    ratios = tuple(there / mean for there, mean in zip(crowded, means, strict=True))
    title = f"throughput beside {plan.sessions:,} idle sessions to that without"
    figures = [
        with_goal(Figure(title, "x", ratios), "sessions ratio", durability),
        Figure("without idle sessions", "/s", alone),
        Figure("beside them", "/s", crowded),
    ]
    return Measured(figures, [*without, *beside])


STEADY: dict[str, Callable[[Rig, Plan, Durability], Awaitable[Measured]]] = {
    "idle": idle,
    "open-10k": partial(open_loop, 10_000, "open-10k"),
    "open-100k": partial(open_loop, 100_000, "open-100k"),
    "connections": connections,
    "lone-frames": lone_frames,
    "closed": closed,
    "sessions": sessions,
}
"""In the order of measuring: what loads the disk most, and so burdens what follows, comes last."""


def _job(running: Rig, plan: Plan, kind: str, seconds: float, rate: float = 0) -> Job:
    return Job(kind, running.cluster.client_addresses, seconds, plan.warm_up_s, rate)


async def closed_job(running: Rig, plan: Plan, kind: str) -> Job:
    """Return a job that also reports what the members use, the leader first."""
    job = _job(running, plan, kind, plan.closed_s)
    return replace(job, pids=await running.pids())


def cores_of(results: Sequence[Mapping[str, object]]) -> list[Figure]:
    """Return how many cores leader, follower on average, client and all else kept busy."""
    return gather("cores", [_cores(each) for each in results], "busy, ")


def _cores(result: Mapping[str, object]) -> dict[str, float]:
    leader, *followers, client = cast("list[float]", result["cores"])
    return {
        "leader": leader,
        "follower": sum(followers) / len(followers),
        "client": client,
        "all else": number(result, "others"),
    }


def number(result: Mapping[str, object], key: str) -> float:
    """Return a number of a load generator's result."""
    return cast("float", result[key])
