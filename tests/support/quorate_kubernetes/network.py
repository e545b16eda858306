"""One network namespace for the control plane, with a bridge, and one for each node.

No namespace has a route outwards: the default route of a node leads to the control plane's, which
has none, so no pod reaches anything but this cluster.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate_kubernetes.commands import attempt, inside, run
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.layout import (
    BRIDGE,
    HOST,
    NAME,
    NODES,
    node_address,
    node_namespace,
    pod_subnet,
)

_CLONE_NEWNET = 0x40000000
_TABLE = "quorate_faults"


def make() -> None:
    """Make all namespaces, devices and routes."""
    run("ip", "netns", "add", NAME)
    control_plane = inside(NAME)
    run(*control_plane, "ip", "link", "set", "lo", "up")
    run(*control_plane, "ip", "link", "add", BRIDGE, "type", "bridge")
    run(*control_plane, "ip", "addr", "add", f"{HOST}/24", "dev", BRIDGE)
    run(*control_plane, "ip", "link", "set", BRIDGE, "up")
    run(*control_plane, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for node in NODES:
        _make_node(node)


def _make_node(node: str) -> None:
    namespace = node_namespace(node)
    control_plane, own = inside(NAME), inside(namespace)
    run("ip", "netns", "add", namespace)
    peer = ("peer", "name", "eth0", "netns", namespace)
    run(*control_plane, "ip", "link", "add", node, "type", "veth", *peer)
    run(*control_plane, "ip", "link", "set", node, "master", BRIDGE, "up")
    run(*own, "ip", "link", "set", "lo", "up")
    run(*own, "ip", "addr", "add", f"{node_address(node)}/24", "dev", "eth0")
    run(*own, "ip", "link", "set", "eth0", "up")
    run(*own, "ip", "route", "add", "default", "via", HOST)
    run(*own, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    run(*control_plane, "ip", "route", "add", pod_subnet(node), "via", node_address(node))
    for other in NODES:
        if other != node:
            run(*own, "ip", "route", "add", pod_subnet(other), "via", node_address(other))


def remove() -> None:
    """Remove the namespaces, and with them every device and rule."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        if name == NAME or name.startswith(f"{NAME}-"):
            run("ip", "netns", "del", name)


def cut(node: str) -> None:
    """Unplug the network cable of a node."""
    run(*inside(NAME), "ip", "link", "set", node, "down")


def plug(node: str) -> None:
    """Plug the network cable of a node in again."""
    run(*inside(NAME), "ip", "link", "set", node, "up")


def drop(node: str, source: str, destination: str) -> None:
    """Let no packet from one address to another pass through this node.

    Pods are routed, not bridged, so everything to or from a pod is forwarded by its node. One
    direction only: a broken link that still carries the other way is a fault of its own.
    """
    rules = f"""
        table inet {_TABLE} {{
            chain cuts {{
                type filter hook forward priority -10; policy accept;
                ip saddr {source} ip daddr {destination} drop
            }}
        }}
    """
    run(*inside(node_namespace(node)), "nft", "-f", "-", stdin=rules)


def drop_nothing(node: str) -> None:
    """Undo every ``drop`` on this node."""
    attempt(*inside(node_namespace(node)), "nft", "delete", "table", "inet", _TABLE)


@contextmanager
def entered(namespace: str = NAME) -> Iterator[None]:
    """Have this thread, and what it starts, live in a network namespace for a while.

    So that a story speaks to pods directly. Threads started before stay where they are.
    """
    with Path("/proc/self/ns/net").open() as before:
        _enter(Path("/run/netns", namespace))
        try:
            yield
        finally:
            _enter_descriptor(before.fileno(), "the network namespace before")


def _enter(path: Path) -> None:
    with path.open() as file:
        _enter_descriptor(file.fileno(), str(path))


def _enter_descriptor(descriptor: int, what: str) -> None:
    # `os.setns` is there from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise BedFailure(f"cannot enter {what}: {os.strerror(ctypes.get_errno())}")
