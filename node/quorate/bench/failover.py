"""How long nobody is served when the leader is killed, or told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from quorate.bench.figures import Figure, Measured
from quorate.bench.goals import with_goal
from quorate.bench.job import Job
from quorate.bench.plan import Plan
from quorate.bench.rig import LoadFailed, LoadProcess, Rig, rig
from quorate.config import Durability
from quorate.consensus.types import Seat
from quorate.dev.watch import Statuses

RATE = 10_000
STEADY_S = 0.5
"""Of undisturbed load after a change of leader and after a return."""
CATCH_UP_TIMEOUT_S = 60.0
BLOWS_PER_CLUSTER = 10
"""A member replays its whole log at a restart: behind more blows that takes longer than a minute
beside the load."""
SERVED_BYTES = 1024 * 1024
"""Half a second of load or more."""
LAG_BYTES = 256 * 1024
"""A tenth of a second of load or so: what the statuses, asked one after the other, differ by."""
_PERIOD_S = 0.05


@dataclass(frozen=True, slots=True)
class Blow:
    """One signal to a leader; times of CLOCK_MONOTONIC in seconds."""

    at: float
    returned_at: float
    """When the member was started again."""
    until: float
    """When it had caught up and all was steady."""


async def failover(plan: Plan, durability: Durability) -> Measured:
    """Kill the leader again and again; the gaps between acknowledgements."""
    blows, gaps, details = await _strike(plan, durability, signal.SIGKILL, plan.kills)
    at_the_kill, at_the_return = _longest(blows, gaps)
    title = f"gap after SIGKILL of the leader under {RATE:,}/s, {plan.kills} kills"
    worst = Figure(f"{title}, longest", "ms", at_the_kill, is_worst=True)
    figures = [
        with_goal(Figure(f"{title}, median", "ms", at_the_kill), "failover median", durability),
        with_goal(worst, "failover max", durability),
        Figure("gap while the member comes back, longest", "ms", at_the_return, is_worst=True),
    ]
    return Measured(figures, [details])


async def stop(plan: Plan, durability: Durability) -> Measured:
    """Tell the leader to stop again and again; the gaps between acknowledgements."""
    blows, gaps, details = await _strike(plan, durability, signal.SIGTERM, plan.stops)
    at_the_stop, _ = _longest(blows, gaps)
    title = f"gap after SIGTERM of the leader under {RATE:,}/s, {plan.stops} stops"
    figures = [
        with_goal(Figure(f"{title}, median", "ms", at_the_stop), "stop median", durability),
        Figure(f"{title}, longest", "ms", at_the_stop, is_worst=True),
    ]
    return Measured(figures, [details])


def _longest(
    blows: Sequence[Blow], gaps: Sequence[tuple[float, float]]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the longest gap after each blow and after each return, in milliseconds."""
    # A gap that reaches into the next blow is that one's: it began with the last answer before.
    later = [
        [gap for gap in gaps if blow.returned_at <= gap[0] < gap[1] <= blow.until] for blow in blows
    ]
    return (
        tuple(gap_within(blow.at, blow.returned_at, gaps) * 1e3 for blow in blows),
        tuple(max((end - begin for begin, end in some), default=0.0) * 1e3 for some in later),
    )


def gap_within(begin: float, end: float, gaps: Sequence[tuple[float, float]]) -> float:
    """Return the longest gap, in seconds, that overlaps ``[begin, end)``; 0 for none."""
    return max(
        (after - before for before, after in gaps if before < end and after > begin), default=0.0
    )


async def _strike(
    plan: Plan, durability: Durability, number: signal.Signals, count: int
) -> tuple[list[Blow], list[tuple[float, float]], dict[str, object]]:
    blows: list[Blow] = []
    gaps: list[tuple[float, float]] = []
    clusters: list[dict[str, object]] = []
    while len(blows) < count:
        path = plan.directory / f"{number.name.lower()}-{durability.name.lower()}-{len(blows)}"
        some = min(BLOWS_PER_CLUSTER, count - len(blows))
        more, found, details = await _strike_one(path, durability, number, some)
        blows += more
        gaps += found
        clusters.append(details)
    return blows, gaps, {"clusters": clusters}


async def _strike_one(
    path: Path, durability: Durability, number: signal.Signals, count: int
) -> tuple[list[Blow], list[tuple[float, float]], dict[str, object]]:
    async with rig(path, durability) as running:
        job = Job("gaps", running.cluster.client_addresses, rate=RATE)
        load = await LoadProcess.start(job)
        try:
            await asyncio.sleep(2)
            blows = [await _blow(running, number) for _ in range(count)]
            result = await load.result()
        finally:
            await load.end()
    gaps = cast("list[tuple[float, float]]", result["gaps"])
    # A restart lasts until the next blow: what is between belongs to it.
    ends = [*(blow.at for blow in blows[1:]), blows[-1].until]
    blows = [replace(blow, until=end) for blow, end in zip(blows, ends, strict=True)]
    began = blows[0].at
    details: dict[str, object] = {
        "blows": [
            [each - began for each in (blow.at, blow.returned_at, blow.until)] for blow in blows
        ],
        "gaps": [[before - began, after - began] for before, after in gaps],
        "acknowledged": result["acknowledged"],
        "resumptions": result["resumptions"],
    }
    return blows, gaps, details


async def _blow(running: Rig, number: signal.Signals) -> Blow:
    """Hit the leader, start it again and wait until it has caught up."""
    cluster = running.cluster
    leader = await cluster.wait_leader()
    seat = Seat(leader.seat)
    at = time.monotonic()
    cluster.kill(seat, number)
    await cluster.wait_exit(seat)
    await cluster.wait_leader(above_term=leader.leadership_term_id)
    await asyncio.sleep(STEADY_S)
    returned_at = time.monotonic()
    await cluster.restart(seat)
    await _wait_applied(running, seat)
    # The load must be served again, or the next blow would add to this one's gap.
    leader = await cluster.wait_leader()
    served = leader.commit_position + SERVED_BYTES
    await _wait_committed(running, Seat(leader.seat), served)
    return Blow(at, returned_at, time.monotonic())


async def _wait_applied(running: Rig, seat: Seat) -> None:
    """Wait until a member has applied what all have committed by now, but for a moment's worth.

    What was committed when it was started is not enough: it has the load since then still to
    apply, and elected meanwhile it would answer nobody before it has.

    Raises:
        LoadFailed: It has not, in time.

    """

    def has_applied(statuses: Statuses) -> bool:
        status = statuses[seat]
        committed = max((each.commit_position for each in statuses.values() if each), default=0)
        return status is not None and committed - status.service_position < LAG_BYTES

    await _wait(running, has_applied, f"seat {seat} has not applied what is committed")


async def _wait_committed(running: Rig, seat: Seat, position: int) -> None:
    """Wait until a member has committed so far.

    Raises:
        LoadFailed: It has not, in time.

    """

    def has_committed(statuses: Statuses) -> bool:
        status = statuses[seat]
        return status is not None and status.commit_position >= position

    await _wait(running, has_committed, f"seat {seat} has not committed up to {position}")


async def _wait(running: Rig, reached: Callable[[Statuses], bool], problem: str) -> None:
    """Wait until the members' statuses are as wanted; raise ``LoadFailed`` if that takes long."""
    try:
        async with asyncio.timeout(CATCH_UP_TIMEOUT_S):
            while not reached(await running.cluster.statuses()):  # noqa: ASYNC110 - asks processes
                await asyncio.sleep(_PERIOD_S)
    except TimeoutError:
        raise LoadFailed(f"{problem} in {CATCH_UP_TIMEOUT_S:g} s") from None
