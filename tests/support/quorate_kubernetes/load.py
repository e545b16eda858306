"""The checked load as a pod, seen from a story."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from quorate_kubernetes.kubectl import Kubectl, Object
from quorate_kubernetes.load_client import FINISH_TIMEOUT_S, PORT
from quorate_kubernetes.pods import (
    NON_ROOT,
    RESTRICTED,
    code,
    code_mount,
    code_volume,
)
from quorate_kubernetes.waiting import wait_until

RATE_PER_S = 1_000.0
ANSWER_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Figures:
    """What the client tells of itself; times are seconds since its first message."""

    connected: bool
    at: float
    sent: int
    answered: int
    longest_gap_s: float
    """Longest time without an answer."""
    lap_gap_s: float
    """The same since the last lap."""
    gaps: list[list[float]]
    """When each one above 50 ms began, and how long it was."""
    connections: int
    resumptions: int
    doubles: int
    wrong: str
    """The first answer that was not the one due; empty when all were."""
    lost: str
    """Why the session ended against the client's will; empty if it did not."""
    ended: bool

    def check(self) -> None:
        """Fail unless every answer so far was right and the session is the first one."""
        assert not self.lost, f"the session was lost after {self.answered} answers: {self.lost}"
        assert not self.wrong, self.wrong

    def check_complete(self) -> None:
        """Fail unless every message sent was answered exactly once and in order."""
        self.check()
        assert self.ended, "the load has not finished"
        assert self.answered == self.sent, f"{self.sent} sent and {self.answered} answered"


class Load:
    """A pod that sends until it is told to finish."""

    def __init__(self, kubectl: Kubectl, name: str, address: str) -> None:
        """Speak to the pod at this address; ``start`` makes one."""
        self._kubectl = kubectl
        self._name = name
        self._base = f"http://{address}:{PORT}"

    @classmethod
    def start(
        cls,
        kubectl: Kubectl,
        image: str,
        addresses: Sequence[str],
        *,
        node: str = "",
        rate: float = RATE_PER_S,
        service: str = "journal",
        name: str = "load",
    ) -> Self:
        """Start the pod and return once the first message has been answered.

        Args:
            kubectl: Of the namespace to run in.
            image: The product's.
            addresses: ``host:port`` of members, as a pod resolves them.
            node: The node to run on, such as one that keeps its power; empty for any.
            rate: Messages in a second.
            service: ``journal`` if this is the only client, else ``echo``.
            name: Of the pod; also begins each message.

        """
        kubectl.apply(code(), _pod(image, addresses, node, rate, service, name))
        pod = kubectl.wait_ready(name)
        load = cls(kubectl, name, pod["status"]["podIP"])
        load.answered(1)
        return load

    def figures(self) -> Figures:
        """Return how it stands; fails if something has gone wrong already."""
        figures = self._ask("GET", "/progress", ANSWER_TIMEOUT_S)
        figures.check()
        return figures

    def lap(self) -> Figures:
        """Return how it stands, and let it measure the longest gap anew."""
        figures = self._ask("POST", "/lap", ANSWER_TIMEOUT_S)
        figures.check()
        return figures

    def answered(self, more: int, timeout_s: float = 60.0) -> Figures:
        """Wait until that many more messages have been answered."""
        wanted = self._ask("GET", "/progress", ANSWER_TIMEOUT_S).answered + more

        def reached() -> Figures | None:
            figures = self.figures()
            return figures if figures.answered >= wanted else None

        return wait_until(f"{more} more messages are answered", reached, timeout_s)

    def finish(self) -> Figures:
        """Stop sending and return the figures, complete and right."""
        figures = self._ask("POST", "/finish", FINISH_TIMEOUT_S + ANSWER_TIMEOUT_S)
        figures.check_complete()
        return figures

    def _ask(self, method: str, path: str, timeout_s: float) -> Figures:
        request = urllib.request.Request(self._base + path, method=method)
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            values = json.load(response)
        return Figures(**{item.name: values[item.name] for item in fields(Figures)})


def _pod(
    image: str, addresses: Sequence[str], node: str, rate: float, service: str, name: str
) -> Object:
    arguments = [f"--address={address}" for address in addresses]
    arguments += [f"--rate={rate:g}", f"--service={service}", f"--label={name}"]
    container: dict[str, Any] = {
        "name": "load",
        "image": image,
        "command": ["python3", "-m", "quorate_kubernetes.load_client", *arguments],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/progress", "port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [code_mount()],
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "restartPolicy": "Never",
        "securityContext": NON_ROOT,
        "terminationGracePeriodSeconds": 2,
        "volumes": [code_volume()],
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }
