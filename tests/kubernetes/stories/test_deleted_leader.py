"""The leader's pod is deleted under load: it hands over, returns on its volume and catches up."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.members import Members

MESSAGES = 2_000


def test_deleted_leader_hands_over_and_returns(
    cluster: Cluster, kubectl: Kubectl, members: Members
) -> None:
    load = Load.start(kubectl, cluster.image, members.client_addresses)
    load.answered(MESSAGES)
    before = members.leader()
    uid = kubectl.get("pod", before.pod)["metadata"]["uid"]

    kubectl.delete("pod", before.pod)

    after = members.leader(above_term=before.status.leadership_term_id)
    assert after.pod != before.pod
    load.answered(MESSAGES)
    kubectl.wait_ready(before.pod, not_uid=uid)
    returned = members.wait_status(
        before.pod,
        "is another process",
        lambda status: status.start_nonce != before.status.start_nonce,
    )
    assert returned.status.member_id == before.status.member_id, "its volume did not come back"
    load.answered(MESSAGES)
    load.finish()
    members.settled()
