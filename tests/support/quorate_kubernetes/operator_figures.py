"""What the operator's own steps cost clients, and what many clusters cost the operator."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from quorate_kubernetes import cgroups
from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

NAMESPACE = "operator-figures"
MANY_NAMESPACE = "many-figures"
QUIET_MESSAGES = 1_000
SINGLE_MEMBERS = 10
THREE_MEMBERS = 3
QUIET_S = 60.0
"""How long calls to the API server are counted while nothing happens."""


@dataclass(frozen=True)
class Rig:
    """One ClusterService under load."""

    cluster: Cluster
    kubectl: Kubectl
    service: ClusterService
    load: Load

    def gap_s(self) -> float:
        """Return the longest time without an answer since this was asked last."""
        self.load.answered(QUIET_MESSAGES)
        return self.load.lap().lap_gap_s


def measure(cluster: Cluster, handovers: int, rounds: int) -> dict[str, list[float]]:
    """Return gaps in seconds by what caused them, and the figures of many clusters by name."""
    installation = Installation(cluster.tools, cluster.image)
    installation.ensure()
    rig = _rig(cluster)
    rows = {
        "operator: planned hand-over": [_hand_over(rig, n) for n in range(handovers)],
        "operator: leader deleted, no grace": [_delete(rig) for _ in range(rounds)],
        "operator: rolling update": [_update(rig, n) for n in range(rounds)],
        "operator: drain of leader's node": [_drain(rig) for _ in range(rounds)],
    }
    rig.load.finish()
    cluster.kubectl.delete("namespace", NAMESPACE)
    return rows | _many(cluster, installation)


def shown(rows: dict[str, list[float]]) -> list[str]:
    """Return a line with quantiles for each row of gaps."""
    return [
        f"{name:36} n={len(gaps):4} median {statistics.median(gaps) * 1e3:6.0f}"
        f"  p99 {_quantile(gaps, 0.99) * 1e3:6.0f}  max {max(gaps) * 1e3:6.0f} ms"
        for name, gaps in rows.items()
        if name.startswith("operator: ")
    ] + [
        f"{name:36} {values[0]:.3f}"
        for name, values in rows.items()
        if not name.startswith("operator: ")
    ]


def _rig(cluster: Cluster) -> Rig:
    cluster.kubectl.run("create", "namespace", NAMESPACE)
    kubectl = cluster.kubectl.within(NAMESPACE)
    service = ClusterService(kubectl, cluster.image)
    service.start()
    load = Load.start(kubectl, cluster.image, [service.address])
    rig = Rig(cluster, kubectl, service, load)
    load.answered(QUIET_MESSAGES)
    rig.gap_s()
    return rig


def _hand_over(rig: Rig, number: int) -> float:
    rig.service.request_transfer("any", f"r{number}")
    last = rig.service.wait_transfer(f"r{number}")
    assert last["result"] == "Done", last
    return rig.gap_s()


def _delete(rig: Rig) -> float:
    leader, before = rig.service.leader(), rig.service.uids()
    rig.kubectl.delete("pod", leader.pod, "--grace-period=0", "--force")
    rig.kubectl.wait_ready(leader.pod, not_uid=before[leader.pod])
    rig.service.wait_settled()
    return rig.gap_s()


def _update(rig: Rig, number: int) -> float:
    rig.service.apply(config=f"round = {number}")
    rig.service.wait_update_begun()
    rig.service.wait_settled(timeout_s=400)
    return rig.gap_s()


def _drain(rig: Rig) -> float:
    leader = rig.service.leader()
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=100s")
    # The load is a bare pod: a drain would end it, and a selector spares it.
    selector = f"--pod-selector=quorate.io/cluster={rig.service.name}"
    rig.kubectl.run("drain", leader.node, *options, selector, timeout_s=120)
    rig.kubectl.run("uncordon", leader.node)
    rig.kubectl.wait_ready(leader.pod)
    rig.service.wait_settled()
    return rig.gap_s()


def _many(cluster: Cluster, installation: Installation) -> dict[str, list[float]]:
    """Let the operator look after thirteen clusters at once."""
    cluster.kubectl.run("create", "namespace", MANY_NAMESPACE)
    kubectl = cluster.kubectl.within(MANY_NAMESPACE)
    sizes = [1] * SINGLE_MEMBERS + [3] * THREE_MEMBERS
    services = [
        ClusterService(kubectl, cluster.image, name=f"many-{number}", replicas=size)
        for number, size in enumerate(sizes)
    ]
    services[0].apply_code()
    began = time.monotonic()
    for service in services:
        service.spec["resources"] = {"requests": {"cpu": "10m", "memory": "64Mi"}}
        service.apply()
    for service in services:
        service.wait_settled(timeout_s=600)
    ready_s = time.monotonic() - began
    before = installation.metrics()
    time.sleep(QUIET_S)
    after = installation.metrics()
    rows = {
        f"many: {len(sizes)} clusters ready after, s": [ready_s],
        "many: operator's memory, MiB": [_memory_mib(installation)],
        "many: API calls in a minute": [_grown(before, after, "api_requests_total")],
        "many: reconciles in a minute": [_grown(before, after, "reconcile_seconds_count")],
        "many: mean reconcile, s": [_mean(before, after)],
    }
    cluster.kubectl.delete("namespace", MANY_NAMESPACE)
    wait_until("the clusters are gone", lambda: not kubectl.list("pods"), 300, poll_s=1)
    return rows


def _memory_mib(installation: Installation) -> float:
    pod = installation.leader()
    pids = cgroups.container_pids(pod["spec"]["nodeName"], pod["metadata"]["uid"])
    lines = [Path(f"/proc/{pid}/status").read_text().splitlines() for pid in pids]
    kib = [int(line.split()[1]) for found in lines for line in found if line.startswith("VmRSS")]
    return sum(kib) / 1024


def _grown(before: dict[str, float], after: dict[str, float], name: str) -> float:
    prefix = f"quorate_operator_{name}"
    names = [key for key in after if key.split("{")[0] == prefix]
    return sum(after[key] - before.get(key, 0.0) for key in names)


def _mean(before: dict[str, float], after: dict[str, float]) -> float:
    count = _grown(before, after, "reconcile_seconds_count")
    return _grown(before, after, "reconcile_seconds_sum") / count if count else 0.0


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
