"""The status is wiped under a running cluster: it is the same cluster afterwards."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import KIND, ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000


def test_wiped_status_is_taken_over_from_what_is_there(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before, uids = service.status(), service.uids()

    refused = kubectl.attempt(*_wipe(service))
    assert refused.returncode, "the API server refuses to forget which cluster this is"
    # A backup tool that makes the resource anew, without its status, is what gets past it.
    kubectl.run("delete", KIND, service.name, "--cascade=orphan")
    service.apply()

    service.wait_settled()
    after = service.status()
    assert after["clusterId"] == before["clusterId"]
    assert after["founded"]
    assert service.uids() == uids, "no pod was touched"
    load.answered(MESSAGES)
    load.finish()
    service.settled()


def _wipe(service: ClusterService) -> tuple[str, ...]:
    patch = '--patch=[{"op": "remove", "path": "/status"}]'
    return ("patch", KIND, service.name, "--subresource=status", "--type=json", patch)
