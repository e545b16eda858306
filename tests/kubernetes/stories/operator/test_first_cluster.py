"""A user's first cluster: one manifest, and clients are served."""

from collections.abc import Iterator

import pytest

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 3_000


@pytest.fixture
def slow_dns(cluster: Cluster) -> Iterator[None]:
    cluster.cache_names(30)
    yield
    cluster.cache_names(1)


def test_first_cluster_serves_clients(
    cluster: Cluster, kubectl: Kubectl, resource: ClusterService
) -> None:
    resource.start()

    load = Load.start(kubectl, cluster.image, [resource.address])
    load.answered(MESSAGES)
    status = resource.status()
    leader = resource.leader()
    assert status["leader"]["pod"] == leader.pod
    assert status["quorum"] == {"required": 2, "healthy": 3, "canLose": 1}
    assert [row["health"] for row in status["members"]] == ["Well"] * 3
    nodes = {pod["spec"]["nodeName"] for pod in resource.bodies().values()}
    assert len(nodes) == 3, f"members share nodes: {nodes}"
    resource.wait_leader_service()
    # A cluster to which nothing happens is written to by nobody, also while clients send.
    versions = _versions(kubectl, resource)
    load.answered(MESSAGES)
    load.finish()
    resource.settled()
    assert _versions(kubectl, resource) == versions
    shown = kubectl.run("get", "csvc", resource.name)
    assert "True" in shown
    assert "Ready" in shown


@pytest.mark.usefixtures("slow_dns")
def test_first_cluster_where_names_are_cached(
    cluster: Cluster, kubectl: Kubectl, resource: ClusterService
) -> None:
    resource.start()

    load = Load.start(kubectl, cluster.image, [resource.address])
    load.answered(MESSAGES)
    load.finish()


def _versions(kubectl: Kubectl, resource: ClusterService) -> dict[str, str]:
    kinds = "clusterservices,statefulsets,services,configmaps,poddisruptionbudgets,pvc"
    return {
        f"{item['kind']} {item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for item in kubectl.list(kinds, f"quorate.io/cluster={resource.name}")
    } | {"resource": resource.body()["metadata"]["resourceVersion"]}
