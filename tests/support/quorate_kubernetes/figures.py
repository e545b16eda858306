"""How long a client waits when the cluster loses a leader, a node or a link; for people to read.

Figures, not a test: nothing here fails for being slow. What a client must never see (an answer
lost, doubled or moved) fails here as everywhere.
"""

from __future__ import annotations

import json
import signal
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from quorate_kubernetes import network, operator_figures
from quorate_kubernetes.cluster import Cluster, down, reserved
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import NODES, REPORTS
from quorate_kubernetes.load import Figures, Load
from quorate_kubernetes.member_pods import Member
from quorate_kubernetes.members import ECHO_SERVICE, Members

NAMESPACE = "figures"
ROUNDS = 5
HANDOVERS = 100
QUIET_MESSAGES = 3_000
"""Answered before a fault and after its repair, so that no gap belongs to two faults."""


@dataclass
class Rig:
    """What a fault needs."""

    cluster: Cluster
    kubectl: Kubectl
    members: Members

    def replaced(self, leader: Member) -> None:
        """Wait until another leads."""
        self.members.leader(above_term=leader.status.leadership_term_id)

    def repaired(self, leader: Member) -> None:
        """Undo the fault and wait until all members have one log again."""
        self.cluster.make_whole()
        self.kubectl.wait_ready(leader.pod)
        self.members.wait_status(leader.pod, "follows", lambda status: status.caught_up)


@dataclass
class Row:
    """One kind of fault, and what its client saw."""

    name: str
    gaps_s: list[float] = field(default_factory=list)

    def shown(self) -> str:
        """Return it as a line of a table."""
        middle = statistics.median(self.gaps_s)
        return (
            f"{self.name:32} {min(self.gaps_s) * 1e3:7.0f} {middle * 1e3:7.0f}"
            f" {max(self.gaps_s) * 1e3:7.0f}"
        )


def _delete_pod(rig: Rig, leader: Member) -> None:
    uid = rig.kubectl.get("pod", leader.pod)["metadata"]["uid"]
    rig.kubectl.delete("pod", leader.pod)
    rig.kubectl.wait_ready(leader.pod, not_uid=uid)


def _kill_process(rig: Rig, leader: Member) -> None:
    rig.cluster.signal_pod(rig.kubectl.get("pod", leader.pod), signal.SIGKILL)


def _lose_power(rig: Rig, leader: Member) -> None:
    rig.cluster.power_off(leader.node)
    rig.replaced(leader)


def _lose_network(rig: Rig, leader: Member) -> None:
    rig.cluster.cut(leader.node)
    rig.replaced(leader)


def _lose_links(rig: Rig, leader: Member) -> None:
    others = [row.address for row in rig.members.statuses().values() if row.pod != leader.pod]
    rig.cluster.separate(leader.address, tuple(others), on=leader.node)
    rig.replaced(leader)


FAULTS: dict[str, Callable[[Rig, Member], None]] = {
    "leader's pod deleted": _delete_pod,
    "leader's process killed": _kill_process,
    "leader's node without power": _lose_power,
    "leader's node without network": _lose_network,
    "leader cut off from the members": _lose_links,
}


def measure(rounds: int = ROUNDS, handovers: int = HANDOVERS) -> None:
    """Bring a cluster up, strike its leaders, and write a table and a file of the figures."""
    with reserved():
        cluster = Cluster.up()
        try:
            with network.entered():
                rows = _measure(cluster, rounds)
                of_operator = operator_figures.measure(cluster, handovers, rounds)
        finally:
            down()
    REPORTS.mkdir(parents=True, exist_ok=True)
    content = {row.name: row.gaps_s for row in rows} | of_operator
    (REPORTS / "figures.json").write_text(json.dumps(content, indent=1))
    print(f"{'longest time without an answer':32} {'min':>7} {'median':>7} {'max':>7}  ms")
    for row in rows:
        print(row.shown())
    print(*operator_figures.shown(of_operator), sep="\n")


def _measure(cluster: Cluster, rounds: int) -> list[Row]:
    cluster.kubectl.run("create", "namespace", NAMESPACE)
    kubectl = cluster.kubectl.within(NAMESPACE)
    members = Members(kubectl, cluster.image, service=ECHO_SERVICE)
    members.start()
    rig = Rig(cluster, kubectl, members)
    rows = [Row(name) for name in FAULTS]
    for number in range(rounds):
        for kind, strike in enumerate(FAULTS.values()):
            rows[kind].gaps_s.append(_strike(rig, strike, f"load-{number}-{kind}"))
    return rows


def _strike(rig: Rig, strike: Callable[[Rig, Member], None], name: str) -> float:
    leader = rig.members.leader()
    # On a node that keeps its power.
    node = next(node for node in NODES if node != leader.node)
    load = Load.start(
        rig.kubectl,
        rig.cluster.image,
        rig.members.client_addresses,
        node=node,
        service="echo",
        name=name,
    )
    load.answered(QUIET_MESSAGES)
    before = load.figures().at
    strike(rig, leader)
    rig.repaired(leader)
    load.answered(QUIET_MESSAGES)
    figures = load.finish()
    rig.kubectl.run("delete", "pod", name, "--grace-period=1")
    return _longest_gap(figures, before)


def _longest_gap(figures: Figures, after: float) -> float:
    """Return the longest gap that ended after this time; 0 if none was long enough to list."""
    return max((length for began, length in figures.gaps if began + length > after), default=0.0)
