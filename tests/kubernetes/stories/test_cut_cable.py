"""The node of the leader loses its network under load, and gets it back."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import NODES
from quorate_kubernetes.load import Load
from quorate_kubernetes.members import Members

MESSAGES = 2_000


def test_unplugged_leader_is_replaced_and_comes_back(
    cluster: Cluster, kubectl: Kubectl, members: Members
) -> None:
    before = members.leader()
    elsewhere = next(node for node in NODES if node != before.node)
    load = Load.start(kubectl, cluster.image, members.client_addresses, node=elsewhere)
    load.answered(MESSAGES)

    cluster.cut(before.node)

    members.leader(above_term=before.status.leadership_term_id)
    load.answered(MESSAGES)
    cluster.wait_not_ready(before.node)

    cluster.plug(before.node)

    cluster.wait_nodes(before.node)
    kubectl.wait_ready(before.pod)
    load.answered(MESSAGES)
    load.finish()
    settled = members.settled()
    assert settled[before.pod].status.member_id == before.status.member_id
