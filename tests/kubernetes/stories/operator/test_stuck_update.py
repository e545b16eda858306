"""An update that never becomes ready stops at its first member; setting it back heals it."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000
MISSING_IMAGE = "localhost/quorate:no-such-tag"


def test_update_to_an_image_that_is_not_there(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    service.apply(update={"progressDeadline": "10s"})
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    leader, before = service.leader(), service.uids()

    service.apply(image=MISSING_IMAGE)

    message = service.wait_condition("Progressing", status="False", reason="UpdateStuck")
    touched = [name for name, uid in service.uids().items() if before[name] != uid]
    assert len(touched) == 1
    assert touched[0] in message
    assert touched[0] != leader.pod
    # A first pull that has not failed yet has no word in Kubernetes; the operator names it too.
    assert "pull" in message.lower(), f"the message says what it waits for: {message}"
    assert MISSING_IMAGE in message
    load.answered(MESSAGES)

    service.apply(image=cluster.image)

    service.wait_settled()
    after = service.uids()
    assert [name for name in after if after[name] != before[name]] == touched
    load.answered(MESSAGES)
    load.finish()
    service.settled()
