"""A claim is deleted with its pod: the member that comes back empty gets no vote."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

MESSAGES = 2_000


def test_member_with_an_empty_volume_is_told_and_not_trusted(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    victim = service.follower(service.leader())
    claim = f"log-{victim}"
    before, identity = service.claims(), service.status()["clusterId"]

    kubectl.delete("pvc", claim)
    kubectl.delete("pod", victim)

    wait_until(
        f"{claim} is another one",
        lambda: service.claims().get(claim, before[claim]) != before[claim],
        120,
        poll_s=0.3,
    )
    message = service.wait_condition("Degraded", status="True", reason="VolumeLost")
    assert victim in message
    assert service.condition("Quorate")["status"] == "True"
    row = next(row for row in service.status()["members"] if row["seat"] == int(victim[-1]))
    assert row["health"] == "VolumeLost"
    assert not row.get("voter")
    assert service.status()["clusterId"] == identity
    load.answered(MESSAGES)
    load.finish()
