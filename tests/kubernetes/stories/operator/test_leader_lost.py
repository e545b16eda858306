"""Leaders are killed, frozen and deleted; each time another one leads and nothing is lost."""

import signal

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.member_pods import Member

MESSAGES = 2_000


def test_lost_leaders_are_replaced(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    claims = service.claims()
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)

    _kill(cluster, kubectl, service)
    load.answered(MESSAGES)
    _freeze(cluster, kubectl, service)
    load.answered(MESSAGES)
    _delete(kubectl, service)
    load.answered(MESSAGES)
    _delete(kubectl, service, "--grace-period=0", "--force")

    load.answered(MESSAGES)
    load.finish()
    service.settled()
    assert service.claims() == claims
    assert "LeaderChanged" in service.reasons()


def _kill(cluster: Cluster, kubectl: Kubectl, service: ClusterService) -> None:
    leader = service.leader()
    cluster.signal_pod(kubectl.get("pod", leader.pod), signal.SIGKILL)
    _wait_replaced(service, leader)


def _freeze(cluster: Cluster, kubectl: Kubectl, service: ClusterService) -> None:
    leader = service.leader()
    pod = kubectl.get("pod", leader.pod)
    cluster.signal_pod(pod, signal.SIGSTOP)
    service.leader(above_term=leader.status.leadership_term_id)
    service.wait_leader_service()
    cluster.signal_pod(pod, signal.SIGCONT)
    _wait_replaced(service, leader)


def _delete(kubectl: Kubectl, service: ClusterService, *options: str) -> None:
    leader = service.leader()
    uid = kubectl.get("pod", leader.pod)["metadata"]["uid"]
    kubectl.delete("pod", leader.pod, *options)
    _wait_replaced(service, leader)
    kubectl.wait_ready(leader.pod, not_uid=uid)


def _wait_replaced(service: ClusterService, leader: Member) -> None:
    after = service.leader(above_term=leader.status.leadership_term_id)
    assert after.pod != leader.pod
    service.wait_leader_service()
    service.wait_status(leader.pod, "follows", lambda status: status.caught_up)
    service.wait_settled()
