"""The dashboards: what Grafana's model asks for, and expressions that Prometheus parses."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from quorate.control.metrics import COUNTERS, GAUGES, HISTOGRAMS, INFO, LABELLED, REFUSED
from quorate_monitoring.programs import program
from quorate_monitoring.queries import ALERTS, DASHBOARDS, Query, queries
from quorate_operator.metrics import Metrics

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


EVERY = [query for path in DASHBOARDS for query in queries(path)]
ON_PANELS = pytest.mark.parametrize(
    "query", EVERY, ids=lambda query: f"{query.panel}: {query.legend}"
)


def unit_of(expr: str) -> str:
    """Return what an expression is measured in, by the names of its metrics."""
    (metric, *_) = re.findall(r"(?:quorate|process)_\w+", expr)
    if metric.endswith("_bucket"):
        return "s"
    if "rate(" in expr:
        # Seconds of a processor in a second are cores.
        return "Bps" if "_bytes" in metric else "none" if "_seconds_total" in metric else "ops"
    return "bytes" if metric.endswith("_bytes") else "none"


@ON_PANELS
def test_the_unit_is_that_of_the_metrics(query: Query) -> None:
    assert query.unit == unit_of(query.expr)


@ON_PANELS
def test_a_quantile_is_the_one_that_is_named(query: Query) -> None:
    found = re.match(r"histogram_quantile\(([\d.]+), sum by \(([\w, ]+)\)", query.expr)
    if found is None:
        assert "_bucket" not in query.expr
        return
    words = {"0.5": "median", "0.99": "99 %"}[found[1]]
    assert words in query.legend or ("slowest hundredth" in query.panel and found[1] == "0.99")
    assert "le" in found[2].split(", "), "without it there is no quantile"


@ON_PANELS
def test_what_is_left_is_the_least_that_a_member_has(query: Query) -> None:
    if "_free_" in query.expr:
        assert query.expr.startswith("min")


def test_a_count_is_of_the_time_that_its_panel_says(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            spans = re.findall(r"increase\([^[]*\[(\w+)\]", target["expr"])
            for span in spans:
                assert {"5m": "five minutes", "1h": "last hour"}[span] in panel["description"]
            # As Grafana reckons from how often is scraped: no fixed span fits every installation.
            rates = re.findall(r"rate\([^[]*\[(\S+)\]", target["expr"])
            assert set(rates) <= {"$__rate_interval"}, panel["title"]


def test_who_leads_is_shown_as_such() -> None:
    panels = json.loads(DASHBOARDS[0].with_name("quorate-cluster.json").read_text())["panels"]
    (panel,) = (panel for panel in panels if panel["type"] == "state-timeline")
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    shown = {value: row["text"] for value, row in mapping["options"].items()}
    assert shown == {"0": "follows", "1": "leads"}
    assert "quorate_is_leader" in panel["targets"][0]["expr"]


def test_which_cluster_is_ready_is_shown_as_such() -> None:
    panels = json.loads(DASHBOARDS[0].with_name("quorate-operator.json").read_text())["panels"]
    (panel,) = (panel for panel in panels if panel["type"] == "state-timeline")
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    shown = {value: (row["text"], row["color"]) for value, row in mapping["options"].items()}
    assert shown == {"0": ("not ready", "red"), "1": ("ready", "green")}
    assert 'condition="Ready"' in panel["targets"][0]["expr"]


@pytest.mark.parametrize(
    ("title", "shown"),
    [("Processes that act", ["red", "green"]), ("Failed reconciliations", ["green", "red"])],
)
def test_a_number_has_the_colour_of_good_or_bad(title: str, shown: list[str]) -> None:
    panels = json.loads(DASHBOARDS[0].with_name("quorate-operator.json").read_text())["panels"]
    (panel,) = (panel for panel in panels if panel["title"] == title)
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [[row for row in steps if (row["value"] or 0) <= number][-1] for number in (0, 1)]
    assert [row["color"] for row in reached] == shown


def test_failures_are_what_the_reference_calls_so() -> None:
    page = ALERTS.parents[3] / "docs" / "reference" / "operator-metrics.md"
    sentence = page.read_text().split("these are failures:")[1].split("\n\n")[0]
    texts = [query.expr for query in EVERY] + [ALERTS.read_text()]
    found = re.findall(r'reconcile_total\{result=~"([^"]*)"', " ".join(texts))
    assert len(found) == 2
    for words in found:
        assert set(words.split("|")) == set(re.findall(r"`(\w+)`", sentence))


def test_only_metrics_that_there_are_are_asked_for_of_processes_and_operator() -> None:
    known = {
        sample.name
        for collector in (ProcessCollector(registry=CollectorRegistry()), Metrics().registry)
        for family in collector.collect()
        for sample in family.samples
    }
    # Those with labels have no sample before something is counted.
    families = {family.name: family.type for family in Metrics().registry.collect()}
    known |= {f"{name}_total" for name, kind in families.items() if kind == "counter"}
    known |= {f"{name}_bucket" for name, kind in families.items() if kind == "histogram"}
    known |= {name for name, kind in families.items() if kind == "gauge"}
    texts = [query.expr for query in EVERY] + [ALERTS.read_text()]
    asked = set(re.findall(r"(?:quorate_operator|process)_\w+", " ".join(texts)))
    assert asked
    assert asked <= known


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
