"""What every builder is given, and the metadata that all children share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quorate_operator import labels
from quorate_operator.model import ClusterSpec

Body = Mapping[str, object]
"""A Kubernetes object, or a part of one, as JSON."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One cluster as its user wants it, with the identity that the operator chose for it."""

    name: str
    namespace: str
    uid: str
    """Of the ClusterService: the owner of the children."""
    spec: ClusterSpec
    cluster_id: str
    """32 hexadecimal digits."""
    code: Mapping[str, str] | None
    """Files of the service's source; None: it is in the image."""
    installation: str
    """Which installation of the operator looks after the StatefulSet."""
    cluster_domain: str = "cluster.local"


def selector(name: str) -> dict[str, str]:
    """Return the labels that select the pods of a cluster.

    Nothing else ever belongs here: a StatefulSet's selector cannot be changed, so a version or a
    chart's name in it would end every upgrade.
    """
    return {labels.CLUSTER_LABEL: name}


def marks(name: str) -> dict[str, str]:
    """Return the labels of a child: the selector, and what tools of Kubernetes show to people."""
    return {
        **selector(name),
        "app.kubernetes.io/name": "quorate",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": labels.FIELD_MANAGER,
    }


def metadata(
    intent: Intent, name: str, *, annotations: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Return the metadata of a child, which is deleted with the ClusterService.

    Args:
        intent: The cluster.
        name: Of the child.
        annotations: None for none.

    """
    body: dict[str, object] = {
        "name": name,
        "namespace": intent.namespace,
        "labels": marks(intent.name),
    }
    if annotations:
        body["annotations"] = dict(annotations)
    body["ownerReferences"] = [owner(intent.name, intent.uid)]
    return body


def owner(name: str, uid: str, *, controller: bool = True) -> dict[str, object]:
    """Return the ownerReference to a ClusterService.

    Without ``blockOwnerDeletion``, which needs a permission on finalizers of the owner.
    """
    reference: dict[str, object] = {
        "apiVersion": labels.API_VERSION,
        "kind": labels.KIND,
        "name": name,
        "uid": uid,
    }
    return reference | ({"controller": True} if controller else {})
