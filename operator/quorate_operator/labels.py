"""Every name that the operator writes into Kubernetes objects, once."""

from __future__ import annotations

GROUP = "quorate.io"
VERSION = "v1"
KIND = "ClusterService"
PLURAL = "clusterservices"
SHORT_NAME = "csvc"
CATEGORY = "quorate"
"""``kubectl get quorate`` lists every kind of ours."""
API_VERSION = f"{GROUP}/{VERSION}"

SCHEMA_VERSION = 1
"""Of the CustomResourceDefinition that this operator needs at least; raised with each field."""
SCHEMA_ANNOTATION = "quorate.io/schema-version"
"""On the CustomResourceDefinition."""

FIELD_MANAGER = "quorate-operator"
"""Of every child that is applied."""
STATUS_MANAGER = "quorate-operator-status"
"""Of the periodic status."""
IDENTITY_MANAGER = "quorate-identity"
"""Of cluster id, epoch and founded: never part of the periodic status."""

CLUSTER_LABEL = "quorate.io/cluster"
"""On every child and pod: the name of its ClusterService. Selectors consist of it alone."""
SEAT_LABEL = "apps.kubernetes.io/pod-index"
"""On every pod, set by the StatefulSet controller: its ordinal, which is its seat."""
ROLE_LABEL = "quorate.io/role"
"""``leader`` on the pod that the leader Service selects."""
ROLE_LEADER = "leader"

TERM_ANNOTATION = "quorate.io/term"
"""Beside the role: the leadership term that it was seen in; an older term never overwrites it."""
CLUSTER_ID_ANNOTATION = "quorate.io/cluster-id"
"""On the StatefulSet, its claim template and each claim."""
FOUNDED_ANNOTATION = "quorate.io/founded"
"""``true`` on each claim once the cluster is founded."""
INPUT_HASH_ANNOTATION = "quorate.io/input-hash"
"""On each pod: hash of what its user wrote when it was made."""
PLACEMENT_HASH_ANNOTATION = "quorate.io/placement-hash"
"""On each pod: hash of ``spec.scheduling`` when it was made."""
APPLIED_HASH_ANNOTATION = "quorate.io/applied-hash"
"""On each applied child: hash of the body that was intended then."""
INSTALLATION_ANNOTATION = "quorate.io/installation"
"""On the StatefulSet: which installation of the operator looks after it."""
TRANSFER_ANNOTATION = "quorate.io/transfer-leader-to"
"""On a ClusterService, by its user: ``<member or any>/<request id>``."""

MEMBER_SECRET_KEY = "member"  # noqa: S105 - its name, not its value
"""In the Secret: what proves membership in the handshake between members."""
TOKEN_KEY = "token"  # noqa: S105 - its name, not its value
"""In the Secret: the bearer token of admin actions."""

CLAIM_TEMPLATE = "log"
"""Claims are named ``log-<name>-<seat>``."""
CONTAINER = "member"
CLIENT_PORT_NAME = "client"
MEMBER_PORT_NAME = "member"
CONTROL_PORT_NAME = "control"


def stateful_set_name(name: str) -> str:
    """Return the name of the StatefulSet; its pods are ``<name>-<seat>``."""
    return name


def pod_name(name: str, seat: int) -> str:
    """Return the name of the pod that sits in this seat."""
    return f"{name}-{seat}"


def claim_name(name: str, seat: int) -> str:
    """Return the name of the claim of the pod in this seat."""
    return f"{CLAIM_TEMPLATE}-{name}-{seat}"


def disruption_budget_name(name: str) -> str:
    """Return the name of the PodDisruptionBudget of the members."""
    return name


def service_account_name(name: str) -> str:
    """Return the name of the ServiceAccount that the members run under; it may do nothing."""
    return name


def pod_monitor_name(name: str) -> str:
    """Return the name of the PodMonitor of the members."""
    return name


def members_service_name(name: str) -> str:
    """Return the name of the headless Service under which members find each other."""
    return f"{name}-members"


def client_service_name(name: str) -> str:
    """Return the name of the Service that clients use: any member, which redirects."""
    return name


def leader_service_name(name: str) -> str:
    """Return the name of the Service that follows the leader; a convenience that may lag."""
    return f"{name}-leader"


def auth_secret_name(name: str) -> str:
    """Return the name of the Secret with the members' secret and the bearer token."""
    return f"{name}-auth"


def config_map_name(name: str, content_hash: str) -> str:
    """Return the name of the immutable ConfigMap that holds a member's configuration."""
    return f"{name}-config-{content_hash}"


def code_map_name(name: str, content_hash: str) -> str:
    """Return the name of the immutable copy of the service's source."""
    return f"{name}-code-{content_hash}"
