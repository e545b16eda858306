"""More load than the cluster holds, and a session that floods beside fifty that do not."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import cast

from quorate.bench.costs import WORKING
from quorate.bench.figures import Figure, Measured
from quorate.bench.goals import with_goal
from quorate.bench.job import Job, Result
from quorate.bench.plan import Plan
from quorate.bench.processes import resident_mib
from quorate.bench.rig import SERVICE, LoadFailed, LoadProcess, Rig, rig, running_load
from quorate.bench.steady import number
from quorate.config import Durability

SLOW_US = 100
"""Of a service that is slower than consensus."""
SERVICES: Mapping[str, tuple[str, str | None]] = {
    "echo": (SERVICE, None),
    f"a service of {SLOW_US} us": (WORKING, str(SLOW_US)),
}
GREEDY = 2
"""Sessions that offer more than there can be."""
TIMES = 2.0
"""As much as the most that was answered."""
MODEST = 50
MODEST_RATE = 2_000
"""Messages a second of all modest sessions together: enough for a p99 in a short slice."""


async def overload(plan: Plan, durability: Durability) -> Measured:
    """Offer twice what can be held, to a fast service and to a slow one."""
    figures: list[Figure] = []
    details: list[Mapping[str, object]] = []
    for title, (service, config) in SERVICES.items():
        path = plan.directory / f"overload-{durability.name.lower()}-{len(figures)}"
        async with rig(path, durability, service, config) as running:
            rows = await _twice(running, plan)
        figures += _figures(title, rows, durability)
        details += rows
    return Measured(figures, details)


async def _twice(running: Rig, plan: Plan) -> list[Result]:
    """Measure twice as much as the most, each time between two measurements of the most.

    Their mean is what it is compared with: a machine that others use changes from slice to slice.
    """
    pids = await running.pids()
    rows: list[Result] = []
    async with running_load(_sessions(running, GREEDY)) as load:
        await load.slice(plan.warm_up_s)
        most = await load.slice(plan.slice_s)
        for _ in range(plan.slice_repeats):
            before = max(map(resident_mib, pids))
            twice = await load.slice(plan.slice_s, TIMES * number(most, "throughput"))
            after = max(map(resident_mib, pids))
            again = await load.slice(plan.slice_s)
            beside = (most, again)
            rows.append(
                {
                    **twice,
                    "most": sum(number(each, "throughput") for each in beside) / 2,
                    "most_p99": sum(p99_of(beside)) / 2,
                    "resident_mib": (before, after),
                }
            )
            most = again
        await check_end(load)
    return rows


def _figures(title: str, rows: Sequence[Result], durability: Durability) -> list[Figure]:
    most = tuple(number(row, "most") for row in rows)
    memory = [cast("tuple[float, float]", row["resident_mib"]) for row in rows]

    def ratios(key: str) -> tuple[float, ...]:
        return quotients([number(row, key) for row in rows], most)

    named = f"{title}, twice the load"
    return [
        Figure(f"{title}, most", "/s", most),
        Figure(f"{named}: offered, to the most", "x", ratios("offered")),
        with_goal(
            Figure(f"{named}: answered, to the most", "x", ratios("throughput")),
            "overload throughput",
            durability,
        ),
        with_goal(
            Figure(f"{named}: p99 of what was accepted", "us", p99_of(rows)),
            "overload p99",
            durability,
        ),
        Figure(
            f"{named}: the same to that of the most",
            "x",
            quotients(p99_of(rows), [number(row, "most_p99") for row in rows]),
        ),
        with_goal(
            Figure(
                f"{named}: memory of a member, after to before",
                "x",
                tuple(b / a for a, b in memory),
            ),
            "overload memory",
            durability,
        ),
    ]


async def flood(plan: Plan, durability: Durability) -> Measured:
    """Have one session flood beside fifty that do not, and compare what these wait."""
    alone: list[Result] = []
    beside: list[Result] = []
    floods: list[Result] = []
    async with rig(plan.directory / f"flood-{durability.name.lower()}", durability) as running:
        glutton = Job("attack", await leader_address(running), attack="glutton")
        async with running_load(_sessions(running, MODEST)) as load:
            await load.slice(plan.warm_up_s, MODEST_RATE)
            for _ in range(plan.slice_repeats):
                alone.append(await load.slice(plan.slice_s, MODEST_RATE))
                async with running_load(glutton) as one:
                    beside.append(await load.slice(plan.slice_s, MODEST_RATE))
                    floods.append(await one.result())
            await check_end(load)
    title = f"{MODEST} sessions of {MODEST_RATE // MODEST}/s beside one that floods"
    waits, baseline = p99_of(beside), p99_of(alone)
    ratios = quotients(waits, [statistics.median(baseline)] * len(waits))
    its_own = tuple(number(each, "p99_us") for each in floods)
    figures = [
        Figure(f"{title}: their p99 alone", "us", baseline),
        Figure(f"{title}: their p99", "us", waits),
        with_goal(
            Figure(f"{title}: their p99 to that alone", "x", ratios),
            "flood p99",
            durability,
        ),
        Figure(f"{title}: their p99 to its own", "x", quotients(waits, its_own)),
        Figure("the one that floods", "/s", tuple(number(each, "per_s") for each in floods)),
    ]
    return Measured(figures, [*alone, *beside, *floods])


def _sessions(running: Rig, count: int) -> Job:
    return Job("slices", running.cluster.client_addresses, connections=count)


async def leader_address(running: Rig) -> tuple[str]:
    """Return where clients reach the leader."""
    leader = await running.cluster.wait_leader()
    return (running.cluster.client_addresses[leader.seat],)


def p99_of(found: Sequence[Result]) -> tuple[float, ...]:
    """Return the p99 of each slice, in microseconds.

    Raises:
        LoadFailed: A slice had too few answers to tell.

    """
    latencies = [cast("dict[str, float]", each["latency"]) for each in found]
    if not all("p99" in each for each in latencies):
        raise LoadFailed("too few answers in a slice for a p99")
    return tuple(each["p99"] for each in latencies)


def quotients(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Return the ratio of each pair."""
    return tuple(one / other for one, other in zip(above, below, strict=True))


async def check_end(load: LoadProcess) -> None:
    """End sessions that have sent in slices.

    Raises:
        LoadFailed: One of them had to resume, or got a wrong answer.

    """
    result = await load.result()
    if result["resumptions"] or result["wrong"]:
        raise LoadFailed(f"sessions beside an overload were disturbed: {result}")
