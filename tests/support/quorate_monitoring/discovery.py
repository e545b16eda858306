"""How a Prometheus of the tests finds pods and alerts: as the page on monitoring says.

Debian builds Prometheus without its discovery of Kubernetes. So what that would find is written
into a file, and the page's own relabelings make targets of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from quorate_monitoring.queries import ALERTS

PAGE = ALERTS.parents[3] / "docs" / "how-to" / "monitor.md"
EVERY = "1s"
"""How often pods are scraped and rules evaluated; production has 15 s to a minute."""
SHORTER = 30
"""A story cannot wait as long as an alert does: what takes five minutes takes ten seconds in it.
Not more: an alert of a minute has to outlast a scrape or two that a busy machine misses."""
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
_RELABELING = re.compile(r"^```yaml\nrelabel_configs:\n.*?^```", re.DOTALL | re.MULTILINE)


def configuration(targets: Path, rules: Path) -> dict[str, object]:
    """Return what ``prometheus.yml`` says: targets from a file, as ``discovered`` writes them."""
    job = {
        "job_name": "pods",
        "file_sd_configs": [{"files": [str(targets)]}],
        "relabel_configs": documented_relabelings(),
    }
    return {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(rules)],
        "scrape_configs": [job],
    }


def discovered(pods: Iterable[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Return what Prometheus' own discovery finds in these pods: a target for each port.

    Args:
        pods: As the API server writes them; one without an address yet has no target.

    """
    return [
        {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": _meta(pod)}
        for pod in pods
        if pod["status"].get("podIP")
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
    ]


def _meta(pod: Mapping[str, Any]) -> dict[str, str]:
    metadata = pod["metadata"]
    found = {"namespace": metadata["namespace"], "pod_name": metadata["name"]}
    for kind, rows in (("annotation", "annotations"), ("label", "labels")):
        for name, value in metadata.get(rows, {}).items():
            found[f"pod_{kind}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"] = value
    return {f"__meta_kubernetes_{name}": value for name, value in found.items()}


def documented_relabelings() -> Sequence[object]:
    """Return the relabelings that the page tells readers to take."""
    (block,) = _RELABELING.findall(PAGE.read_text(encoding="utf-8"))
    body = yaml.safe_load(block.removeprefix("```yaml\n").removesuffix("```"))
    return cast("Sequence[object]", body["relabel_configs"])


def shortened_waits() -> Mapping[str, str]:
    """Return the ``for`` of every alert, shortened."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: shortened(rule["for"]) for group in groups for rule in group["rules"]}


def shortened(wait: str) -> str:
    """Return a duration of Prometheus divided by ``SHORTER``, in milliseconds, rounded up."""
    parts = _PART.findall(wait)
    assert "".join(number + unit for number, unit in parts) == wait, f"not a duration: {wait!r}"
    total_ms = sum(int(number) * _MS[unit] for number, unit in parts)
    return f"{-(-total_ms // SHORTER)}ms"
