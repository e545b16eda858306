"""What a node changes on the machine itself, and how it is put back.

kubelet sets these for the whole machine. The directories are where a node's disk is mounted,
which its container runtime and kubelet do not let one choose; they hold nothing outside of the
nodes, and those that were not there before are removed.
"""

from __future__ import annotations

import json
from pathlib import Path

from quorate_kubernetes.layout import MACHINE

SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
MOUNT_POINTS = {
    "kubelet": "/var/lib/kubelet",
    "containerd": "/var/lib/containerd",
    "cni-state": "/var/lib/cni",
    "cni-config": "/etc/cni",
    "pod-logs": "/var/log/pods",
    "container-logs": "/var/log/containers",
    "volumes": "/opt/quorate-volumes",
}
"""Folder on a node's disk: where the node sees it."""


def save() -> None:
    """Note how the machine is, and make the mount points."""
    values = {name: _sysctl(name).read_text() for name in SYSCTLS if _sysctl(name).exists()}
    made = []
    for place in MOUNT_POINTS.values():
        if not Path(place).exists():
            Path(place).mkdir(parents=True)
            made.append(place)
    MACHINE.write_text(json.dumps({"sysctls": values, "made": made}))


def restore() -> None:
    """Put everything back; does nothing when nothing was saved."""
    if not MACHINE.exists():
        return
    saved = json.loads(MACHINE.read_text())
    for name, value in saved["sysctls"].items():
        if _sysctl(name).read_text() != value:
            _sysctl(name).write_text(value)
    for place in saved["made"]:
        Path(place).rmdir()
    MACHINE.unlink()


def _sysctl(name: str) -> Path:
    return Path("/proc/sys", name)
