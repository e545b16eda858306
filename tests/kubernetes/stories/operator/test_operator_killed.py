"""The operator is killed in the middle of an update: another process finishes it."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000


def test_update_goes_on_after_the_operator_is_killed(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before = service.uids()

    service.apply(config="title = 'coffee'")
    wait_until("a member is replaced", lambda: service.uids() != before, 60)
    killed = installation.leader()["metadata"]["name"]
    installation.kubectl.delete("pod", killed, "--grace-period=0", "--force")

    service.wait_settled()
    assert installation.leader()["metadata"]["name"] != killed
    assert not set(before.values()) & set(service.uids().values())
    load.answered(MESSAGES)
    load.finish()
    service.settled()
    installation.wait_ready()
