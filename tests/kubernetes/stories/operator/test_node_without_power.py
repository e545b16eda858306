"""The leader's node loses its power for longer than Kubernetes waits, and returns."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import NODES
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000


def test_lost_node_is_told_and_its_member_returns(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    leader = service.leader()
    elsewhere = next(node for node in NODES if node != leader.node)
    load = Load.start(kubectl, cluster.image, [service.address], node=elsewhere)
    load.answered(MESSAGES)
    claims = service.claims()

    cluster.power_off(leader.node)

    service.leader(above_term=leader.status.leadership_term_id)
    # The operator may have been on that node as well.
    service.wait_leader_service(timeout_s=60)
    wait_until(
        f"{leader.pod} is being deleted by Kubernetes",
        lambda: "deletionTimestamp" in kubectl.get("pod", leader.pod)["metadata"],
        90,
        poll_s=0.5,
    )
    message = service.wait_condition("Degraded", status="True")
    assert leader.pod in message
    assert service.condition("Quorate")["status"] == "True"
    load.answered(MESSAGES)

    cluster.power_on(leader.node)

    cluster.wait_nodes(leader.node)
    service.wait_settled()
    installation.wait_ready()
    assert service.claims() == claims
    load.answered(MESSAGES)
    load.finish()
    service.settled()
