"""New code that answers differently stops at the first member, and is healed by setting it back."""

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 3_000
OTHER = """

def chain(before: bytes, message: bytes) -> bytes:
    return hashlib.blake2b(message + before, digest_size=16).digest()
"""


def test_code_that_computes_something_else(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    leader, before = service.leader(), service.uids()

    service.apply_code(append=OTHER)

    message = service.wait_condition("Progressing", status="False", reason="ServiceDiverged")
    touched = [name for name, uid in service.uids().items() if before[name] != uid]
    assert len(touched) == 1
    assert touched[0] in message
    assert touched[0] != leader.pod
    load.answered(MESSAGES)

    service.apply_code()

    service.wait_settled()
    after = service.uids()
    assert [name for name in after if after[name] != before[name]] == touched
    load.answered(MESSAGES)
    load.finish()
    service.settled()
