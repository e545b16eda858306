"""The chart as helm renders it, without a cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from quorate_kubernetes import tools
from quorate_kubernetes.layout import ROOT

CHART = ROOT / "charts" / "quorate"
VERSION = ("--kube-version", "1.34.0")
"""Of the Kubernetes that is rendered for."""
MONITORED = ("--api-versions", "monitoring.coreos.com/v1")
TIMEOUT_S = 60


def helm(*words: str, tmp: Path) -> subprocess.CompletedProcess[str]:
    """Run helm with a home of its own; it may fail."""
    return subprocess.run(
        [str(tools.built() / "helm"), *words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp)},
    )


def template(
    tmp: Path,
    *options: str,
    release: str = "quorate",
    namespace: str = "system",
    chart: Path = CHART,
) -> str:
    """Return what helm renders."""
    words = ("template", release, str(chart), "--namespace", namespace, *VERSION, *options)
    result = helm(*words, tmp=tmp)
    assert result.returncode == 0, result.stderr
    return result.stdout


def values(*settings: str) -> tuple[str, ...]:
    """Return the options that set these values."""
    return tuple(word for setting in settings for word in ("--set", setting))


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of a rendering; fails where a map has a key twice, as strict tools do."""
    return [body for body in yaml.load_all(text, _Strict) if body]


def of_kind(text: str, kind: str) -> list[dict[str, Any]]:
    """Return those of one kind."""
    return [body for body in objects(text) if body["kind"] == kind]


class _Strict(yaml.CSafeLoader):
    """Refuses maps with a key twice."""


def _map(loader: _Strict, node: yaml.MappingNode) -> dict[object, object]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    doubled = {key for key in keys if keys.count(key) > 1}
    assert not doubled, f"twice in one map{node.start_mark}: {doubled}"
    return dict(loader.construct_mapping(node, deep=True))


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _map)
