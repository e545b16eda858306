"""The chart's dashboards and alerts, as values."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

CHART = Path(__file__).resolve().parents[3] / "charts" / "quorate"
ALERTS = CHART / "rules" / "alerts.yaml"
DASHBOARDS = tuple(sorted((CHART / "dashboards").glob("*.json")))


@dataclass(frozen=True, slots=True)
class Query:
    """One query of one panel."""

    dashboard: str
    panel: str
    kind: str
    unit: str
    expr: str
    legend: str

    def filled(self, *, namespace: str, cluster: str, interval: str) -> str:
        """Return the expression as Grafana sends it for these choices of its user."""
        text = self.expr.replace("$__rate_interval", interval)
        return text.replace("$namespace", namespace).replace("$cluster", cluster)


def queries(dashboard: Path) -> list[Query]:
    """Return every query of a dashboard, in the order of its panels."""
    body = json.loads(dashboard.read_text(encoding="utf-8"))
    return [
        Query(
            dashboard.stem,
            panel["title"],
            panel["type"],
            panel["fieldConfig"]["defaults"]["unit"],
            target["expr"],
            target["legendFormat"],
        )
        for panel in body["panels"]
        for target in panel.get("targets", [])
    ]


def without_condition(expr: str) -> str:
    """Return what an alert looks at: no comparison at its end, and any state of a member."""
    text = re.sub(r"\{state=~?\"[^\"]*\"\}", "", expr)
    text = re.sub(r"result=~\"[^\"]*\"", "", text)
    return re.sub(r"\s(==|<|>)\s[0-9.]+", "", text)
