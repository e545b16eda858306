"""One installation of the operator for the whole run, whole again before each story."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quorate_kubernetes import evidence
from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import REPORTS


@pytest.fixture
def installation(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Installation]:
    installation = Installation(cluster.tools, cluster.image)
    if not installation.is_as_wanted():
        installation.ensure()
    yield installation
    if request.node.stash.get(evidence.FAILED, False):
        place = REPORTS / "evidence" / request.node.name / "operator"
        evidence.collect_namespace(installation.kubectl, place)


@pytest.fixture
def service(cluster: Cluster, kubectl: Kubectl, installation: Installation) -> ClusterService:
    """A cluster of three that is ready."""
    service = ClusterService(kubectl, cluster.image)
    service.start()
    return service


@pytest.fixture
def resource(cluster: Cluster, kubectl: Kubectl, installation: Installation) -> ClusterService:
    """A resource that has not been applied."""
    return ClusterService(kubectl, cluster.image)
