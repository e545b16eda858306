"""A ClusterService in a namespace: applied with kubectl, and what became of it."""

from __future__ import annotations

from typing import Any

from quorate.config import CLIENT_PORT
from quorate_kubernetes.kubectl import Kubectl, Object
from quorate_kubernetes.layout import SUPPORT
from quorate_kubernetes.member_pods import Member, MemberPods
from quorate_kubernetes.waiting import wait_until

NAME = "store"
KIND = "clusterservices.quorate.io"
CODE = "journal-code"
CLUSTER_LABEL = "quorate.io/cluster"
INPUT_HASH = "quorate.io/input-hash"
TRANSFER = "quorate.io/transfer-leader-to"
JOURNAL = "journal:Configured"
_CONFIGURED = """

class Configured(Journal):
    def __init__(self, config: str = "") -> None:
        super().__init__()
"""
"""The journal takes no configuration, and a member refuses one that nobody reads."""
READY_TIMEOUT_S = 180.0
"""A deadline on a machine under load; a first cluster takes some fifteen seconds."""


class ClusterService(MemberPods):
    """One resource, with the journal from a ConfigMap as its service."""

    def __init__(
        self, kubectl: Kubectl, image: str, *, name: str = NAME, replicas: int = 3
    ) -> None:
        """Prepare; ``apply`` makes it."""
        super().__init__(kubectl, f"{CLUSTER_LABEL}={name}", replicas)
        self.name = name
        self.spec: dict[str, Any] = {
            "replicas": replicas,
            "image": image,
            "service": {"class": JOURNAL, "codeFrom": {"configMap": CODE}},
            "storage": {"size": "1Gi"},
        }

    @property
    def address(self) -> str:
        """Where clients reach it, as pods resolve it."""
        return f"{self.name}.{self._kubectl.namespace}.svc.cluster.local.:{CLIENT_PORT}"

    def pod(self, seat: int) -> str:
        """Return the name of the pod in a seat."""
        return f"{self.name}-{seat}"

    @property
    def pods(self) -> tuple[str, ...]:
        """Names of its pods."""
        return tuple(self.pod(seat) for seat in range(self._count))

    def apply(self, **changes: object) -> None:
        """Apply the resource, with these fields of its spec changed from now on."""
        self.spec |= changes
        manifest = {
            "apiVersion": "quorate.io/v1",
            "kind": "ClusterService",
            "metadata": {"name": self.name},
            "spec": self.spec,
        }
        self._kubectl.apply(manifest)

    def apply_code(self, append: str = "") -> None:
        """Apply the ConfigMap with the journal.

        Args:
            append: More source behind it.

        """
        source = (SUPPORT / "quorate_processes" / "journal.py").read_text()
        self._kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": CODE, "labels": {CLUSTER_LABEL: self.name}},
                "data": {"journal.py": source + _CONFIGURED + append},
            }
        )

    def start(self) -> None:
        """Apply code and resource, and wait until the cluster is ready."""
        self.apply_code()
        self.apply()
        self.wait_settled()

    def body(self) -> Object:
        """Return the resource as it is."""
        return self._kubectl.get(KIND, self.name)

    def status(self) -> Object:
        """Return its status."""
        status: Object = self.body().get("status", {})
        return status

    def condition(self, kind: str) -> Object:
        """Return a condition that the operator has written for the present generation, or {}."""
        return _condition(self.body(), kind)

    def wait_condition(
        self, kind: str, *, status: str, reason: str = "", timeout_s: float = READY_TIMEOUT_S
    ) -> str:
        """Wait for a condition about the present generation; return its message."""

        def found() -> Object | None:
            row = self.condition(kind)
            is_so = row.get("status") == status and reason in ("", row.get("reason"))
            return row if is_so else None

        what = f"{self.name} has {kind}={status} {reason}".strip()
        return str(wait_until(what, found, timeout_s, poll_s=0.3)["message"])

    def wait_settled(self, timeout_s: float = READY_TIMEOUT_S) -> Object:
        """Wait until it is ready, as its user wants it, and nothing is under way; return it."""

        def found() -> Object | None:
            body = self.body()
            rows = [_condition(body, kind) for kind in ("Ready", "Reconciled", "Progressing")]
            words = [row.get("status", "") for row in rows]
            if words != ["True", "True", "False"] or rows[2]["reason"] != "Stable":
                return None
            return None if "update" in body["status"] else body

        return wait_until(f"{self.name} is ready and stable", found, timeout_s, poll_s=0.3)

    def wait_update_begun(self, timeout_s: float = 60.0) -> Object:
        """Wait until the operator has begun to bring pods to what the resource asks for."""

        def found() -> Object | None:
            status = self.status()
            return status if "update" in status else None

        return wait_until(f"an update of {self.name} has begun", found, timeout_s)

    def input_hashes(self) -> dict[str, str]:
        """Return what each pod was made from, by pod."""
        return {
            name: pod["metadata"]["annotations"][INPUT_HASH] for name, pod in self.bodies().items()
        }

    def bodies(self) -> dict[str, Object]:
        """Return its pods by name."""
        return {p["metadata"]["name"]: p for p in self._kubectl.list("pods", self._selector)}

    def uids(self) -> dict[str, str]:
        """Return the uids of its pods by name."""
        return {name: pod["metadata"]["uid"] for name, pod in self.bodies().items()}

    def claims(self) -> dict[str, str]:
        """Return the uids of the claims by name."""
        found = self._kubectl.list("pvc", self._selector)
        return {claim["metadata"]["name"]: claim["metadata"]["uid"] for claim in found}

    def wait_gone(self) -> None:
        """Wait until no pod and no StatefulSet is left."""
        wait_until(
            f"nothing runs for {self.name}",
            lambda: not self.bodies() and self._kubectl.find("statefulset", self.name) is None,
            READY_TIMEOUT_S,
            poll_s=0.3,
        )

    def request_transfer(self, to: str, request: str) -> None:
        """Ask for a hand-over as users do."""
        self._kubectl.run("annotate", "--overwrite", KIND, self.name, f"{TRANSFER}={to}/{request}")

    def wait_transfer(self, request: str) -> Object:
        """Wait until a hand-over is decided, and return what became of it."""

        def found() -> Object | None:
            last: Object = self.status().get("lastTransfer", {})
            return last if last.get("request", "").endswith(f"/{request}") else None

        return wait_until(f"request {request} is decided", found, 60)

    def wait_leader_service(self, timeout_s: float = 30.0) -> None:
        """Wait until the leader Service points at the pod that leads then, and at no other."""
        selector = f"kubernetes.io/service-name={self.name}-leader"

        def found() -> bool:
            slices = self._kubectl.list("endpointslices", selector)
            names = {
                endpoint["targetRef"]["name"]
                for item in slices
                for endpoint in item.get("endpoints") or ()
            }
            return names == {self.leader().pod}

        wait_until("the leader Service points at the leader", found, timeout_s, poll_s=0.3)

    def follower(self, leader: Member) -> str:
        """Return the name of a pod that does not lead."""
        return next(pod for pod in self.pods if pod != leader.pod)

    def reasons(self) -> list[str]:
        """Return the reasons of the events about it."""
        events = self._kubectl.list("events.events.k8s.io")
        return [e.get("reason", "") for e in events if e["regarding"].get("name") == self.name]


def _condition(body: Object, kind: str) -> Object:
    for row in body.get("status", {}).get("conditions", []):
        is_current = row.get("observedGeneration") == body["metadata"]["generation"]
        if row["type"] == kind and is_current:
            found: Object = row
            return found
    return {}
