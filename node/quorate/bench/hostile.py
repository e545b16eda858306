"""What clients wait while others want too much: p99 beside each attack, relative to that alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from quorate.bench.figures import Figure, Measured
from quorate.bench.goals import with_goal
from quorate.bench.job import Job, Result
from quorate.bench.overload import check_end, leader_address, p99_of
from quorate.bench.plan import Plan
from quorate.bench.rig import rig, running_load
from quorate.config import Durability

CLIENTS = 10
RATE = 2_000
"""Messages a second of all of them together."""
ATTACKS: Mapping[str, str] = {
    "trickle": "50 that send a byte a second",
    "deaf": "5 that never read",
    "ungrateful": "5 that never acknowledge egress",
    "openers": "5 that open sessions without end",
    "arrivals": "10,500 connections that come",
    "crowd": "10,500 connections that are there",
}
"""Keys of ``attacks.ATTACKS``, with how people call them."""
LOWEST_PRIORITY = 19
"""Attackers come from elsewhere: their own processor time is not to be taken from the cluster's."""


async def hostile(plan: Plan, durability: Durability) -> Measured:
    """Attack in each way in turn, on one cluster that serves others."""
    alone: list[Result] = []
    beside: dict[str, list[Result]] = {name: [] for name in ATTACKS}
    seen: list[Result] = []
    async with rig(plan.directory / f"hostile-{durability.name.lower()}", durability) as running:
        address = await leader_address(running)
        clients = Job("slices", running.cluster.client_addresses, connections=CLIENTS)
        async with running_load(clients) as load:
            await load.slice(plan.warm_up_s, RATE)
            for _ in range(plan.slice_repeats):
                for name, found in beside.items():
                    alone.append(await load.slice(plan.slice_s, RATE))
                    job = Job("attack", address, attack=name, niceness=LOWEST_PRIORITY)
                    async with running_load(job) as attacker:
                        found.append(await load.slice(plan.slice_s, RATE))
                        seen.append({"attack": name, **await attacker.result()})
            await check_end(load)
    # One baseline for all: what comes right behind an attack may be slow because of it.
    baseline = statistics.median(p99_of(alone))
    figures = [Figure(f"{CLIENTS} sessions, {RATE:,}/s: p99 alone", "us", p99_of(alone))]
    for name, found in beside.items():
        ratios = tuple(p99 / baseline for p99 in p99_of(found))
        figure = Figure(f"... beside {ATTACKS[name]}, to that alone", "x", ratios)
        figures.append(with_goal(figure, "hostile p99", durability))
    details = [{"beside": name, **each} for name, found in beside.items() for each in found]
    return Measured(figures, [*alone, *details, *seen])
