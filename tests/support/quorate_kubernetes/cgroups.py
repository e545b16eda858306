"""The control groups of the nodes, on machines with cgroup v1, v2 or both."""

from __future__ import annotations

import os
from pathlib import Path

from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.layout import NAME
from quorate_kubernetes.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
"""What kubelet asks for; more are enabled where the machine has them."""
V2_OPTIONAL = ("hugetlb", "io")
REMOVE_TIMEOUT_S = 5.0


def is_v2() -> bool:
    """Tell whether there is one hierarchy for everything."""
    return (ROOT / "cgroup.controllers").exists()


def path_of(node: str) -> str:
    """Return the group of a node's pods, as kubelet's ``cgroupRoot`` names it."""
    return f"/{NAME}/{node}"


def make(node: str) -> None:
    """Make a node's group where kubelet expects to find it: in every hierarchy."""
    if is_v2():
        _make_v2(ROOT / NAME / node)
        return
    for hierarchy in _v1_hierarchies():
        for group in (hierarchy / NAME, hierarchy / NAME / node):
            group.mkdir(exist_ok=True)
            # A new cpuset is empty, and an empty one takes no process.
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (group / file).exists():
                    (group / file).write_text((hierarchy / file).read_text())


def _make_v2(group: Path) -> None:
    have = (ROOT / "cgroup.controllers").read_text().split()
    missing = [name for name in V2_CONTROLLERS if name not in have]
    if missing:
        raise BedFailure(f"cgroup v2 without {' '.join(missing)}: {ROOT}/cgroup.controllers")
    wanted = " ".join(f"+{name}" for name in (*V2_CONTROLLERS, *V2_OPTIONAL) if name in have)
    group.mkdir(parents=True, exist_ok=True)
    for level in (ROOT, group.parent, group):
        try:
            (level / "cgroup.subtree_control").write_text(wanted)
        except OSError as error:
            # In a container the root group often holds processes, and then it delegates nothing.
            raise BedFailure(f"{level}/cgroup.subtree_control: {error.strerror}") from error


def remove(node: str = "") -> None:
    """Remove the groups of a node that has lost its power, or of all nodes.

    What a dead node leaves would cost its next kubelet 3 s each. On a machine with both versions
    runc makes groups in the unified hierarchy too, so that one is cleared as well.
    """
    for hierarchy in [ROOT] if is_v2() else _all_hierarchies():
        for folder, _, _ in os.walk(hierarchy / NAME / node, topdown=False):
            wait_until(f"{folder} is empty", lambda: _rmdir(folder), REMOVE_TIMEOUT_S)  # noqa: B023 - called at once


def container_pids(node: str, pod_uid: str) -> list[int]:
    """Return the pids, on this machine, of a pod's containers; its sandbox is left out."""
    hierarchy = ROOT if is_v2() else ROOT / "pids"
    pids = []
    for group in (hierarchy / NAME / node).rglob(f"pod{pod_uid}/*/cgroup.procs"):
        pids += [int(word) for word in group.read_text().split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/exe").readlink().name != "pause"]


def _rmdir(folder: str) -> bool:
    try:
        Path(folder).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # Its last process has been killed and is not gone yet.
    return True


def _all_hierarchies() -> list[Path]:
    # Some are links to one that holds two controllers.
    return sorted({path.resolve() for path in ROOT.iterdir() if path.is_dir()})


def _v1_hierarchies() -> list[Path]:
    return [path for path in _all_hierarchies() if not (path / "cgroup.controllers").exists()]
