"""The PodMonitor, for a Prometheus that is run by its own operator."""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.resources.intent import Intent, metadata, selector


def pod_monitor(intent: Intent) -> dict[str, object]:
    """Return the monitor of every member's metrics."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(intent, labels.pod_monitor_name(intent.name)),
        "spec": {
            "selector": {"matchLabels": selector(intent.name)},
            "podTargetLabels": [labels.CLUSTER_LABEL],
            "podMetricsEndpoints": [{"port": labels.CONTROL_PORT_NAME, "path": "/metrics"}],
        },
    }
