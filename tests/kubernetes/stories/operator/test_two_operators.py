"""A second installation in the same Kubernetes cluster leaves alone what the first looks after."""

from collections.abc import Iterator

import pytest

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000


@pytest.fixture
def second(cluster: Cluster, installation: Installation) -> Iterator[Installation]:
    second = Installation(
        cluster.tools, cluster.image, namespace="quorate-second", release="quorate-second"
    )
    second.ensure(crds__install=False, replicas=1)
    yield second
    second.helm("uninstall", "--wait")


def test_second_installation_does_nothing(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, second: Installation
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)

    wait_until(
        "the second installation has said that it does nothing",
        lambda: "OtherInstallation" in service.reasons(),
        90,
    )
    before = service.uids()
    service.apply(config="title = 'water'")
    service.wait_update_begun()
    service.wait_settled()

    assert not set(before.values()) & set(service.uids().values())
    actions = [name for name in second.metrics() if name.startswith("quorate_operator_actions")]
    assert not actions, f"the second installation did something: {actions}"
    load.answered(MESSAGES)
    load.finish()
    service.settled()
