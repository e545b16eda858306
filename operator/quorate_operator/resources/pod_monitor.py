"""The PodMonitor, for a Prometheus that is run by its own operator."""

from __future__ import annotations

import re

from quorate_operator import labels
from quorate_operator.resources.intent import Intent, metadata, selector


def pod_monitor(intent: Intent) -> dict[str, object]:
    """Return the monitor of every member's metrics; dashboards group by its label ``cluster``."""
    pod_label = re.sub(r"[^a-z]", "_", labels.CLUSTER_LABEL)
    endpoint: dict[str, object] = {
        "port": labels.CONTROL_PORT_NAME,
        "path": "/metrics",
        "relabelings": [
            {"sourceLabels": [f"__meta_kubernetes_pod_label_{pod_label}"], "targetLabel": "cluster"}
        ],
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(intent, labels.pod_monitor_name(intent.name)),
        "spec": {
            "selector": {"matchLabels": selector(intent.name)},
            "podMetricsEndpoints": [endpoint],
        },
    }
