"""Where things are: directories on this machine, addresses in the cluster."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SUPPORT = ROOT / "tests" / "support"
BED = ROOT / "tests" / "kubernetes"
REPORTS = ROOT / "build" / "reports" / "kubernetes"

STATE = Path(os.environ.get("QUORATE_KUBERNETES_STATE", "/var/tmp/quorate-kubernetes"))
"""Everything that a running cluster writes; made by ``up``, removed by ``down``."""
PKI = STATE / "pki"
LOGS = STATE / "logs"
RECORDS = STATE / "processes"
IMAGES = STATE / "images"
"""Archives that every node imports when its power comes on."""
NODE_DISKS = STATE / "nodes"
IMAGE_STORES = Path("/dev/shm/quorate-kubernetes")
"""Where the nodes unpack images if there is room: thousands of files that are no test's subject.
On a busy disk, unpacking them took half a minute and removing them longer."""
IMAGE_STORES_BYTES = 12 << 30
VOLUMES_IN_MEMORY = os.environ.get("QUORATE_KUBERNETES_VOLUMES") != "disk"
"""Volumes lie beside the images: each member of a ClusterService writes 192 MiB before anything
else, and no story is about disks. They outlive the power of a node all the same."""
MACHINE = STATE / "machine.json"
LOCK = STATE.with_name(STATE.name + ".lock")
"""Held while a cluster is up; beside the state because it outlives it."""

CACHE = Path(
    os.environ.get("QUORATE_KUBERNETES_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quorate" / "kubernetes"
)
"""What is expensive to make and depends on the repository's files alone."""

NAME = "quorate-e2e"
"""Of the network namespace of the control plane, and the prefix of those of the nodes."""
BRIDGE = "nodes"
"""In the namespace of the control plane, so it cannot clash with the machine's own devices."""
HOST = "10.89.0.1"
"""The control plane: API server and DNS."""
PODS = "10.90.0.0/16"
SERVICES = "10.91.0.0/16"
API_SERVICE = "10.91.0.1"
"""The first address of ``SERVICES``: ``kubernetes.default``."""
API_PORT = 6443
DNS_READY_PORT = 8181

NODES = ("n1", "n2", "n3")


def number(node: str) -> int:
    """Return 2 for ``n2``."""
    return int(node.removeprefix("n"))


def node_address(node: str) -> str:
    """Return the address of a node's own interface."""
    return f"10.89.0.{10 + number(node)}"


def pod_subnet(node: str) -> str:
    """Return the addresses of the pods on this node."""
    return f"10.90.{number(node)}.0/24"


def node_namespace(node: str) -> str:
    """Return the name of the node's network namespace."""
    return f"{NAME}-{node}"


def node_disk(node: str) -> Path:
    """Return the directory that is this node's disk; it outlives the node's power."""
    return NODE_DISKS / node


def kubeconfig(user: str) -> Path:
    """Return the file with which this user reaches the API server."""
    return STATE / f"{user}.kubeconfig"
