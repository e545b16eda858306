"""A dashboard's panels as a picture: roughly what Grafana shows of the same answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from quorate_monitoring.prometheus import Series
from quorate_monitoring.queries import Query

COLUMNS = 4
_SCALES = {"bytes": (1024.0**2, "MiB"), "Bps": (1024.0**2, "MiB/s"), "s": (0.001, "ms")}
_WORDS = {"ops": "1/s", "none": ""}


def draw(answers: Sequence[tuple[Query, Sequence[Series]]], title: str, file: Path) -> None:
    """Write a picture with one small graph for each panel that is not a single number."""
    panels: dict[str, list[tuple[Query, Sequence[Series]]]] = {}
    for query, series in answers:
        if query.kind != "stat":
            panels.setdefault(query.panel, []).append((query, series))
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(4.4 * COLUMNS, 2.6 * rows), layout="constrained")
    figure.suptitle(title)
    start = min(one.points[0][0] for _, found in answers for one in found)
    for number, (name, rows_of_panel) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        scale, unit = _scale(rows_of_panel[0][0].unit)
        for query, found in rows_of_panel:
            for one in found:
                label = legend(query.legend, one.labels)
                times = [at - start for at, _ in one.points]
                axes.plot(times, [value / scale for _, value in one.points], label=label, lw=1)
        axes.set_title(f"{name} ({unit})" if unit else name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=6, loc="best")
    figure.savefig(file, dpi=80)


def legend(text: str, labels: Mapping[str, str]) -> str:
    """Return a legend with labels in place of their names."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), text)


def _scale(unit: str) -> tuple[float, str]:
    return _SCALES.get(unit) or (1.0, _WORDS[unit])
