"""The dashboards: what Grafana's model asks for, and expressions that Prometheus parses."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from quorate.control.metrics import COUNTERS, GAUGES, HISTOGRAMS, INFO, LABELLED, REFUSED
from quorate_monitoring.programs import program
from quorate_monitoring.queries import ALERTS, DASHBOARDS, queries

WIDTH = 24
KINDS = {"row", "stat", "state-timeline", "timeseries"}
GROUPED = r"[^(]*by \(([^)]*)\)|histogram_quantile\([\d.]+, sum by \(([^)]*)\)"
UNITS = {"none", "ops", "bytes", "Bps", "s"}
BY_STEM = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


@pytest.fixture(params=sorted(BY_STEM))
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = BY_STEM[request.param]
    return found


def test_the_whole_is_a_dashboard_that_grafana_provisions(dashboard: dict[str, Any]) -> None:
    # An id would be another installation's; the uid is what links and upgrades go by.
    assert "id" not in dashboard
    assert re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"])
    assert dashboard["title"]
    assert dashboard["schemaVersion"] >= 36
    assert set(dashboard["time"]) == {"from", "to"}
    assert dashboard["annotations"] == {"list": []}
    names = [row["name"] for row in dashboard["templating"]["list"]]
    assert names[0] == "datasource"
    assert len(set(names)) == len(names)
    for row in dashboard["templating"]["list"][1:]:
        assert row["type"] == "query"
        assert row["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert row["query"]["query"] == row["definition"]


def test_every_panel_is_one_that_grafana_draws(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels if panel["type"] != "row"]
    assert len(set(titles)) == len(titles)
    for panel in panels:
        assert panel["type"] in KINDS
        assert panel["title"]
        if panel["type"] == "row":
            assert panel["panels"] == []
            continue
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["fieldConfig"]["overrides"] == []
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[
            : len(panel["targets"])
        ]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_lie_side_by_side_and_on_no_other(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells
        assert max(x for x, _ in cells) < WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_query_asks_for_the_chosen_cluster_only() -> None:
    for query in queries(DASHBOARDS[0].with_name("quorate-cluster.json")):
        selectors = re.findall(r"(?:quorate|process)_\w+(\{[^}]*\})?", query.expr)
        assert selectors
        for selector in selectors:
            assert selector.startswith('{namespace="$namespace", cluster="$cluster"'), query.panel


def test_legends_name_labels_that_the_result_has() -> None:
    for path in DASHBOARDS:
        for query in queries(path):
            grouped = re.match(GROUPED, query.expr)
            labels = set("".join(grouped.groups("") if grouped else ()).replace(",", "").split())
            assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels, query.panel


def test_prometheus_parses_every_query(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"query:{number}",
            "expr": query.filled(namespace="n", cluster="c", interval="5m"),
        }
        for path in DASHBOARDS
        for number, query in enumerate(queries(path))
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    ended = subprocess.run(
        [program("promtool"), "check", "rules", "--lint=none", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(rules)} rules found" in ended.stdout


def test_only_metrics_that_a_member_has_are_asked_for() -> None:
    known = {gauge.name for gauge in GAUGES} | {f"{counter.name}_total" for counter in COUNTERS}
    known |= {f"{name}_{end}" for name, _ in HISTOGRAMS for end in ("bucket", "count", "sum")}
    known |= {name for name, _, _ in LABELLED} | {f"{REFUSED[0]}_total", f"{INFO[0]}_info"}
    expressions = [query.expr for path in DASHBOARDS for query in queries(path)]
    expressions += [
        rule["expr"]
        for group in yaml.safe_load(ALERTS.read_text())["groups"]
        for rule in group["rules"]
    ]
    asked = set(re.findall(r"quorate_\w+", " ".join(expressions)))
    assert {name for name in asked if not name.startswith("quorate_operator_")} <= known
