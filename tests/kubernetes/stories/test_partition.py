"""The leader is cut off from the other members, but not from its client, and then returns."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.members import Members

MESSAGES = 2_000


def test_leader_that_reaches_nobody_is_replaced(
    cluster: Cluster, kubectl: Kubectl, members: Members
) -> None:
    load = Load.start(kubectl, cluster.image, members.client_addresses)
    load.answered(MESSAGES)
    before = members.leader()
    others = [row for row in members.statuses().values() if row.pod != before.pod]

    cluster.separate(before.address, tuple(row.address for row in others), on=before.node)

    after = members.leader(above_term=before.status.leadership_term_id)
    assert after.pod != before.pod
    members.wait_status(before.pod, "no longer leads", lambda status: status.role != "leader")
    load.answered(MESSAGES)

    cluster.make_whole()

    members.wait_status(before.pod, "follows", lambda status: status.leader == after.status.seat)
    load.answered(MESSAGES)
    load.finish()
    members.settled()
