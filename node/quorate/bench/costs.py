"""What grows, and what a service's own work adds: memory, length of the log, time per message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from quorate.bench.figures import Figure, Measured
from quorate.bench.goals import with_goal
from quorate.bench.job import Result
from quorate.bench.plan import Plan
from quorate.bench.rig import MEMBERS, rig
from quorate.bench.services import WORK_US
from quorate.bench.steady import closed_job, number
from quorate.config import Durability

WORKING = "quorate.bench.services:Working"
QUARTERS = 4
SAMPLES_MIN = 8
LONG_TIMEOUT_S = 600.0


async def long_log(plan: Plan, durability: Durability) -> Measured:
    """Write a long log in one go; memory of the members, and the last quarter's throughput."""
    results: list[Result] = []
    for repeat in range(plan.repeats):
        path = plan.directory / f"long-{durability.name.lower()}-{repeat}"
        async with rig(path, durability) as running:
            job = await closed_job(running, plan, "closed")
            job = replace(job, seconds=LONG_TIMEOUT_S, warm_up_s=0.0, messages=plan.messages)
            results.append(await running.load(job))
    # The last column is the load generator's.
    memory = [
        [row[:-1] for row in cast("list[list[float]]", each["resident_mib"])] for each in results
    ]
    counted = [cast("list[tuple[float, int]]", each["samples"]) for each in results]
    written = f"{min(number(each, 'messages') for each in results):,.0f} messages"
    resident = Figure(
        f"resident memory of a member after {written}, largest",
        "MiB",
        tuple(max(rows[-1]) for rows in memory),
    )
    figures = [
        with_goal(resident, "long resident", durability),
        Figure("the same to that after half of them", "x", tuple(map(last_to_half, memory))),
        Figure("throughput, last quarter to first", "x", tuple(map(last_to_first, counted))),
        Figure("throughput over all", "/s", tuple(number(each, "throughput") for each in results)),
    ]
    return Measured(figures, results)


def last_to_half(rows: Sequence[Sequence[float]]) -> float:
    """Return the largest member's memory at the end to that after half of the samples."""
    return max(rows[-1]) / max(rows[len(rows) // 2])


def last_to_first(samples: Sequence[tuple[float, int]]) -> float:
    """Return the rate in the last quarter of the messages, relative to that in the first.

    Args:
        samples: Ascending pairs of seconds and messages acknowledged, of which the first eighth
            is left out: the cluster warms up.

    """
    rows = samples[len(samples) // SAMPLES_MIN :]
    quarter = max(1, len(rows) // QUARTERS)
    return _rate(rows[-quarter - 1 :]) / _rate(rows[: quarter + 1])


def _rate(rows: Sequence[tuple[float, int]]) -> float:
    (began, before), (ended, after) = rows[0], rows[-1]
    return (after - before) / (ended - began)


async def service(plan: Plan, durability: Durability) -> Measured:
    """Throughput with a service that works, against what its work leaves of the throughput."""
    results: dict[str, list[Result]] = {"plain": [], "working": []}
    name = f"service-{durability.name.lower()}"
    async with (
        rig(plan.directory / f"{name}-plain", durability) as plain,
        rig(plan.directory / f"{name}-working", durability, WORKING) as working,
    ):
        for _ in range(plan.repeats):
            for kind, running in (("plain", plain), ("working", working)):
                results[kind].append(await running.load(await closed_job(running, plan, "closed")))
    ratios = [
        share_of_possible(
            number(loaded, "throughput"),
            number(free, "throughput"),
            sum(cast("list[float]", free["cores"])),
        )
        for free, loaded in zip(results["plain"], results["working"], strict=True)
    ]
    rates = tuple(number(each, "throughput") for each in results["working"])
    title = f"a service that takes {WORK_US} us a message"
    figures = [
        Figure(title, "/s", rates),
        Figure(f"{title}: to 1 / ({WORK_US} us + our cost)", "x", tuple(r for r, _ in ratios)),
        Figure("the same, to what the cores can do", "x", tuple(r for _, r in ratios)),
    ]
    return Measured(figures, [*results["plain"], *results["working"]])


def share_of_possible(rate: float, plain_rate: float, plain_cores: float) -> tuple[float, float]:
    """Return the throughput of a working service relative to two bounds.

    Args:
        rate: With the work, a second.
        plain_rate: Without it.
        plain_cores: That all processes together kept busy at the plain rate.

    Returns:
        To the rate at which one member's thread has no time left, which is that of members with
        a core each; and to the lower one at which the cores of this machine have none left,
        because all members on it do the work.

    """
    work_s = WORK_US / 1e6
    one_thread = 1 / (work_s + 1 / plain_rate)
    machine = plain_cores / (MEMBERS * work_s + plain_cores / plain_rate)
    return rate / one_thread, rate / min(one_thread, machine)
