"""Figures as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from quorate.bench.figures import Figure

BUSY_LOAD = 0.5
"""Load average above which other work disturbs the figures."""
_WHOLE_NUMBER = 1000
_ONE_DECIMAL = 10


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines: part, name, median, range, floor."""
    rows = [("", "figure", "median", "range", "floor")]
    part = ""
    for figure in figures:
        rows.append(
            (
                figure.part if figure.part != part else "",
                figure.name,
                _shown(figure.median, figure.unit),
                f"{_number(figure.low)} to {_number(figure.high)}",
                _floor(figure),
            )
        )
        part = figure.part
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  "
        f"{row[3]:>{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    )


def to_json(figures: Sequence[Figure], options: Mapping[str, object]) -> str:
    """Return everything measured, with what it was measured on."""
    document = {
        "machine": machine(),
        "options": dict(options),
        "figures": [
            {
                "part": figure.part,
                "name": figure.name,
                "unit": figure.unit,
                "median": figure.median,
                "low": figure.low,
                "high": figure.high,
                "values": list(figure.values),
                "floor": None if figure.floor is None else figure.floor.value,
                "floor_met": None if figure.floor is None else figure.floor.is_met(figure.median),
            }
            for figure in figures
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def machine() -> dict[str, object]:
    """Return what the figures depend on beside the code."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _floor(figure: Figure) -> str:
    if figure.floor is None:
        return ""
    sign = "≥" if figure.floor.at_least else "<"
    met = "met" if figure.floor.is_met(figure.median) else "MISSED"
    return f"{sign} {_shown(figure.floor.value, figure.unit)} {met}"


def _shown(value: float, unit: str) -> str:
    return f"{_number(value)}{'' if unit == '/s' else ' '}{unit}"


def _number(value: float) -> str:
    if value >= _WHOLE_NUMBER:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= _ONE_DECIMAL else f"{value:.2f}"
