"""Three faults, three alerts: a real Prometheus sees them fire, and resolve when all is well.

It scrapes the pods as the page on monitoring says, and evaluates the alerts as the chart renders
them, each with a `for` that is shortened by `quorate_monitoring.discovery.SHORTER`.
"""

import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from quorate_kubernetes.alerting import Alert, alerting
from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl

NO_LEADER, MEMBER_DOWN, OPERATOR_ABSENT = (
    "QuorateNoLeader",
    "QuorateMemberDown",
    "QuorateOperatorAbsent",
)
WELL_SCRAPES = 6
"""One a second: longer than any critical alert waits here."""
PROCESSES = 2


def test_alerts_fire_and_resolve(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    operator = {pod["metadata"]["name"] for pod in installation.pods()}
    of_cluster = {"namespace": kubectl.namespace, "cluster": service.name}
    with alerting(kubectl, installation) as watched:
        watched.wait_scraped({*service.pods, *operator}, WELL_SCRAPES)
        assert not watched.broken_rules()
        assert not watched.firing("critical"), watched.alerts()
        assert not watched.firing() & {NO_LEADER, MEMBER_DOWN, OPERATOR_ABSENT}, watched.alerts()

        # With the operator away nobody repairs anything, so what follows is the alerts' alone.
        installation.scale(0)
        leader = service.leader()
        follower = service.follower(leader)
        with frozen(cluster, kubectl, follower):
            _check(watched.wait_firing(OPERATOR_ABSENT), "warning")
            seat = follower.rpartition("-")[2]
            _check(watched.wait_firing(MEMBER_DOWN, **of_cluster, seat=seat), "warning")
            assert not watched.firing("critical"), watched.alerts()
        watched.wait_resolved(MEMBER_DOWN)

        with frozen(cluster, kubectl, leader.pod, follower):
            _check(watched.wait_firing(NO_LEADER, **of_cluster), "critical")
        watched.wait_resolved(NO_LEADER)

        installation.scale(PROCESSES)
        watched.discover()
        watched.wait_resolved(OPERATOR_ABSENT)
        assert watched.ever_fired("critical") == {NO_LEADER}
    service.wait_settled()
    service.settled()


@contextmanager
def frozen(cluster: Cluster, kubectl: Kubectl, *pods: str) -> Iterator[None]:
    """Stop these members' processes: their ports are open, and nobody answers."""
    bodies = [kubectl.get("pod", pod) for pod in pods]
    for body in bodies:
        cluster.signal_pod(body, signal.SIGSTOP)
    try:
        yield
    finally:
        for body in bodies:
            cluster.signal_pod(body, signal.SIGCONT)


def _check(alert: Alert, severity: str) -> None:
    assert alert.severity == severity
    with urllib.request.urlopen(alert.runbook, timeout=5) as page:
        text = page.read().decode()
    assert text.startswith(f"# {alert.name}\n"), f"{alert.runbook} is about something else"
