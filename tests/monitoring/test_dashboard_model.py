"""The dashboards against Grafana's own model: fields, words and layout that it knows.

The sets of fields and words are those of the schema that Grafana publishes for version 1 of a
dashboard and for these kinds of panels. Grafana drops what it does not know and fills in what is
missing without a word, so only a test can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from quorate_monitoring.queries import DASHBOARDS

Json = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
BUILT_IN = {"__rate_interval"}
DASHBOARD_FIELDS = {
    *("uid", "title", "tags", "schemaVersion", "version", "editable", "graphTooltip", "refresh"),
    *("timezone", "time", "annotations", "links", "templating", "panels"),
}
ROW_FIELDS = {"id", "type", "title", "collapsed", "gridPos", "panels"}
PANEL_FIELDS = {
    *("id", "type", "title", "description", "datasource", "gridPos"),
    *("fieldConfig", "options", "targets"),
}
TARGET_FIELDS = {"refId", "datasource", "expr", "legendFormat", "editorMode", "range", "instant"}
DEFAULTS_FIELDS = {"unit", "custom", "mappings", "thresholds"}
OPTIONS = {
    "stat": {
        *("reduceOptions", "colorMode", "graphMode", "textMode", "justifyMode", "orientation"),
        *("wideLayout", "showPercentChange", "percentChangeColorMode"),
    },
    "timeseries": {"legend", "tooltip"},
    "state-timeline": {"showValue", "mergeValues", "rowHeight", "legend", "tooltip"},
}
LEGEND = {"displayMode", "placement", "showLegend", "calcs"}
WORDS = {
    "calcs": {"lastNotNull"},
    "colorMode": {"none", "value", "background", "background_solid"},
    "displayMode": {"list", "table", "hidden"},
    "editorMode": {"code", "builder"},
    "graphMode": {"none", "line", "area"},
    "justifyMode": {"auto", "center"},
    "mode": {"absolute", "percentage", "single", "multi", "none"},
    "orientation": {"auto", "vertical", "horizontal"},
    "percentChangeColorMode": {"standard", "inverted", "same_as_value"},
    "placement": {"bottom", "right"},
    "showPoints": {"auto", "never", "always"},
    "showValue": {"auto", "never", "always"},
    "sort": {"asc", "desc", "none"},
    "textMode": {"auto", "value", "value_and_name", "name", "none"},
}
SCHEMA_VERSIONS = range(37, 43)
"""Since 37 legends say ``showLegend``; a smaller number makes Grafana migrate what is new already.
42 is the last of this model."""
BY_STEM = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


@pytest.fixture(params=sorted(BY_STEM))
def dashboard(request: pytest.FixtureRequest) -> Json:
    found: Json = BY_STEM[request.param]
    return found


def within(value: object, place: str = "") -> Iterator[tuple[str, str, object]]:
    """Yield place, key and value of every entry, however deep."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield place, key, item
            yield from within(item, f"{place}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from within(item, f"{place}[{number}]")


def graphs(dashboard: Json) -> list[Json]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_every_field_is_one_that_grafana_knows(dashboard: Json) -> None:
    assert set(dashboard) == DASHBOARD_FIELDS
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            assert set(panel) == ROW_FIELDS, panel["title"]
            continue
        assert set(panel) == PANEL_FIELDS, panel["title"]
        assert set(panel["options"]) == OPTIONS[panel["type"]], panel["title"]
        assert set(panel["options"].get("legend", LEGEND)) == LEGEND, panel["title"]
        assert set(panel["fieldConfig"]["defaults"]) <= DEFAULTS_FIELDS, panel["title"]
        for target in panel["targets"]:
            assert set(target) <= TARGET_FIELDS, panel["title"]


def test_every_word_is_one_that_grafana_knows(dashboard: Json) -> None:
    for panel in graphs(dashboard):
        for place, key, value in within(panel):
            if key in WORDS:
                said = value if isinstance(value, list) else [value]
                assert set(said) <= WORDS[key], f"{panel['title']}{place}.{key}"


def test_the_datasource_is_the_chosen_one_everywhere(dashboard: Json) -> None:
    for place, key, value in within(dashboard):
        if key == "datasource":
            assert value == DATASOURCE, place
        if key == "uid" and place:
            assert value == DATASOURCE["uid"], place


def test_variables_are_defined_before_they_are_used_and_are_used(dashboard: Json) -> None:
    used: set[str] = set()
    known: set[str] = set()
    for row in dashboard["templating"]["list"]:
        asked = variables_in(row)
        assert asked <= known, f"{row['name']} asks for what is chosen after it"
        used |= asked
        known.add(row["name"])
    shown = {name for panel in dashboard["panels"] for name in variables_in(panel)}
    assert shown <= known | BUILT_IN
    assert used | shown >= known


def variables_in(value: Json) -> set[str]:
    texts = [str(item) for _, _, item in within(value) if isinstance(item, str)]
    return {name for text in texts for name in re.findall(r"\$\{?(\w+)", text)}


def test_no_choice_of_its_author_is_kept(dashboard: Json) -> None:
    for row in dashboard["templating"]["list"]:
        assert "current" not in row, row["name"]
        assert row["options"] == []


def test_the_head_says_what_grafana_can_do(dashboard: Json) -> None:
    assert dashboard["schemaVersion"] in SCHEMA_VERSIONS
    assert re.fullmatch(r"\d+[smhd]", dashboard["refresh"])
    assert dashboard["graphTooltip"] in (0, 1, 2)
    assert dashboard["timezone"] == "browser"
    assert re.fullmatch(r"now-\d+[mhd]", dashboard["time"]["from"])
    assert dashboard["time"]["to"] == "now"


def test_dashboards_are_told_apart_and_found_together() -> None:
    bodies = list(BY_STEM.values())
    assert len({body["uid"] for body in bodies}) == len(bodies)
    assert len({body["title"] for body in bodies}) == len(bodies)
    for stem, body in BY_STEM.items():
        # Of the product, so that it is no other dashboard's by chance; and the name of its file.
        assert body["uid"] == stem
        assert stem.startswith("quorate-")
        assert body["tags"] == ["quorate"]


def test_a_number_is_red_only_where_that_is_said(dashboard: Json) -> None:
    """Without thresholds Grafana paints every number from 80 on red."""
    for panel in graphs(dashboard):
        if panel["type"] == "stat":
            thresholds = panel["fieldConfig"]["defaults"]["thresholds"]
            values = [step["value"] for step in thresholds["steps"]]
            assert values[0] is None, panel["title"]
            assert values[1:] == sorted(values[1:]), panel["title"]


def test_rows_hold_the_panels_below_them_without_a_gap(dashboard: Json) -> None:
    """Grafana folds up with a row what follows it in the list, and pulls panels up into gaps."""
    bottom = 0
    panels = dashboard["panels"]
    assert panels[0]["type"] == "row"
    starts = [number for number, panel in enumerate(panels) if panel["type"] == "row"]
    for start, end in zip(starts, [*starts[1:], len(panels)], strict=True):
        row, *below = panels[start:end]
        assert row["gridPos"] == {"x": 0, "y": bottom, "w": 24, "h": 1}, row["title"]
        assert below, row["title"]
        places = [panel["gridPos"] for panel in below]
        assert {place["y"] for place in places} == {bottom + 1}, row["title"]
        assert len({place["h"] for place in places}) == 1, row["title"]
        assert [place["x"] for place in places] == sorted(place["x"] for place in places)
        bottom += 1 + places[0]["h"]
