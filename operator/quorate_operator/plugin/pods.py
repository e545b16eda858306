"""The pods of a cluster and what the member in each says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from quorate.config import CONTROL_PORT
from quorate.control.status import MemberStatus, decode_status
from quorate.errors import RemoteProtocolError
from quorate_operator.labels import CLUSTER_LABEL, SEAT_LABEL
from quorate_operator.plugin.kubectl import REQUEST_TIMEOUT_S, Kubectl, KubectlFailed
from quorate_operator.plugin.reading import at, rows_at, text_at

AT_ONCE = 9
"""As many as a cluster has members."""


@dataclass(frozen=True, slots=True)
class MemberPod:
    """One pod; ``status`` is None, with the reason in ``problem``, if its member gives none."""

    name: str
    seat: int
    body: object
    status: MemberStatus | None = None
    problem: str = ""


def find_pods(kubectl: Kubectl, name: str) -> list[MemberPod]:
    """Return the pods of this cluster by seat, without asking the members.

    Raises:
        KubectlFailed: They cannot be listed.

    """
    body = kubectl.read("get", "pods", f"--selector={CLUSTER_LABEL}={name}", "--output=json")
    pods = []
    for item in rows_at(body, "items"):
        seat = text_at(item, "metadata", "labels", SEAT_LABEL)
        if seat.isascii() and seat.isdigit():
            pods.append(MemberPod(text_at(item, "metadata", "name"), int(seat), item))
    return sorted(pods, key=lambda pod: pod.seat)


def ask_members(kubectl: Kubectl, namespace: str, pods: Iterable[MemberPod]) -> list[MemberPod]:
    """Return the pods with what their members say now, asked through the API server's proxy.

    Blocking: on all of them at once, for at most half a minute.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda pod: _ask(kubectl, namespace, pod), pods))


def _ask(kubectl: Kubectl, namespace: str, pod: MemberPod) -> MemberPod:
    path = f"/api/v1/namespaces/{namespace}/pods/{pod.name}:{CONTROL_PORT}/proxy/status"
    try:
        text = kubectl.run("get", "--raw", path, f"--request-timeout={REQUEST_TIMEOUT_S}s")
        status = decode_status(text.encode())
    except (KubectlFailed, RemoteProtocolError) as error:
        return MemberPod(pod.name, pod.seat, pod.body, problem=str(error))
    return MemberPod(pod.name, pod.seat, pod.body, status)


def with_missing(body: object, name: str, pods: Iterable[MemberPod]) -> list[MemberPod]:
    """Return the pods by seat, and one without a body for each seat of the resource without a pod.

    Else a member whose node is gone would be no member that does not answer.
    """
    replicas = at(body, "spec", "replicas")
    seats = range(replicas if isinstance(replicas, int) and 0 < replicas <= AT_ONCE else 0)
    found = {pod.seat: pod for pod in pods}
    missing = {
        seat: MemberPod(f"{name}-{seat}", seat, None, problem="there is no such pod")
        for seat in seats
        if seat not in found
    }
    return sorted((found | missing).values(), key=lambda pod: pod.seat)


def restarts_of(pod: MemberPod) -> int:
    """Return how often containers of this pod were started again."""
    counts = (at(row, "restartCount") for row in rows_at(pod.body, "status", "containerStatuses"))
    return sum(count for count in counts if isinstance(count, int))


def is_ready(pod: MemberPod) -> bool:
    """Tell whether Kubernetes sends clients to this pod."""
    return any(
        text_at(row, "type") == "Ready" and text_at(row, "status") == "True"
        for row in rows_at(pod.body, "status", "conditions")
    )
