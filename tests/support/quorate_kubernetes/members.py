"""A cluster of real members from hand-written manifests: what any supervisor has to make.

The contract between members and whoever runs them, without an operator: one ConfigMap with a
configuration that is the same for all, the seat from the pod's ordinal, absolute names of a
headless service that also names pods that are not ready, and one ``quorate found``.
"""

from __future__ import annotations

import secrets
from typing import Any

from quorate.config import CLIENT_PORT, CONTROL_PORT, MEMBER_PORT
from quorate_kubernetes.kubectl import Kubectl, Object
from quorate_kubernetes.member_pods import MemberPods
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
SEGMENT_BYTES = 4 << 20
"""Small: a member writes two spare segments before anything else, and three share this disk."""
_LABELS = {"app": NAME}


class Members(MemberPods):
    """A StatefulSet of members in a namespace."""

    def __init__(
        self, kubectl: Kubectl, image: str, *, count: int = 3, service: str = JOURNAL_SERVICE
    ) -> None:
        """Prepare; ``start`` makes the objects."""
        super().__init__(kubectl, f"app={NAME}", count)
        self._service = service
        self._image = image

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
