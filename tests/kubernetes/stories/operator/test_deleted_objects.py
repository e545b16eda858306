"""Objects that belong to a cluster are deleted by hand under load, and come back."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000


def test_stateful_set_is_made_again_around_its_pods(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before, uids = kubectl.get("statefulset", service.name), service.uids()

    kubectl.delete("statefulset", service.name, "--cascade=orphan")

    _wait_made_again(kubectl, "statefulset", service.name, before["metadata"]["uid"])
    service.wait_settled()
    assert service.uids() == uids, "no pod was touched"
    load.answered(MESSAGES)

    # Nobody watches these: they come back when everything is looked at again, within a minute.
    uids = {kind: kubectl.get(kind, service.name)["metadata"]["uid"] for kind in ("service", "pdb")}
    for kind in uids:
        kubectl.delete(kind, service.name)
    for kind, uid in uids.items():
        _wait_made_again(kubectl, kind, service.name, uid, timeout_s=90)
    load.answered(MESSAGES)
    load.finish()
    service.settled()


def test_cluster_survives_the_end_of_all_its_pods(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before = kubectl.get("statefulset", service.name)

    kubectl.delete("statefulset", service.name)

    _wait_made_again(kubectl, "statefulset", service.name, before["metadata"]["uid"])
    service.wait_settled()
    load.answered(MESSAGES)
    load.finish()
    service.settled()


def test_members_take_over_a_new_secret_where_theirs_was_deleted(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    secret, uids = f"{service.name}-auth", service.uids()
    before = kubectl.get("secret", secret)["metadata"]["uid"]

    kubectl.delete("secret", secret)

    _wait_made_again(kubectl, "secret", secret, before, timeout_s=90)
    # Its next process has the new one from the start, the others when their kubelets bring it.
    follower = service.follower(service.leader())
    kubectl.delete("pod", follower)
    kubectl.wait_ready(follower, not_uid=uids[follower], timeout_s=240)
    service.wait_settled()
    service.request_transfer(follower, "new")
    assert service.wait_transfer("new")["result"] == "Done"
    load.answered(MESSAGES)
    load.finish()
    service.settled()


def _wait_made_again(
    kubectl: Kubectl, kind: str, name: str, uid: str, timeout_s: float = 60
) -> None:
    def made() -> bool:
        found = kubectl.find(kind, name)
        return found is not None and found["metadata"]["uid"] != uid

    wait_until(f"{kind} {name} is made again", made, timeout_s, poll_s=0.3)
