"""A paused resource: nothing is changed, leaders are still followed, and taking it away goes on."""

import signal

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000


def test_nothing_is_changed_while_paused(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before = service.uids()

    service.apply(paused=True, config="title = 'milk'")

    service.wait_condition("Reconciled", status="False", reason="Paused")
    leader = service.leader()
    cluster.signal_pod(kubectl.get("pod", leader.pod), signal.SIGKILL)
    service.leader(above_term=leader.status.leadership_term_id)
    service.wait_leader_service()
    load.answered(MESSAGES)
    assert service.uids() == before

    service.apply(paused=False)

    service.wait_update_begun()
    service.wait_settled()
    assert not set(before.values()) & set(service.uids().values())
    load.answered(MESSAGES)
    load.finish()
    service.settled()
