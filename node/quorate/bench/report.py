"""Blocks of figures as lines for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from quorate.bench.figures import Figure
from quorate.bench.goals import REFERENCE, REFERENCE_SYNC_US, REFERENCE_TRIP_US, scale
from quorate.bench.run import Block, Failure
from quorate.config import Durability

_WHOLE_NUMBER = 1000
_ONE_DECIMAL = 10
_US_PER_MS = 1000


def section(block: Block) -> str:
    """Return what was measured with the machine beside it, one line per figure."""
    before, after = block.before, block.after
    head = (
        f"{block.title} | data sync {_moved(before.sync_p50, after.sync_p50)} us "
        f"(reference {REFERENCE_SYNC_US:.0f}) | round trip on one core "
        f"{_moved(before.near_trip_p50, after.near_trip_p50)} us, on two "
        f"{_moved(before.far_trip_p50, after.far_trip_p50)} us "
        f"(reference {REFERENCE_TRIP_US:.0f}) | load {before.load_average:.1f}, "
        f"stolen {after.stolen_s - before.stolen_s:.1f} s"
    )
    rows = [_row(figure, block) for figure in block.measured.figures]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"  {row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  "
        f"{row[3]:>{widths[3]}}  {row[4]:<{widths[4]}}  {row[5]}".rstrip()
        for row in rows
    ]
    return "\n".join([head, *lines])


def _moved(before: float, after: float) -> str:
    return f"{before:.0f}, {after:.0f}"


def _row(figure: Figure, block: Block) -> tuple[str, str, str, str, str, str]:
    return (
        figure.name,
        shown(figure.value, figure.unit),
        f"({shown(figure.low, figure.unit)} to {shown(figure.high, figure.unit)})",
        in_machine_terms(figure, block),
        verdict(figure, block),
        f"best peers: {figure.peer}" if figure.peer else "",
    )


def in_machine_terms(figure: Figure, block: Block) -> str:
    """Return a latency in round trips and data syncs of this machine; empty for others."""
    if not figure.is_bound_by_machine:
        return ""
    text = f"{figure.value / block.trip_us:.1f} trips"
    if block.durability is Durability.FSYNC:
        text += f", {figure.value / block.sync_us:.1f} syncs"
    return text


def verdict(figure: Figure, block: Block) -> str:
    """Return the target, what that is on this machine, and whether it is met."""
    target = figure.target
    if target is None:
        return ""
    sign = "≥" if target.at_least else "≤"
    text = f"{sign} {shown(target.value, figure.unit)}"
    if target.is_met(figure.value):
        return f"{text}: met"
    factor = bound_scale(figure, block)
    if factor == 1:
        return f"{text}: MISSED"
    here = f"{text}, here {sign} {shown(target.value * factor, figure.unit)}"
    return f"{here}: {'met' if target.is_met(figure.value, factor) else 'MISSED'}"


def bound_scale(figure: Figure, block: Block) -> float:
    """Return by how much this machine's disk and loopback lengthen the figure; 1 if not bound."""
    if not figure.is_bound_by_machine or block.durability is None:
        return 1.0
    return max(1.0, scale(block.sync_us, block.trip_us, block.durability))


def heading() -> str:
    """Return what all figures depend on, for the first lines."""
    return (
        f"{one_line()}\n"
        f"in the first line of each part: the machine before and after it; then the "
        f"median (range) of the repeats; targets and peers are of a machine of this kind with "
        f"{REFERENCE};\n"
        f'"here" is a latency\'s target times what two round trips (and a sync) take here to that'
    )


def one_line() -> str:
    """Return the machine and the set-up, for people."""
    about = machine()
    return (
        f"{about['cores']} cores of {about['processor']}, Linux {about['kernel']}, "
        f"Python {about['python']}; 3 members and the load generator on this machine, "
        f"100-byte messages"
    )


def to_json(
    blocks: Sequence[Block], failures: Sequence[Failure], options: Mapping[str, object]
) -> str:
    """Return everything measured, with what it was measured on."""
    document = {
        "machine": machine(),
        "reference": {"sync_p50": REFERENCE_SYNC_US, "trip_p50": REFERENCE_TRIP_US},
        "options": dict(options),
        "blocks": [_block(block) for block in blocks],
        "failures": [
            {**asdict(failure), "durability": _named(failure.durability)} for failure in failures
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _block(block: Block) -> dict[str, object]:
    return {
        "part": block.part,
        "durability": _named(block.durability),
        "before": asdict(block.before),
        "after": asdict(block.after),
        "figures": [_figure(figure, block) for figure in block.measured.figures],
        "details": list(block.measured.details),
    }


def _figure(figure: Figure, block: Block) -> dict[str, object]:
    target = figure.target
    factor = bound_scale(figure, block)
    return {
        "name": figure.name,
        "unit": figure.unit,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "values": list(figure.values),
        "target": None if target is None else target.value,
        "target_here": None if target is None else target.value * factor,
        "met": None if target is None else target.is_met(figure.value, factor),
        "peers": figure.peer,
    }


def _named(durability: Durability | None) -> str | None:
    return None if durability is None else durability.name.lower()


def machine() -> dict[str, object]:
    """Return what the figures depend on beside the code."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
        "load_average": os.getloadavg()[0],
    }


def _commit() -> str:
    """Return the commit that is measured, with a mark for changes; empty outside of a clone."""
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    try:
        found = subprocess.run(git, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def shown(value: float, unit: str) -> str:
    """Return a figure as people read it."""
    if unit == "us" and value >= _US_PER_MS:
        value, unit = value / _US_PER_MS, "ms"
    return f"{_number(value)}{'' if unit == '/s' else ' '}{unit}".rstrip()


def _number(value: float) -> str:
    if value >= _WHOLE_NUMBER:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= _ONE_DECIMAL else f"{value:.2f}"
