"""Runs the chosen parts one after the other, each between two looks at the machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from quorate.bench.costs import long_log, service
from quorate.bench.failover import failover, stop
from quorate.bench.figures import Figure, Measured
from quorate.bench.hostile import hostile
from quorate.bench.lagging import lagging
from quorate.bench.machine import Probe, probe
from quorate.bench.overload import flood, overload
from quorate.bench.plan import Plan
from quorate.bench.rig import rig
from quorate.bench.steady import STEADY
from quorate.config import Durability

SINGLE: dict[str, Callable[[Plan, Durability], Awaitable[Measured]]] = {
    "failover": failover,
    "stop": stop,
    "long": long_log,
    "service": service,
    "overload": overload,
    "flood": flood,
    "hostile": hostile,
    "lagging": lagging,
}
"""Parts with clusters of their own."""
COSTS = ("sessions", "stop", "long", "service", "overload", "flood", "hostile", "lagging")
"""Measured with one durability in a quick run."""
PARTS = ("machine", *STEADY, *SINGLE)

FRESH_S = 1.0


def titled(part: str, durability: Durability | None) -> str:
    """Return the name of a part as people read it."""
    return part if durability is None else f"{part}, {durability.name.lower()}"


@dataclass(frozen=True, slots=True)
class Block:
    """What one part has measured with one durability, and the machine before and after."""

    part: str
    durability: Durability | None
    measured: Measured
    before: Probe
    after: Probe

    @property
    def title(self) -> str:
        """Part and durability."""
        return titled(self.part, self.durability)

    @property
    def sync_us(self) -> float:
        """The data sync beside these figures, p50."""
        return (self.before.sync_p50 + self.after.sync_p50) / 2

    @property
    def trip_us(self) -> float:
        """The bare loopback round trip beside these figures, p50."""
        return (self.before.trip_p50 + self.after.trip_p50) / 2


@dataclass(frozen=True, slots=True)
class Failure:
    """A part that could not be measured."""

    part: str
    durability: Durability | None
    reason: str

    @property
    def title(self) -> str:
        """Part and durability."""
        return titled(self.part, self.durability)


class Run:
    """One run of the benchmark; ``blocks`` and ``failures`` grow as it goes."""

    def __init__(
        self,
        plan: Plan,
        only: Sequence[str],
        say: Callable[[str], None],
        show: Callable[[Block], None],
    ) -> None:
        """Prepare.

        Args:
            plan: How long and how often.
            only: Of ``PARTS``.
            say: Told what is measured, and what failed.
            show: Given each block as soon as it is measured.

        """
        self.blocks: list[Block] = []
        self.failures: list[Failure] = []
        self._plan = plan
        self._only = only
        self._say = say
        self._show = show
        self._seen: tuple[float, Probe | None] = (0.0, None)

    async def measure(self) -> None:
        """Measure everything; a part that fails is noted, and the others still run."""
        if "machine" in self._only:
            await self._block("machine", None, self._machine)
        for durability in self._plan.durabilities:
            kinds = [kind for kind in STEADY if self._wants(kind, durability)]
            await self._steady(kinds, durability)
        for kind, part in SINGLE.items():
            for durability in self._plan.durabilities:
                if self._wants(kind, durability):
                    await self._block(kind, durability, partial(part, self._plan, durability))

    def _wants(self, kind: str, durability: Durability) -> bool:
        chosen = self._plan.durabilities_of_costs() if kind in COSTS else self._plan.durabilities
        return kind in self._only and durability in chosen

    async def _steady(self, kinds: Sequence[str], durability: Durability) -> None:
        """Measure on one cluster, and on a new one after a part that failed."""
        remaining = list(kinds)
        while remaining:
            name = f"steady-{durability.name.lower()}-{len(remaining)}"
            try:
                async with rig(self._plan.directory / name, durability) as running:
                    is_good = True
                    while remaining and is_good:
                        kind = remaining.pop(0)
                        measure = partial(STEADY[kind], running, self._plan, durability)
                        is_good = await self._block(kind, durability, measure)
                    running.keeps_files = not is_good
            except Exception as error:  # noqa: BLE001 - as in `_block`
                # No cluster to measure on, or none any more.
                for kind in remaining:
                    self._fail(kind, durability, error)
                return

    async def _machine(self) -> Measured:
        looks = [await self._look() for _ in range(self._plan.repeats)]
        return Measured(
            [
                Figure(name, "us", tuple(getattr(look, field) for look in looks))
                for name, field in (
                    ("4 KiB write and data sync, p50", "sync_p50"),
                    ("4 KiB write and data sync, p99", "sync_p99"),
                    ("bare loopback round trip, p50, on one core", "near_trip_p50"),
                    ("bare loopback round trip, p50, on two cores", "far_trip_p50"),
                )
            ]
        )

    async def _block(
        self,
        part: str,
        durability: Durability | None,
        measure: Callable[[], Awaitable[Measured]],
    ) -> bool:
        self._say(f"measuring {titled(part, durability)}")
        try:
            before = await self._look_before()
            measured = await measure()
            after = await self._look()
            self._seen = (time.monotonic(), after)
        except Exception as error:  # noqa: BLE001 - the other parts' figures are not to be lost
            self._fail(part, durability, error)
            return False
        block = Block(part, durability, measured, before, after)
        self.blocks.append(block)
        self._show(block)
        return True

    async def _look_before(self) -> Probe:
        """Look at the machine, unless that was done a moment ago behind another part."""
        at, seen = self._seen
        if seen is not None and time.monotonic() - at < FRESH_S:
            return seen
        return await self._look()

    async def _look(self) -> Probe:
        return await asyncio.to_thread(probe, self._plan.directory)

    def _fail(self, part: str, durability: Durability | None, error: Exception) -> None:
        self.failures.append(Failure(part, durability, reason_of(error)))
        self._say(f"{titled(part, durability)} failed: {self.failures[-1].reason}")


def reason_of(error: BaseException) -> str:
    """Return what went wrong in one line, the first of a group's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
