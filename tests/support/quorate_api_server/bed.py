"""A real API server for these tests, the definition and the operator's rights in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quorate_api_server.server import ApiServer
from quorate_operator.errors import OperatorError
from quorate_operator.kube import kinds
from quorate_operator.kube.api import Api, CallObserver, nobody
from quorate_operator.kube.connect import connected
from quorate_operator.kube.kinds import Kind

ROOT = Path(__file__).resolve().parents[3]
USER = "operator"
USER_TOKEN = "of-the-operator"
NAMESPACE = "quorate-system"
RULES = ROOT / "charts/quorate/files/cluster-rules.yaml"
DEFINITION = ROOT / "crds/quorate.io_clusterservices.yaml"
CLUSTER_ROLE = Kind(
    "ClusterRole", "rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False
)
ROLE = Kind("Role", "rbac.authorization.k8s.io", "v1", "roles")
BINDING = Kind("RoleBinding", "rbac.authorization.k8s.io", "v1", "rolebindings")
CLUSTER_BINDING = Kind(
    "ClusterRoleBinding",
    "rbac.authorization.k8s.io",
    "v1",
    "clusterrolebindings",
    namespaced=False,
)


@dataclass(frozen=True, slots=True)
class Bed:
    """The server, and how to reach it as the administrator and as the operator."""

    server: ApiServer
    operator_kubeconfig: Path

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Api]:
        """Give calls of a user who may do everything."""
        async with connected(str(self.server.kubeconfig)) as client:
            yield Api(client, guard=lambda: None)

    @asynccontextmanager
    async def operator(
        self, guard: Callable[[], None] = lambda: None, on_call: CallObserver = nobody
    ) -> AsyncIterator[Api]:
        """Give calls of a user who has the rights of the chart and no others."""
        async with connected(str(self.operator_kubeconfig)) as client:
            yield Api(client, guard=guard, on_call=on_call)

    def run(self, story: Callable[[Api, Api], Awaitable[None]]) -> None:
        """Run a story with the administrator's calls and the operator's."""

        async def limited() -> None:
            async with asyncio.timeout(90), self.admin() as admin, self.operator() as operator:
                await story(admin, operator)

        asyncio.run(limited())


async def install(bed: Bed) -> None:
    """Do what the chart does, as far as an API server alone can tell."""
    async with bed.admin() as admin:
        definition = yaml.safe_load(DEFINITION.read_text())
        await admin.create(kinds.DEFINITION, None, definition, "test")
        await admin.create(kinds.NAMESPACE, None, body_of(kinds.NAMESPACE, NAMESPACE), "test")
        rules = yaml.safe_load(RULES.read_text())
        await grant(admin, rules)
        lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
        named = {**lease, "resourceNames": ["quorate-operator"], "verbs": ["get", "update"]}
        role = body_of(ROLE, "lease", NAMESPACE)
        await admin.create(
            ROLE, NAMESPACE, {**role, "rules": [{**lease, "verbs": ["create"]}, named]}, "test"
        )
        await admin.create(
            BINDING,
            NAMESPACE,
            {**body_of(BINDING, "lease", NAMESPACE), **bound("Role", "lease")},
            "test",
        )
        await until_served(admin)


async def grant(admin: Api, rules: list[dict[str, Any]]) -> None:
    """Give the operator these rights in every namespace."""
    role = {**body_of(CLUSTER_ROLE, "operator"), "rules": rules}
    await admin.create(CLUSTER_ROLE, None, role, "test")
    binding = {**body_of(CLUSTER_BINDING, "operator"), **bound("ClusterRole", "operator")}
    await admin.create(CLUSTER_BINDING, None, binding, "test")


async def until_served(admin: Api) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await admin.list(kinds.CLUSTER_SERVICE, None)
            except OperatorError:
                await asyncio.sleep(0.05)
            else:
                return


def bound(kind: str, name: str) -> dict[str, object]:
    group = "rbac.authorization.k8s.io"
    return {
        "roleRef": {"apiGroup": group, "kind": kind, "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    }


def body_of(kind: Kind, name: str, namespace: str | None = None, **rest: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    metadata = {"name": name} | ({} if namespace is None else {"namespace": namespace})
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **rest}


def cluster_service(name: str, namespace: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    wanted = {
        "image": "quorate:test",
        "service": {"class": "quorate.examples.echo:Echo"},
        "storage": {"size": "1Gi"},
        **spec,
    }
    return body_of(kinds.CLUSTER_SERVICE, name, namespace, spec=wanted)


def pod_body(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    body = body_of(
        kinds.POD,
        name,
        namespace,
        spec={"containers": [{"name": "member", "image": "quorate:test"}]},
    )
    body["metadata"]["labels"] = labels
    return body
