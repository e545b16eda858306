"""What a follower that stands still costs under full load, and how soon it is level again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence

from quorate.bench.figures import Figure, Measured
from quorate.bench.goals import with_goal
from quorate.bench.job import Job, Result
from quorate.bench.overload import check_end
from quorate.bench.plan import Plan
from quorate.bench.rig import LoadFailed, LoadProcess, Rig, rig, running_load
from quorate.bench.steady import number
from quorate.config import Durability
from quorate.consensus.types import Seat
from quorate.control.status import MemberStatus

BEHIND_BYTES = 4 * 1024 * 1024
"""Less than this behind a leader at full speed is level: some frames are on their way."""
CATCH_UP_TIMEOUT_S = 120.0
CATCH_UP_SLICE_S = 0.5
_PERIOD_S = 0.05

Phase = tuple[float, float, float]
"""Messages a second before, while the follower is away, and while it catches up."""


async def lagging(plan: Plan, durability: Durability) -> Measured:
    """Freeze a follower, then kill one and start it again many messages later."""
    frozen: list[Phase] = []
    gone: list[Phase] = []
    level_s: dict[str, list[float]] = {"frozen": [], "gone": []}
    async with rig(plan.directory / f"lagging-{durability.name.lower()}", durability) as running:
        first = await running.cluster.wait_leader()
        follower = next(seat for seat in running.cluster.seats if seat != first.seat)
        async with running_load(Job("slices", running.cluster.client_addresses)) as load:
            await load.slice(plan.warm_up_s)
            for _ in range(plan.slice_repeats):
                before = number(await load.slice(plan.slice_s), "throughput")
                running.cluster.kill(follower, signal.SIGSTOP)
                try:
                    away = number(await load.slice(plan.slice_s), "throughput")
                finally:
                    running.cluster.kill(follower, signal.SIGCONT)
                found, seconds = await _catch_up(running, load, Seat(first.seat), follower)
                frozen.append((before, away, found))
                level_s["frozen"].append(seconds)

                before = number(await load.slice(plan.slice_s), "throughput")
                running.cluster.kill(follower)
                await running.cluster.wait_exit(follower)
                away = await _take(load, plan.missed, plan.slice_s)
                await running.cluster.restart(follower)
                found, seconds = await _catch_up(running, load, Seat(first.seat), follower)
                gone.append((before, away, found))
                level_s["gone"].append(seconds)
            await check_end(load)
        last = await running.cluster.wait_leader()
    elections = float(last.leadership_term_id - first.leadership_term_id)
    missed = f"gone for {plan.missed:,} messages"
    figures = [
        *_figures("a follower frozen", frozen, level_s["frozen"], durability),
        *_figures(f"a follower {missed}", gone, level_s["gone"], durability),
        with_goal(
            Figure("elections meanwhile", "", (elections,), is_worst=True),
            "lagging elections",
            durability,
        ),
    ]
    return Measured(figures, [{"frozen": frozen, "gone": gone, "level_s": level_s}])


def _figures(
    title: str, phases: Sequence[Phase], level_s: Sequence[float], durability: Durability
) -> list[Figure]:
    away = tuple(away / before for before, away, _ in phases)
    catching_up = tuple(later / before for before, _, later in phases)
    return [
        Figure(f"{title}: before", "/s", tuple(before for before, _, _ in phases)),
        with_goal(
            Figure(f"{title}: throughput to that before", "x", away),
            "lagging throughput",
            durability,
        ),
        Figure("the same while it catches up under this load", "x", catching_up),
        Figure("until it is level", "s", tuple(level_s)),
    ]


async def _take(load: LoadProcess, messages: int, slice_s: float) -> float:
    """Have so many messages answered, and return how many were in a second."""
    answered = seconds = 0.0
    while answered < messages:
        rate = number(await load.slice(slice_s), "throughput")
        answered, seconds = answered + rate * slice_s, seconds + slice_s
    return answered / seconds


async def _catch_up(
    running: Rig, load: LoadProcess, leader: Seat, follower: Seat
) -> tuple[float, float]:
    """Load until the follower is level; return messages a second and how long that took.

    Raises:
        LoadFailed: It is not, in time.

    """
    began = time.monotonic()
    found: list[Result] = []
    try:
        async with asyncio.timeout(CATCH_UP_TIMEOUT_S), asyncio.TaskGroup() as group:
            until = group.create_task(_until_level(running, leader, follower), name="level")
            while not until.done():
                found.append(await load.slice(CATCH_UP_SLICE_S))
    except TimeoutError:
        text = f"seat {follower} is not level after {CATCH_UP_TIMEOUT_S:g} s of load"
        raise LoadFailed(text) from None
    rates = [number(each, "throughput") for each in found]
    return sum(rates) / len(rates), until.result() - began


async def _until_level(running: Rig, leader: Seat, follower: Seat) -> float:
    """Wait until the follower is level with the leader; return when it was."""
    while True:
        status = (await running.cluster.statuses())[leader]
        if status is not None and lag_bytes(status, follower) <= BEHIND_BYTES:
            return time.monotonic()
        await asyncio.sleep(_PERIOD_S)


def lag_bytes(status: MemberStatus, follower: Seat) -> float:
    """Return by how much a follower's durable log is behind that of the leader of this status."""
    rows = [row for row in status.members if row.seat == follower and row.connected]
    return status.written_position - rows[0].append_position if rows else float("inf")
