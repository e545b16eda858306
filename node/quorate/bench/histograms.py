"""Latencies as HdrHistogram files, which the plotters of that project read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hdrh.histogram import HdrHistogram

from quorate.bench.run import Block

_LOWEST_NS, _HIGHEST_NS = 1, 3_600 * 1_000_000_000
_DIGITS = 3
_NS_PER_US = 1_000.0


def write_histograms(blocks: Sequence[Block], directory: Path) -> list[Path]:
    """Write one ``.hgrm`` file for each latency row, in microseconds, over all repeats.

    Returns:
        The files.

    Raises:
        OSError: One cannot be written.

    """
    written = []
    for block in blocks:
        for name, counts in block.measured.histograms.items():
            level = "" if block.durability is None else f"-{block.durability.name.lower()}"
            path = directory / f"{name}{level}.hgrm"
            with path.open("wb") as file:
                recorded(counts).output_percentile_distribution(file, _NS_PER_US)
            written.append(path)
    return written


def recorded(counts: Mapping[int, int]) -> HdrHistogram:
    """Return a histogram of how often each latency was seen, in nanoseconds."""
    histogram = HdrHistogram(_LOWEST_NS, _HIGHEST_NS, _DIGITS)
    for value, count in counts.items():
        histogram.record_value(max(_LOWEST_NS, value), count)
    return histogram
