"""Two of three logs are damaged: nobody leads until the loss is accepted by the runbook's steps."""

import re

import yaml

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import ROOT
from quorate_kubernetes.load import Load
from quorate_kubernetes.waiting import wait_until

RUNBOOK = ROOT / "docs" / "how-to" / "runbooks" / "QuorateMemberRecovering.md"
POD = "quorate-recover"
MESSAGES = 2_000
DAMAGE = """
import os, pathlib
segment = min(pathlib.Path("/var/lib/quorate/data").glob("log-*.seg"))
with open(segment, "r+b") as file:
    file.seek(%d)
    file.write(bytes(64))
    os.fsync(file.fileno())
"""
"""A disk that lost 64 bytes in the middle of what is committed."""


def test_the_runbook_leads_a_cluster_out_that_nobody_can_lead(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    told = load.finish().answered
    before = service.settled()
    sound, *damaged = service.pods
    middle = before[sound].status.commit_position // 2
    for pod in damaged:
        kubectl.execute(pod, "python3", "-c", DAMAGE % middle)
    for pod in damaged:
        kubectl.delete("pod", pod, "--grace-period=0", "--force")
    for pod in damaged:
        service.wait_status(pod, "recovers", lambda status: status.recovering == "damaged")
    service.wait_condition("Quorate", status="False")
    wait_until("both are named", lambda: _names(service, damaged), 60, poll_s=0.3)

    chosen = damaged[0]
    service.apply(paused=True)
    kubectl.run("delete", "statefulset", service.name, "--cascade=orphan")
    kubectl.run("delete", "pod", chosen)
    kubectl.apply(_pod(cluster.image, chosen))
    wait_until("it has ended", lambda: _phase(kubectl) in ("Succeeded", "Failed"), 60)
    said = kubectl.run("logs", POD)
    assert _phase(kubectl) == "Succeeded", said
    assert "accepted a loss up to position" in said
    kubectl.run("delete", "pod", POD)
    service.apply(paused=False)

    service.wait_settled()
    after = service.settled()
    assert all(not member.status.recovering for member in after.values())
    assert all(member.status.possible_loss for member in after.values()), "everybody is told"
    # The sound member had everything that was acknowledged, and its vote.
    answer = kubectl.execute(sound, "quorate", "send", "--address", service.address, "one more")
    assert answer.split()[0] == str(told + 1)
    service.settled()


def _names(service: ClusterService, pods: list[str]) -> bool:
    row = service.condition("Degraded")
    return row.get("reason") == "MemberRecovering" and all(pod in row["message"] for pod in pods)


def _pod(image: str, chosen: str) -> dict[str, object]:
    """Return the runbook's pod, with our names."""
    (block,) = re.findall(r"```yaml\n(.*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL)
    text = block.replace("IMAGE", image).replace("NAME-SEAT", chosen)
    pod: dict[str, object] = yaml.safe_load(text)
    return pod


def _phase(kubectl: Kubectl) -> str:
    return str(kubectl.get("pod", POD)["status"].get("phase"))
