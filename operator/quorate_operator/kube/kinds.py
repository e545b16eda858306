"""The kinds of objects that the operator touches, and where the API server keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from quorate_operator import labels


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its place in URLs, and its group and resource as RBAC writes them."""

    name: str
    group: str
    """Empty for the core group."""
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return ``group/version`` as bodies carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or a subresource of one."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            assert self.namespaced, f"{self.name} is not namespaced, asked in {namespace}"
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(parts)


CLUSTER_SERVICE = Kind(labels.KIND, labels.GROUP, labels.VERSION, labels.PLURAL)
STATEFUL_SET = Kind("StatefulSet", "apps", "v1", "statefulsets")
POD = Kind("Pod", "", "v1", "pods")
CLAIM = Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims")
SERVICE = Kind("Service", "", "v1", "services")
CONFIG_MAP = Kind("ConfigMap", "", "v1", "configmaps")
SECRET = Kind("Secret", "", "v1", "secrets")
SERVICE_ACCOUNT = Kind("ServiceAccount", "", "v1", "serviceaccounts")
DISRUPTION_BUDGET = Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets")
POD_MONITOR = Kind("PodMonitor", "monitoring.coreos.com", "v1", "podmonitors")
NODE = Kind("Node", "", "v1", "nodes", namespaced=False)
NAMESPACE = Kind("Namespace", "", "v1", "namespaces", namespaced=False)
LEASE = Kind("Lease", "coordination.k8s.io", "v1", "leases")
EVENT = Kind("Event", "events.k8s.io", "v1", "events")
DEFINITION = Kind(
    "CustomResourceDefinition",
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    namespaced=False,
)

CHILDREN = (SERVICE, CONFIG_MAP, SERVICE_ACCOUNT, DISRUPTION_BUDGET)
"""Kinds of children that are listed by label; the Secret is read by name, as RBAC cannot limit
a list to names."""

BY_NAME = {
    kind.name: kind
    for kind in (STATEFUL_SET, SERVICE, CONFIG_MAP, SECRET, SERVICE_ACCOUNT, DISRUPTION_BUDGET)
} | {POD_MONITOR.name: POD_MONITOR}
"""What a plan may create, apply or delete."""
