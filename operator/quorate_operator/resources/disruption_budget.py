"""The PodDisruptionBudget: one member at a time, for us and for everyone who drains a node."""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.resources.intent import Intent, metadata, selector


def disruption_budget(intent: Intent) -> dict[str, object]:
    """Return the budget; a pod that is not ready is evicted only while the others are."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(intent, labels.disruption_budget_name(intent.name)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "IfHealthyBudget",
            "selector": {"matchLabels": selector(intent.name)},
        },
    }
