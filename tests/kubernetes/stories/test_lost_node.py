"""A node loses its power with the leader on it: the others go on; it returns with its data."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import NODES
from quorate_kubernetes.load import Load
from quorate_kubernetes.members import Members

MESSAGES = 2_000


def test_power_loss_of_the_leaders_node(
    cluster: Cluster, kubectl: Kubectl, members: Members
) -> None:
    before = members.leader()
    elsewhere = next(node for node in NODES if node != before.node)
    load = Load.start(kubectl, cluster.image, members.client_addresses, node=elsewhere)
    load.answered(MESSAGES)

    cluster.power_off(before.node)

    after = members.leader(above_term=before.status.leadership_term_id)
    assert after.node != before.node
    load.answered(MESSAGES)
    cluster.wait_not_ready(before.node)
    load.answered(MESSAGES)

    cluster.power_on(before.node)

    cluster.wait_nodes(before.node)
    returned = kubectl.wait_ready(before.pod)
    assert returned["spec"]["nodeName"] == before.node, "a member is where its volume is"
    load.answered(MESSAGES)
    load.finish()
    settled = members.settled()
    assert settled[before.pod].status.member_id == before.status.member_id
