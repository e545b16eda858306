"""A user asks for a hand-over with an annotation."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000


def test_leadership_moves_on_request(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before = service.leader()
    target = service.follower(before)

    service.request_transfer(target, "first")

    last = service.wait_transfer("first")
    assert (last["result"], f"{service.name}-{last['leader']}") == ("Done", target)
    assert service.leader().pod == target
    service.wait_leader_service()
    load.answered(MESSAGES)

    service.request_transfer("any", "second")

    assert service.wait_transfer("second")["result"] == "Done"
    assert service.leader().pod != target
    load.answered(MESSAGES)

    service.request_transfer("nobody", "third")

    last = service.wait_transfer("third")
    assert last["result"] == "Invalid"
    assert "name one of store-0, store-1, store-2" in last["message"]
    load.finish()
    service.settled()
