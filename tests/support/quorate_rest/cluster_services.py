"""ClusterServices in one namespace of an API server."""

from __future__ import annotations

from dataclasses import dataclass

from quorate_cluster_services.examples import SMALL
from quorate_rest.rest import Answer, Json, Rest


@dataclass(frozen=True, slots=True)
class ClusterServices:
    """ClusterServices in one namespace."""

    rest: Rest
    namespace: str

    @property
    def path(self) -> str:
        """Of the collection."""
        return f"/apis/quorate.io/v1/namespaces/{self.namespace}/clusterservices"

    def try_to_create(self, spec: object, name: str = "trial", options: str = "") -> Answer:
        """Ask for a resource without storing it."""
        return self.rest.create(f"{self.path}?dryRun=All{options}", body_of(spec, name))

    def create(self, spec: object = SMALL, name: str = "orders") -> Json:
        """Store a resource; return it."""
        answer = self.rest.create(self.path, body_of(spec, name))
        assert answer.is_success, answer.message
        return answer.body

    def try_to_edit(self, spec: object, name: str = "orders") -> Answer:
        """Ask for an edit of the spec without storing it."""
        return self.rest.merge(f"{self.path}/{name}?dryRun=All", {"spec": spec})

    def edit_status(self, status: object, name: str = "orders") -> Answer:
        """Edit the status, as an operator may."""
        return self.rest.merge(f"{self.path}/{name}/status", {"status": status})


def body_of(spec: object, name: str) -> Json:
    """Return a resource as a user writes it."""
    metadata = {"name": name}
    return {
        "apiVersion": "quorate.io/v1",
        "kind": "ClusterService",
        "metadata": metadata,
        "spec": spec,
    }
