"""The three Services: between members, for clients, and to the leader."""

from __future__ import annotations

from quorate.config import CLIENT_PORT, CONTROL_PORT, MEMBER_PORT
from quorate_operator import labels
from quorate_operator.resources.intent import Intent, metadata, selector


def members_service(intent: Intent) -> dict[str, object]:
    """Return the headless Service that gives each pod its name.

    Members must find each other before any of them is ready: they are ready only together.
    """
    spec: dict[str, object] = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": selector(intent.name),
        "ports": [
            _port(labels.CLIENT_PORT_NAME, CLIENT_PORT),
            _port(labels.MEMBER_PORT_NAME, MEMBER_PORT),
            _port(labels.CONTROL_PORT_NAME, CONTROL_PORT),
        ],
    }
    return _service(intent, labels.members_service_name(intent.name), spec)


def client_service(intent: Intent) -> dict[str, object]:
    """Return the Service that clients use: any ready member, which redirects to the leader."""
    spec: dict[str, object] = {
        "type": "ClusterIP",
        "selector": selector(intent.name),
        "ports": [_port(labels.CLIENT_PORT_NAME, CLIENT_PORT)],
    }
    return _service(intent, labels.client_service_name(intent.name), spec)


def leader_service(intent: Intent) -> dict[str, object]:
    """Return the Service that follows the leader.

    Its label says who leads, which is known sooner than the kubelet's next probe of readiness.
    """
    spec: dict[str, object] = {
        "type": "ClusterIP",
        "publishNotReadyAddresses": True,
        "selector": selector(intent.name) | {labels.ROLE_LABEL: labels.ROLE_LEADER},
        "ports": [_port(labels.CLIENT_PORT_NAME, CLIENT_PORT)],
    }
    return _service(intent, labels.leader_service_name(intent.name), spec)


def _service(intent: Intent, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(intent, name),
        "spec": spec,
    }


def _port(name: str, port: int) -> dict[str, object]:
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": name}
