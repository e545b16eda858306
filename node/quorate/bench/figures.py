"""One measured figure: the median of its repeats, and their range."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
SAMPLES_PER_PERCENTILE = 10
"""A percentile is reported when at least so many samples lie beyond it."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What a figure must reach."""

    value: float
    at_least: bool = True
    """False: at most."""

    def is_met(self, value: float) -> bool:
        """Tell whether a figure of ``value`` is good enough."""
        return value >= self.value if self.at_least else value < self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, once per repeat."""

    part: str
    name: str
    unit: str
    """``/s``, ``ms``, ``us``, ``cores`` or ``x`` for a ratio."""
    values: tuple[float, ...]
    """At least one, in the order of the repeats."""
    floor: Floor | None = None

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that so many samples can tell; empty for fewer than twenty."""
    ascending = sorted(samples)
    count = len(ascending)
    return {
        name: ascending[min(count - 1, int(count * share))]
        for name, share in PERCENTILES.items()
        if count * (1 - share) >= SAMPLES_PER_PERCENTILE - 1e-6
    }


def gather(
    part: str, unit: str, repeats: Sequence[Mapping[str, float]], prefix: str = ""
) -> list[Figure]:
    """Return one figure for each key that every repeat has."""
    shared = [key for key in repeats[0] if all(key in repeat for repeat in repeats)]
    return [
        Figure(part, f"{prefix}{key}", unit, tuple(repeat[key] for repeat in repeats))
        for key in shared
    ]
