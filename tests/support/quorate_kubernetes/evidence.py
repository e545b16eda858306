"""Collects what explains a failed story before the cluster is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import LOGS, NODE_DISKS

FAILED = pytest.StashKey[bool]()
"""Of a story and of the whole run."""
_KINDS = (
    "pods,statefulsets,services,endpointslices,configmaps,persistentvolumeclaims,"
    "poddisruptionbudgets,leases,deployments,jobs"
)


def collect_namespace(kubectl: Kubectl, place: Path) -> None:
    """Write the objects, events and logs of a namespace into a directory.

    What cannot be had leaves the error text in its file: the evidence of a broken cluster is
    incomplete by nature.
    """
    place.mkdir(parents=True, exist_ok=True)
    _write(place / "events.txt", kubectl, "get", "events", "--sort-by=.lastTimestamp")
    _write(place / "overview.txt", kubectl, "get", f"nodes,{_KINDS}", "-o", "wide")
    _write(place / "objects.yaml", kubectl, "get", _KINDS, "-o", "yaml")
    # Apart: a cluster without the operator does not know the kind.
    _write(place / "clusterservices.yaml", kubectl, "get", "clusterservices", "-o", "yaml")
    for pod in kubectl.list("pods"):
        name = pod["metadata"]["name"]
        options = ("--all-containers", "--timestamps")
        _write(place / f"{name}.log", kubectl, "logs", name, *options)
        if any(row["restartCount"] for row in pod["status"].get("containerStatuses", [])):
            _write(place / f"{name}.previous.log", kubectl, "logs", name, *options, "--previous")


def collect_cluster(place: Path) -> None:
    """Copy the logs of the control plane and of every node into a directory."""
    for log in (*LOGS.glob("*.log"), *NODE_DISKS.glob("*/*.log")):
        target = place / log.relative_to(LOGS.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, target)


def _write(file: Path, kubectl: Kubectl, *arguments: str) -> None:
    result = kubectl.attempt(*arguments)
    file.write_text(result.stdout + result.stderr)
