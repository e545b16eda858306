"""What a story gives to Prometheus: the page's relabelings, and waits that are shorter."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quorate_monitoring.discovery import (
    PAGE,
    SHORTER,
    configuration,
    discovered,
    documented_relabelings,
    shortened,
    shortened_waits,
)
from quorate_monitoring.programs import program
from quorate_monitoring.queries import ALERTS

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
POD = {
    "metadata": {
        "name": "counter-1",
        "namespace": "shop",
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9030"},
        "labels": {"quorate.io/cluster": "counter"},
    },
    "spec": {"containers": [{"ports": [{"containerPort": 9010}, {"containerPort": 9030}]}]},
    "status": {"podIP": "10.1.2.3"},
}
PARTS = st.dictionaries(st.sampled_from(list(_UNITS)), st.integers(0, 10_000), min_size=1)


@given(PARTS)
def test_a_wait_is_divided_and_never_to_nothing(parts: dict[str, int]) -> None:
    written = "".join(f"{parts[unit]}{unit}" for unit in _UNITS if unit in parts)
    total_ms = sum(count * _UNITS[unit] for unit, count in parts.items())
    short_ms = int(shortened(written).removesuffix("ms"))
    assert total_ms <= short_ms * SHORTER < total_ms + SHORTER


@pytest.mark.parametrize("text", ["5", "5m or so", "m5", "1w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(AssertionError, match="not a duration"):
        shortened(text)


def test_prometheus_takes_the_configuration(tmp_path: Path) -> None:
    groups = yaml.safe_load(ALERTS.read_text())
    for group in groups["groups"]:
        for rule in group["rules"]:
            rule["for"] = shortened_waits()[rule["alert"]]
    (tmp_path / "rules.yaml").write_text(json.dumps(groups))
    (tmp_path / "targets.json").write_text(json.dumps(discovered([POD])))
    body = configuration(tmp_path / "targets.json", tmp_path / "rules.yaml")
    (tmp_path / "prometheus.yml").write_text(json.dumps(body))
    ended = subprocess.run(
        [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(shortened_waits())} rules found" in ended.stdout


def test_the_page_sets_every_label_that_queries_go_by() -> None:
    rows = documented_relabelings()
    targets = {
        row["target_label"] for row in rows if isinstance(row, dict) and "target_label" in row
    }
    assert targets == {"__address__", "namespace", "pod", "cluster"}, PAGE


def test_pods_are_discovered_as_prometheus_names_them() -> None:
    assert not discovered([{**POD, "status": {}}])
    first, second = discovered([POD])
    assert (first["targets"], second["targets"]) == (["10.1.2.3:9010"], ["10.1.2.3:9030"])
    assert first["labels"] == second["labels"]
    assert first["labels"] == {
        "__meta_kubernetes_namespace": "shop",
        "__meta_kubernetes_pod_name": "counter-1",
        "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
        "__meta_kubernetes_pod_annotation_prometheus_io_port": "9030",
        "__meta_kubernetes_pod_label_quorate_io_cluster": "counter",
    }
    sources = {
        label
        for row in documented_relabelings()
        if isinstance(row, dict)
        for label in row["source_labels"]
    }
    assert sources - {"__address__"} == set(first["labels"]), PAGE
