"""Two members are to be evicted at once: the budget lets one go."""

import json
import subprocess

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000


def test_one_of_two_evictions_waits(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before, leader = service.uids(), service.leader()

    victims = (leader.pod, service.follower(leader))
    processes = [_evict(kubectl, pod) for pod in victims]
    codes = [process.wait(60) for process in processes]

    texts = [process.communicate()[0] for process in processes]
    assert sorted(code == 0 for code in codes) == [False, True], texts
    refused = next(text for code, text in zip(codes, texts, strict=True) if code)
    assert "disruption budget" in refused
    load.answered(MESSAGES)
    gone = next(pod for code, pod in zip(codes, victims, strict=True) if not code)
    kubectl.wait_ready(gone, not_uid=before[gone])
    service.wait_settled()
    load.answered(MESSAGES)
    load.finish()
    service.settled()


def _evict(kubectl: Kubectl, pod: str) -> subprocess.Popen[str]:
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
    process = subprocess.Popen(
        kubectl.command("create", "--raw", path, "-f", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    metadata = {"name": pod, "namespace": kubectl.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    process.stdin.write(json.dumps(body))
    process.stdin.close()
    process.stdin = None
    return process
