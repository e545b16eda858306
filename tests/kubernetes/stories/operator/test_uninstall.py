"""The operator is uninstalled under load and installed again; then a whole namespace is deleted."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import DEFINITION, Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000


def test_clusters_outlive_the_operator_and_namespaces_end(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before, identity = service.uids(), service.status()["clusterId"]

    installation.helm("uninstall", "--wait")

    assert installation.kubectl.find("crd", DEFINITION) is not None
    leader = service.leader()
    kubectl.delete("pod", leader.pod)
    service.leader(above_term=leader.status.leadership_term_id)
    kubectl.wait_ready(leader.pod, not_uid=before[leader.pod])
    load.answered(MESSAGES)

    installation.ensure()

    service.wait_leader_service(timeout_s=60)
    service.wait_settled()
    assert service.status()["clusterId"] == identity
    load.answered(MESSAGES)
    load.finish()
    service.settled()

    cluster.kubectl.delete("namespace", kubectl.namespace)

    wait_until(
        f"namespace {kubectl.namespace} is gone",
        lambda: cluster.kubectl.find("namespace", kubectl.namespace) is None,
        120,
        poll_s=0.5,
    )
