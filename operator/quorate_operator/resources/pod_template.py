"""The pod of a member, under the restricted pod security standard.

A change here reaches a pod when it is next made, and must work with the image of the release
before: pods are replaced for what their user wrote, not for a new operator.
"""

from __future__ import annotations

from quorate.config import CLIENT_PORT, CONTROL_PORT, MEMBER_PORT
from quorate_operator import labels
from quorate_operator.model import ClusterSpec, Spread
from quorate_operator.resources.input_hash import input_hash, placement_hash
from quorate_operator.resources.intent import Intent, marks, selector
from quorate_operator.resources.member_config import (
    AUTH_DIRECTORY,
    CODE_DIRECTORY,
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    MEMBER_SECRET_FILE,
    TOKEN_FILE,
    VOLUME_DIRECTORY,
)

USER = 65532
"""User and group of the process, and group of its volume."""
GRACE_PERIOD_MIN_S = 30
GRACE_MARGIN_S = 15
"""For redirecting clients, the last sync, and a kubelet that is slow to notice the end."""
TEMPORARY_SIZE = "64Mi"
OWNER_AND_GROUP_READ = 0o440

_CONFIG, _CODE, _AUTH, _TEMPORARY = "config", "code", "auth", "tmp"


def pod_template(intent: Intent, config_map: str, code_map: str | None) -> dict[str, object]:
    """Return the template.

    Args:
        intent: The cluster.
        config_map: Name of the immutable ConfigMap with the members' file.
        code_map: Name of the one with the service's source; None: it is in the image.

    """
    spec = intent.spec
    started_with = input_hash(spec, intent.code)
    pod: dict[str, object] = {
        "serviceAccountName": labels.service_account_name(intent.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_period_s(spec),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, started_with, code_map)],
        "volumes": _volumes(intent, config_map, code_map),
        **_placement(intent),
    }
    annotations = {
        labels.INPUT_HASH_ANNOTATION: started_with,
        labels.PLACEMENT_HASH_ANNOTATION: placement_hash(spec),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(CONTROL_PORT),
        "prometheus.io/path": "/metrics",
    }
    return {
        "metadata": {"labels": marks(intent.name), "annotations": annotations},
        "spec": pod,
    }


def grace_period_s(spec: ClusterSpec) -> int:
    """Return how long a pod that is asked to end may take, in seconds."""
    handover_s = -(-spec.update.handover_timeout_ms // 1000)
    return max(GRACE_PERIOD_MIN_S, handover_s + GRACE_MARGIN_S)


def _container(spec: ClusterSpec, started_with: str, code_map: str | None) -> dict[str, object]:
    environment: list[object] = [
        {
            "name": "QUORATE_MEMBER__SEAT",
            "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{labels.SEAT_LABEL}']"}},
        },
        {"name": "QUORATE_MEMBER__INPUT_HASH", "value": started_with},
    ]
    mounts: list[object] = [
        {"name": labels.CLAIM_TEMPLATE, "mountPath": VOLUME_DIRECTORY},
        {"name": _CONFIG, "mountPath": CONFIG_DIRECTORY, "readOnly": True},
        {"name": _AUTH, "mountPath": AUTH_DIRECTORY, "readOnly": True},
        {"name": _TEMPORARY, "mountPath": "/tmp"},  # noqa: S108 - the pod's own
    ]
    if code_map is not None:
        environment.append({"name": "PYTHONPATH", "value": CODE_DIRECTORY})
        mounts.append({"name": _CODE, "mountPath": CODE_DIRECTORY, "readOnly": True})
    config_file = f"{CONFIG_DIRECTORY}/{CONFIG_FILE}"
    return {
        "name": labels.CONTAINER,
        "image": spec.image,
        "command": ["quorate", "run", "--config", config_file, "--log-format", "json"],
        "env": environment,
        "ports": [
            _port(labels.CLIENT_PORT_NAME, CLIENT_PORT),
            _port(labels.MEMBER_PORT_NAME, MEMBER_PORT),
            _port(labels.CONTROL_PORT_NAME, CONTROL_PORT),
        ],
        # A replay may take long; only a loop that does not turn is a reason to kill a member.
        "startupProbe": _probe("/startupz", period_s=2, failures=1800, timeout_s=4),
        "livenessProbe": _probe("/livez", period_s=10, failures=6, timeout_s=8),
        "readinessProbe": _probe("/readyz", period_s=2, failures=3, timeout_s=2),
        "resources": {
            "requests": dict(spec.resources.requests),
            "limits": dict(spec.resources.limits),
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _port(name: str, port: int) -> dict[str, object]:
    return {"name": name, "containerPort": port, "protocol": "TCP"}


def _probe(path: str, *, period_s: int, failures: int, timeout_s: int) -> dict[str, object]:
    return {
        "httpGet": {"path": path, "port": labels.CONTROL_PORT_NAME},
        "periodSeconds": period_s,
        "failureThreshold": failures,
        "timeoutSeconds": timeout_s,
    }


def _volumes(intent: Intent, config_map: str, code_map: str | None) -> list[object]:
    secret: dict[str, object] = {
        "secretName": labels.auth_secret_name(intent.name),
        "defaultMode": OWNER_AND_GROUP_READ,
        "items": [
            {"key": labels.MEMBER_SECRET_KEY, "path": MEMBER_SECRET_FILE},
            {"key": labels.TOKEN_KEY, "path": TOKEN_FILE},
        ],
    }
    volumes: list[object] = [
        {"name": _CONFIG, "configMap": {"name": config_map}},
        {"name": _AUTH, "secret": secret},
        {"name": _TEMPORARY, "emptyDir": {"sizeLimit": TEMPORARY_SIZE}},
    ]
    if code_map is not None:
        volumes.append({"name": _CODE, "configMap": {"name": code_map}})
    return volumes


def _placement(intent: Intent) -> dict[str, object]:
    scheduling = intent.spec.scheduling
    spread: dict[str, object] = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": selector(intent.name)},
    }
    if scheduling.spread is Spread.REQUIRED:
        # With fewer nodes than members the least loaded of them would count as even; this way a
        # node that is missing counts as empty, so no node ever gets a second member.
        spread |= {"whenUnsatisfiable": "DoNotSchedule", "minDomains": intent.spec.replicas}
    else:
        spread |= {"whenUnsatisfiable": "ScheduleAnyway"}
    placement: dict[str, object] = {"topologySpreadConstraints": [spread]}
    if scheduling.node_selector:
        placement["nodeSelector"] = dict(scheduling.node_selector)
    if scheduling.tolerations:
        placement["tolerations"] = [dict(row) for row in scheduling.tolerations]
    if scheduling.priority_class_name is not None:
        placement["priorityClassName"] = scheduling.priority_class_name
    return placement
