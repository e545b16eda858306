"""Rolling updates of image, configuration, code and resources, under load."""

from collections.abc import Callable

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000


def test_every_kind_of_update_goes_through_one_member_at_a_time(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    claims = service.claims()
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)

    _update(service, lambda: service.apply(image=cluster.tag_image("localhost/quorate:e2e-second")))
    load.answered(MESSAGES)
    _update(service, lambda: service.apply(config="title = 'tea'"))
    load.answered(MESSAGES)
    _update(service, lambda: service.apply_code(append="\n# the same, in other words\n"))
    load.answered(MESSAGES)
    _update(service, lambda: service.apply(resources={"limits": {"memory": "768Mi"}}))

    load.answered(MESSAGES)
    load.finish()
    service.settled()
    assert service.claims() == claims
    reasons = service.reasons()
    assert "UpdateStarted" in reasons
    assert "UpdateFinished" in reasons
    copies = [
        item["metadata"]["name"]
        for item in kubectl.list("configmaps")
        if item["metadata"]["name"].startswith(f"{service.name}-")
    ]
    assert len(copies) == 2, f"copies of configuration and code that no pod names: {copies}"


def _update(service: ClusterService, change: Callable[[], None]) -> None:
    leader, before = service.leader(), service.uids()
    change()
    service.wait_update_begun()
    service.wait_settled()
    pods = service.bodies()
    assert not set(before.values()) & {pod["metadata"]["uid"] for pod in pods.values()}
    assert len(set(service.input_hashes().values())) == 1
    made = {name: pod["metadata"]["creationTimestamp"] for name, pod in pods.items()}
    assert made[leader.pod] == max(made.values()), f"the leader {leader.pod} is the last: {made}"
    after = service.leader()
    assert after.pod != leader.pod
    service.wait_leader_service()
