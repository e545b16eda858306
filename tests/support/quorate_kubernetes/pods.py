"""What the pods of the stories have in common: how little they may do, and the tests' code."""

from __future__ import annotations

from typing import Any

from quorate_kubernetes.kubectl import Object
from quorate_kubernetes.layout import SUPPORT

CODE = "code"
"""Name of the ConfigMap and of the volume."""
CODE_PLACE = "/etc/quorate/code"
"""Where it is mounted; Python looks there in the product's image."""
RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""Of a container: the restricted pod security standard, and a root that nobody writes to."""
NON_ROOT: dict[str, Any] = {
    "runAsUser": 65532,
    "runAsNonRoot": True,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Of a pod; the group owns its volumes."""
_SOURCES = {
    "load_client.py": "quorate_kubernetes/load_client.py",
    "journal.py": "quorate_processes/journal.py",
}
"""Key in the ConfigMap, which takes no slash: path below ``tests/support`` and the mount."""


def code() -> Object:
    """Return the ConfigMap with the load client and the service that proves histories."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CODE},
        "data": {key: (SUPPORT / path).read_text() for key, path in _SOURCES.items()},
    }


def code_volume() -> dict[str, Any]:
    """Return the volume of a pod that runs it."""
    items = [{"key": key, "path": path} for key, path in _SOURCES.items()]
    return {"name": CODE, "configMap": {"name": CODE, "items": items}}


def code_mount() -> dict[str, Any]:
    """Return the mount of its container."""
    return {"name": CODE, "mountPath": CODE_PLACE, "readOnly": True}
