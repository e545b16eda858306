"""Resources by hand: a small one and a full one, as the API server stores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from quorate_cluster_services.filling import filled
from quorate_operator.bodies import read_spec
from quorate_operator.model import ClusterSpec
from quorate_operator.resources import Intent
from quorate_operator.schema.spec import SPEC

CLUSTER_ID = "6f2a0c5d9b7e4f10a3c86d1e5b42907f"
UID = "0b54e3f6-3a0e-4a52-9a2b-3f1d5ad0c1de"
CODE = {"orders.py": "class Orders:\n    pass\n"}

SMALL: dict[str, object] = {
    "image": "registry.example/orders:1.4.2",
    "service": {"class": "orders.service:Orders"},
}

FULL: dict[str, object] = {
    "replicas": 5,
    "image": "registry.example/quorate@sha256:" + "ab" * 32,
    "service": {"class": "orders:Orders", "codeFrom": {"configMap": "orders-code"}},
    "config": 'currency = "EUR"\nlimit = 10\n',
    "storage": {"size": "20Gi", "className": "fast"},
    "consensus": {"electionTimeout": "2s", "heartbeat": "100ms", "durability": "replicated"},
    "update": {"handoverTimeout": "1m", "progressDeadline": "1h", "restart": "2026-11-29"},
    "scheduling": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [
            {"key": "dedicated", "operator": "Equal", "value": "quorate", "effect": "NoSchedule"},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        "priorityClassName": "high",
        "spread": "Required",
    },
    "resources": {
        "requests": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "100Mi"},
        "limits": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "1Gi"},
    },
    "tls": {"mode": "Disabled"},
    "paused": True,
    "deletion": {"volumes": "Delete"},
}


def stored(body: Mapping[str, object]) -> dict[str, object]:
    """Return a spec's body as the API server would store it."""
    return cast("dict[str, object]", filled(SPEC, body))


def spec(body: Mapping[str, object] = SMALL) -> ClusterSpec:
    """Return a spec as the operator reads it."""
    return read_spec(stored(body))


def intent(body: Mapping[str, object] = SMALL, **changes: object) -> Intent:
    """Return what the builders are given for this spec."""
    wanted = spec(body)
    code = CODE if wanted.service.code_config_map is not None else None
    whole = Intent("orders", "shop", UID, wanted, CLUSTER_ID, code, "quorate-system/quorate")
    return replace(whole, **changes)  # type: ignore[arg-type]
