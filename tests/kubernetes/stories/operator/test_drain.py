"""The leader's node is drained, and comes back."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import NODES
from quorate_kubernetes.load import Load

MESSAGES = 2_000
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=100s")


def test_drain_of_the_leaders_node(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    leader = service.leader()
    elsewhere = next(node for node in NODES if node != leader.node)
    load = Load.start(kubectl, cluster.image, [service.address], node=elsewhere)
    load.answered(MESSAGES)

    kubectl.run("drain", leader.node, *DRAIN, timeout_s=120)

    after = service.leader(above_term=leader.status.leadership_term_id)
    assert after.node != leader.node
    service.wait_condition("Degraded", status="True")
    load.answered(MESSAGES)
    service.wait_leader_service()

    kubectl.run("uncordon", leader.node)

    kubectl.wait_ready(leader.pod)
    service.wait_settled()
    installation.wait_ready()
    load.answered(MESSAGES)
    load.finish()
    service.settled()
