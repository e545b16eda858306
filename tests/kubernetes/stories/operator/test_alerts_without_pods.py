"""A cluster none of whose pods has a node: no member is scraped, so only the operator can tell.

It loses all its pods while no node takes any, as after a quota or an upgrade of nodes gone wrong.
"""

from quorate_kubernetes.alerting import alerting
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl

NO_LEADER, NOT_READY = "QuorateNoLeader", "QuorateClusterNotReady"
SCRAPES = 3


def test_a_cluster_whose_pods_find_no_node_is_told_of(
    kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    of_cluster = {"namespace": kubectl.namespace, "cluster": service.name}
    operator = {pod["metadata"]["name"] for pod in installation.pods()}
    nodes = [node["metadata"]["name"] for node in kubectl.list("nodes")]
    with alerting(kubectl, installation) as watched:
        watched.wait_scraped({*service.pods, *operator}, SCRAPES)
        kubectl.run("cordon", *nodes)
        kubectl.run("delete", "pod", *service.pods, timeout_s=120.0)
        watched.discover()
        watched.wait_firing(NO_LEADER, **of_cluster)
        watched.wait_firing(NOT_READY, **of_cluster, condition="Ready")
        # Half a minute later: what Prometheus knew of the members is no cause any more.
        assert NO_LEADER in watched.firing("critical"), watched.alerts()

        kubectl.run("uncordon", *nodes)
        service.wait_settled()
        watched.discover()
        watched.wait_resolved(NO_LEADER)
        watched.wait_resolved(NOT_READY)
    service.settled()
