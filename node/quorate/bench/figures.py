"""One measured figure: the median of its repeats, their range, and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
SAMPLES_PER_PERCENTILE = 10
"""A percentile is reported when at least so many samples lie beyond it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach on the reference machine; see ``goals``."""

    value: float
    at_least: bool = False
    """False: at most."""

    def is_met(self, value: float, scale: float = 1.0) -> bool:
        """Tell whether ``value`` is good enough, the target taken so many times."""
        bound = self.value * scale
        return value >= bound if self.at_least else value <= bound


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, once per repeat."""

    name: str
    unit: str
    """``/s``, ``us``, ``ms``, ``MiB``, ``cores``, ``x`` for a ratio, or empty for a count."""
    values: tuple[float, ...]
    """At least one, in the order of the repeats."""
    target: Target | None = None
    peer: str = ""
    """The best peers' figures, on the reference machine."""
    is_worst: bool = False
    """The figure is the largest of the values, not their median."""
    is_bound_by_machine: bool = False
    """A latency whose floor is made of round trips and data syncs: judged by the ratio to them."""

    @property
    def value(self) -> float:
        """What the figure says: the median, or the largest."""
        return self.high if self.is_worst else statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one part has measured."""

    figures: Sequence[Figure]
    details: Sequence[Mapping[str, object]] = ()
    """What each repeat said, for the JSON document."""
    histograms: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """By name, how often each latency was seen, in nanoseconds, over all repeats."""


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that so many samples can tell; empty for fewer than twenty."""
    ascending = sorted(samples)
    count = len(ascending)
    return {
        name: ascending[min(count - 1, int(count * share))]
        for name, share in PERCENTILES.items()
        if count * (1 - share) >= SAMPLES_PER_PERCENTILE - 1e-6
    }


def gather(unit: str, repeats: Sequence[Mapping[str, float]], prefix: str = "") -> list[Figure]:
    """Return one figure for each key that every repeat has."""
    shared = [key for key in repeats[0] if all(key in repeat for repeat in repeats)]
    return [
        Figure(f"{prefix}{key}", unit, tuple(repeat[key] for repeat in repeats)) for key in shared
    ]
