"""What the plot shows, as numbers: latency over percentiles, throughput beside its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quorate.bench.figures import SAMPLES_PER_PERCENTILE
from quorate.bench.run import Block


@dataclass(frozen=True, slots=True)
class Bar:
    """One throughput."""

    label: str
    value: float
    low: float
    high: float
    target: float | None


def nines(counts: Mapping[int, int]) -> tuple[list[float], list[float]]:
    """Return a latency distribution as a curve over the number of nines.

    Args:
        counts: How often each latency was seen, in nanoseconds.

    Returns:
        1 / (1 - share of samples that are smaller), as far as enough samples lie beyond, and the
        latency in milliseconds there.

    """
    total, seen = sum(counts.values()), 0
    across, up = list[float](), list[float]()
    for value, count in sorted(counts.items()):
        beyond = total - seen
        if beyond < SAMPLES_PER_PERCENTILE:
            break
        across.append(total / beyond)
        up.append(max(value, 1) / 1e6)
        seen += count
    return across, up


def bars(blocks: Sequence[Block]) -> list[Bar]:
    """Return the throughput of each part that has one with a target."""
    return [
        Bar(block.title, figure.value, figure.low, figure.high, figure.target.value)
        for block in blocks
        for figure in block.measured.figures
        if figure.unit == "/s" and figure.target is not None
    ]
