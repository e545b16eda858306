"""A cluster of real members from hand-written manifests: what any supervisor has to make.

The contract between members and whoever runs them, without an operator: one ConfigMap with a
configuration that is the same for all, the seat from the pod's ordinal, absolute names of a
headless service that also names pods that are not ready, and one ``quorate found``.
"""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quorate.config import CLIENT_PORT, CONTROL_PORT, MEMBER_PORT
from quorate.control.status import MemberStatus, decode_status
from quorate.errors import RemoteProtocolError
from quorate_kubernetes.kubectl import Kubectl, Object
from quorate_kubernetes.pods import (
    NON_ROOT,
    RESTRICTED,
    code,
    code_mount,
    code_volume,
)
from quorate_kubernetes.waiting import wait_until

NAME = "members"
JOURNAL_SERVICE = "quorate_processes.journal:Journal"
"""Its answers prove the whole history, if there is one client."""
ECHO_SERVICE = "quorate.examples.echo:Echo"
"""For many clients: each answer proves its own message."""
STATUS_TIMEOUT_S = 2.0
SEGMENT_BYTES = 4 << 20
"""Small: a member writes two spare segments before anything else, and three share this disk."""
_LABELS = {"app": NAME}
_SETTLE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Member:
    """A pod and what its member says."""

    pod: str
    node: str
    address: str
    status: MemberStatus


class Members:
    """A StatefulSet of members in a namespace."""

    def __init__(
        self, kubectl: Kubectl, image: str, *, count: int = 3, service: str = JOURNAL_SERVICE
    ) -> None:
        """Prepare; ``start`` makes the objects."""
        self._service = service
        self._kubectl = kubectl
        self._image = image
        self._count = count

    @property
    def pods(self) -> tuple[str, ...]:
        """Names of the pods; the number at the end is the seat."""
        return tuple(f"{NAME}-{seat}" for seat in range(self._count))

    @property
    def client_addresses(self) -> tuple[str, ...]:
        """Where clients reach the members, as pods resolve it."""
        return tuple(f"{self._host(pod)}:{CLIENT_PORT}" for pod in self.pods)

    def start(self) -> None:
        """Make the objects, found the cluster, and wait until every member is ready."""
        self._kubectl.apply(
            code(), self._configuration(), _secret(), _service(), self._stateful_set()
        )
        wait_until("every member is blank", lambda: len(self.statuses()) == self._count, 120)
        here = f"127.0.0.1:{CONTROL_PORT}"
        token = ("--token-file", "/etc/quorate/auth/token")
        self._kubectl.execute(self.pods[0], "quorate", "found", "--address", here, *token)
        for pod in self.pods:
            self._kubectl.wait_ready(pod)

    def statuses(self) -> dict[str, Member]:
        """Return what the members say that answer, by pod."""
        found = {}
        for pod in self._kubectl.list("pods", f"app={NAME}"):
            name, address = pod["metadata"]["name"], pod["status"].get("podIP")
            status = _ask_status(address) if address else None
            if status is not None:
                found[name] = Member(name, pod["spec"]["nodeName"], address, status)
        return found

    def wait_status(
        self, pod: str, what: str, condition: Callable[[MemberStatus], bool], timeout_s: float = 60
    ) -> Member:
        """Wait until a member answers with a status for which ``condition`` holds.

        Args:
            pod: Name of its pod.
            what: The condition in words: ``follows``.
            condition: Asked of each status.
            timeout_s: How long at most.

        """

        def found() -> Member | None:
            member = self.statuses().get(pod)
            return member if member is not None and condition(member.status) else None

        return wait_until(f"member {pod} {what}", found, timeout_s)

    def leader(self, *, above_term: int = 0, timeout_s: float = 60.0) -> Member:
        """Wait for a leader of a term above this one, and return it."""

        def found() -> Member | None:
            leading = [
                member
                for member in self.statuses().values()
                if member.status.role == "leader" and member.status.leadership_term_id > above_term
            ]
            return max(leading, key=lambda row: row.status.leadership_term_id, default=None)

        return wait_until(f"a leader above term {above_term}", found, timeout_s)

    def settled(self, timeout_s: float = _SETTLE_TIMEOUT_S) -> dict[str, Member]:
        """Wait until all members have applied everything of one log, and return what they say.

        Fails unless their digests of it agree.
        """

        def same() -> dict[str, Member] | None:
            found = self.statuses()
            positions = {
                position
                for member in found.values()
                for position in (
                    member.status.written_position,
                    member.status.append_position,
                    member.status.service_position,
                )
            }
            return found if len(found) == self._count and len(positions) == 1 else None

        found = wait_until("all members have applied the same log", same, timeout_s)
        digests = {member.status.digests[-1] for member in found.values() if member.status.digests}
        assert len(digests) <= 1, f"the members computed different things: {digests}"
        return found

    def _host(self, pod: str) -> str:
        # The dot at the end: a name without it is first tried under every search domain.
        return f"{pod}.{NAME}.{self._kubectl.namespace}.svc.cluster.local."

    def _configuration(self) -> Object:
        seats = "\n".join(
            f'[[member.seats]]\nseat = {seat}\nhost = "{self._host(pod)}"'
            for seat, pod in enumerate(self.pods)
        )
        text = f"""
            [control]
            token_file = "/etc/quorate/auth/token"
            [transport]
            secret_file = "/etc/quorate/auth/members"
            [settings]
            digest_interval_bytes = 65536
            [constants]
            segment_length = {SEGMENT_BYTES}
            [member]
            cluster_id = "{secrets.token_hex(16)}"
            data_dir = "/var/lib/quorate/member"
            service = "{self._service}"
            {seats}
        """
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME},
            "data": {"member.toml": "\n".join(line.strip() for line in text.splitlines())},
        }

    def _stateful_set(self) -> Object:
        claim = {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": NAME},
            "spec": {
                "serviceName": NAME,
                "replicas": self._count,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": _LABELS},
                "template": {"metadata": {"labels": _LABELS}, "spec": self._pod()},
                "volumeClaimTemplates": [claim],
            },
        }

    def _pod(self) -> dict[str, Any]:
        apart = {
            "labelSelector": {"matchLabels": _LABELS},
            "topologyKey": "kubernetes.io/hostname",
        }
        return {
            "containers": [self._container()],
            "affinity": {
                "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}
            },
            "automountServiceAccountToken": False,
            "securityContext": NON_ROOT,
            "terminationGracePeriodSeconds": 30,
            "volumes": [
                code_volume(),
                {"name": "configuration", "configMap": {"name": NAME}},
                {"name": "auth", "secret": {"secretName": NAME, "defaultMode": 0o440}},
            ],
        }

    def _container(self) -> dict[str, Any]:
        ordinal = "metadata.labels['apps.kubernetes.io/pod-index']"
        seat = {"name": "QUORATE_MEMBER__SEAT", "valueFrom": {"fieldRef": {"fieldPath": ordinal}}}
        return {
            "name": "member",
            "image": self._image,
            "env": [seat],
            "ports": [
                {"name": "client", "containerPort": CLIENT_PORT},
                {"name": "member", "containerPort": MEMBER_PORT},
                {"name": "control", "containerPort": CONTROL_PORT},
            ],
            "resources": {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"memory": "512Mi"},
            },
            "securityContext": RESTRICTED,
            "startupProbe": _probe("/startupz", period=1, failures=600),
            "readinessProbe": _probe("/readyz", period=2, failures=3),
            "livenessProbe": _probe("/livez", period=10, failures=6),
            "volumeMounts": [
                code_mount(),
                {"name": "configuration", "mountPath": "/etc/quorate/config", "readOnly": True},
                {"name": "auth", "mountPath": "/etc/quorate/auth", "readOnly": True},
                {"name": "data", "mountPath": "/var/lib/quorate"},
            ],
        }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": CONTROL_PORT},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 2,
    }


def _secret() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME},
        "stringData": {"token": secrets.token_hex(32), "members": secrets.token_hex(32)},
    }


def _service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {
            "clusterIP": "None",
            # A member has to reach the others before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": _LABELS,
            "ports": [
                {"name": "client", "port": CLIENT_PORT},
                {"name": "member", "port": MEMBER_PORT},
                {"name": "control", "port": CONTROL_PORT},
            ],
        },
    }


def _ask_status(address: str) -> MemberStatus | None:
    """Return the status of the member there; None if nothing answers."""
    url = f"http://{address}:{CONTROL_PORT}/status"
    try:
        with urllib.request.urlopen(url, timeout=STATUS_TIMEOUT_S) as response:
            return decode_status(response.read())
    except (OSError, RemoteProtocolError):
        return None
