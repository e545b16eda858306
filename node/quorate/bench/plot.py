"""The figures as one picture: latency by percentile and throughput beside its targets."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FuncFormatter, NullLocator

from quorate.bench.curves import Bar, bars, nines
from quorate.bench.goals import REFERENCE
from quorate.bench.run import Block
from quorate.config import Durability

_COLOURS = ("#2563a8", "#c2571a", "#3c8c4a", "#8250a0")
_TARGET_COLOUR = "#333333"
_WIDTH_IN, _HEIGHT_IN = 12.0, 5.2
_SUBTITLE_CHARACTERS = 150
"""In a line as wide as the whole picture; a picture of one half has half of it."""


def write_plot(blocks: Sequence[Block], path: Path, subtitle: str) -> list[Path]:
    """Draw what there is; return the file, nothing when nothing can be drawn.

    Raises:
        OSError: The file cannot be written.

    """
    picture = draw(blocks, subtitle)
    if picture is None:
        return []
    picture.savefig(path, dpi=130)
    return [path]


def draw(blocks: Sequence[Block], subtitle: str) -> Picture | None:
    """Return the picture of what there is, half as wide where it is one kind, or None."""
    latencies = [block for block in blocks if block.measured.histograms]
    throughputs = bars(blocks)
    count = bool(latencies) + bool(throughputs)
    if not count:
        return None
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        picture = Picture(figsize=(_WIDTH_IN * count / 2, _HEIGHT_IN), layout="constrained")
        axes = iter(picture.subplots(1, count, squeeze=False)[0])
        if latencies:
            _draw_latencies(next(axes), latencies)
        if throughputs:
            _draw_throughputs(next(axes), throughputs)
        lines = textwrap.fill(subtitle, _SUBTITLE_CHARACTERS * count // 2)
        picture.suptitle(lines, fontsize=9, color="#555555")
    return picture


def _draw_latencies(axes: Axes, blocks: Sequence[Block]) -> None:
    """One curve per part and durability; a broken line for ``replicated``."""
    parts = list(dict.fromkeys(block.part for block in blocks))
    for block in blocks:
        for counts in block.measured.histograms.values():
            axes.plot(
                *nines(counts),
                color=_COLOURS[parts.index(block.part) % len(_COLOURS)],
                linestyle="-" if block.durability is Durability.FSYNC else "--",
                label=block.title,
            )
    axes.set(xscale="log", yscale="log", xlim=(1, 100_000), xlabel="percentile")
    axes.set_ylabel("latency, ms (open loops: from when the message was due)")
    axes.set_axisbelow(True)
    axes.set_title("Latency")
    axes.set_xticks(
        [1, 2, 10, 100, 1_000, 10_000, 100_000],
        ["0", "50", "90", "99", "99.9", "99.99", "99.999"],
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)


def _draw_throughputs(axes: Axes, rows: Sequence[Bar]) -> None:
    """One bar per part and durability, its range, and a tick at the target."""
    places = range(len(rows), 0, -1)
    values = [row.value / 1_000 for row in rows]
    reach = [
        [(row.value - row.low) / 1_000 for row in rows],
        [(row.high - row.value) / 1_000 for row in rows],
    ]
    colours = [_COLOURS[0] if row.label.endswith("fsync") else "#86aed6" for row in rows]
    axes.barh(places, values, height=0.6, color=colours, xerr=reach, ecolor="#777777")
    for place, row in zip(places, rows, strict=True):
        if row.target is not None:
            at = row.target / 1_000
            axes.plot([at, at], [place - 0.4, place + 0.4], color=_TARGET_COLOUR, linewidth=2)
    axes.plot([], [], color=_TARGET_COLOUR, linewidth=2, label=f"target ({REFERENCE})")
    axes.set_yticks(list(places), [row.label for row in rows])
    axes.set(xlabel="thousand messages a second, median and range", xlim=(0, None))
    # Below the lowest bar there is room for the legend.
    axes.set_ylim(0, len(rows) + 0.6)
    axes.set_axisbelow(True)
    axes.set_title("Throughput")
    axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False, loc="lower right")
