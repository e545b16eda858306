"""The StatefulSet of the members, and what of it can never be changed."""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.resources.intent import Intent, metadata, selector
from quorate_operator.resources.pod_template import pod_template

IMMUTABLE_FIELDS = ("serviceName", "selector", "podManagementPolicy", "volumeClaimTemplates")
"""Fields of its spec that the API server lets nobody change: they are frozen with each release."""


def stateful_set(intent: Intent, config_map: str, code_map: str | None) -> dict[str, object]:
    """Return the StatefulSet.

    Pods start together, as a majority is needed to be ready, and none is replaced for a changed
    template: the operator picks when and in which order.

    Args:
        intent: The cluster.
        config_map: Name of the immutable ConfigMap with the members' file.
        code_map: Name of the one with the service's source; None: it is in the image.

    """
    annotations = {
        labels.CLUSTER_ID_ANNOTATION: intent.cluster_id,
        labels.INSTALLATION_ANNOTATION: intent.installation,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(
            intent, labels.stateful_set_name(intent.name), annotations=annotations
        ),
        "spec": {
            "replicas": intent.spec.replicas,
            "serviceName": labels.members_service_name(intent.name),
            "selector": {"matchLabels": selector(intent.name)},
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            # The StatefulSet's own policy would delete volumes when it is scaled to nought or
            # made anew; deletion is a reference from the claims to the ClusterService instead.
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            },
            "template": pod_template(intent, config_map, code_map),
            "volumeClaimTemplates": [_claim(intent)],
        },
    }


def frozen_part(body: dict[str, object]) -> dict[str, object]:
    """Return the immutable fields of a StatefulSet's spec."""
    spec = body["spec"]
    assert isinstance(spec, dict)
    return {name: spec[name] for name in IMMUTABLE_FIELDS}


def _claim(intent: Intent) -> dict[str, object]:
    storage = intent.spec.storage
    spec: dict[str, object] = {
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.class_name is not None:
        spec["storageClassName"] = storage.class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": labels.CLAIM_TEMPLATE,
            "labels": selector(intent.name),
            "annotations": {labels.CLUSTER_ID_ANNOTATION: intent.cluster_id},
        },
        "spec": spec,
    }
