"""A pod comes back under another address, and the others find it."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000


def test_member_returns_under_another_address(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    victim = service.follower(service.leader())
    before = service.statuses()[victim]
    uid = service.uids()[victim]

    kubectl.delete("pod", victim)

    kubectl.wait_ready(victim, not_uid=uid)
    after = service.wait_status(victim, "has caught up", lambda status: status.caught_up)
    assert after.address != before.address, "the node gave the same address out again"
    service.wait_settled()
    service.request_transfer(victim, "there")
    assert service.wait_transfer("there")["result"] == "Done"
    load.answered(MESSAGES)
    load.finish()
    service.settled()
