"""A resource is deleted and made again: its volumes were kept, and the sessions with them."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import KIND, ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000


def test_recreated_resource_takes_its_volumes_over(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    claims, identity = service.claims(), service.status()["clusterId"]

    kubectl.delete(KIND, service.name)
    service.wait_gone()
    assert service.claims() == claims
    secret = f"{service.name}-auth"
    wait_until(f"{secret} is gone", lambda: kubectl.find("secret", secret) is None, 60)

    other = ClusterService(kubectl, cluster.image, replicas=1)
    other.apply()
    message = other.wait_condition("Reconciled", status="False", reason="ReplicasDiffer")
    assert "1 replicas are asked for and 3 volumes were kept" in message
    assert not other.bodies()
    kubectl.run("delete", KIND, other.name)

    service.apply()

    service.wait_settled()
    assert service.claims() == claims
    assert service.status()["clusterId"] == identity
    load.answered(MESSAGES)
    load.finish()
    service.settled()


def test_volumes_go_with_the_resource_if_it_says_so(
    kubectl: Kubectl, resource: ClusterService
) -> None:
    resource.spec["deletion"] = {"volumes": "Delete"}
    resource.start()
    before = resource.status()["clusterId"]

    kubectl.run("delete", KIND, resource.name, "--cascade=foreground", timeout_s=120)
    resource.wait_gone()
    assert not resource.claims()

    resource.apply()
    resource.wait_settled()
    assert resource.status()["clusterId"] != before
