"""The operator, installed from the chart by helm as its users do."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from quorate_kubernetes import commands
from quorate_kubernetes.kubectl import Kubectl, Object, is_ready
from quorate_kubernetes.layout import NAME, ROOT, STATE, kubeconfig
from quorate_kubernetes.waiting import wait_until

CHART = ROOT / "charts" / "quorate"
NAMESPACE = "quorate-system"
RELEASE = "quorate"
DEFINITION = "clusterservices.quorate.io"
METRICS_PORT = 8080
HELM_TIMEOUT_S = 120
_SELECTOR = "app.kubernetes.io/name=quorate-operator,app.kubernetes.io/instance="


class Installation:
    """One release of the chart in a namespace."""

    def __init__(
        self, tools: Path, image: str, *, namespace: str = NAMESPACE, release: str = RELEASE
    ) -> None:
        """Prepare; ``ensure`` installs.

        Args:
            tools: Directory of the binaries.
            image: Name and tag of the product's image.
            namespace: Of the release; made when it is not there.
            release: Its name.

        """
        self.namespace = namespace
        self.release = release
        self.kubectl = Kubectl(tools, namespace)
        self._helm = tools / "helm"
        self._image = image

    def ensure(self, **values: object) -> None:
        """Install or upgrade, and wait until every process is ready.

        Args:
            values: Of the chart, a dot written as two underscores: ``crds__install=False``.

        """
        repository, tag = self._image.rsplit(":", 1)
        given = {"image.repository": repository, "image.tag": tag}
        given |= {name.replace("__", "."): _written(value) for name, value in values.items()}
        settings = [f"--set={name}={value}" for name, value in given.items()]
        self.helm("upgrade", "--install", "--create-namespace", "--wait", *settings, chart=True)

    def is_as_wanted(self) -> bool:
        """Tell whether it is installed with this image and every process is ready."""
        found = self.kubectl.find("deployment", f"{self.release}-operator")
        if found is None or found["status"].get("readyReplicas") != found["spec"]["replicas"]:
            return False
        (container,) = found["spec"]["template"]["spec"]["containers"]
        return bool(container["image"] == self._image)

    def helm(self, verb: str, *arguments: object, chart: bool = False) -> str:
        """Run helm on this release and return what it printed; raises ``BedFailure``."""
        words = [verb, self.release, *((CHART,) if chart else ()), *arguments]
        return commands.run(
            *commands.inside(NAME),
            # An environment of its own: nothing of this machine's user, and no proxy.
            *("env", "-i", f"HOME={STATE / 'helm'}", f"KUBECONFIG={kubeconfig('admin')}"),
            *(self._helm, *words, f"--namespace={self.namespace}", f"--timeout={HELM_TIMEOUT_S}s"),
            timeout_s=HELM_TIMEOUT_S + 30.0,
        )

    def pods(self) -> list[Object]:
        """Return the pods of its processes that are not being deleted."""
        found = self.kubectl.list("pods", _SELECTOR + self.release)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def leader(self) -> Object:
        """Return the pod of the process that holds the lease."""

        def found() -> Object | None:
            lease = self.kubectl.find("lease", f"{self.release}-operator")
            holder = "" if lease is None else lease["spec"].get("holderIdentity") or ""
            pods = {pod["metadata"]["name"]: pod for pod in self.pods()}
            return pods.get(holder.rpartition("_")[0])

        return wait_until("a process of the operator holds the lease", found, 60)

    def wait_ready(self) -> None:
        """Wait until every process is ready."""
        wait_until("the operator is ready", self.is_as_wanted, HELM_TIMEOUT_S, poll_s=0.3)

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the process that holds the lease, by name with labels."""
        pod = self.leader()
        url = f"http://{pod['status']['podIP']}:{METRICS_PORT}/metrics"
        with urllib.request.urlopen(url, timeout=5) as response:
            lines = response.read().decode().splitlines()
        rows = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def scale(self, replicas: int) -> None:
        """Let so many processes run, and wait until they do; the release stays as it is."""
        self.kubectl.run(
            "scale", "deployment", f"{self.release}-operator", f"--replicas={replicas}"
        )
        wait_until(
            f"{replicas} processes of the operator are there and ready",
            lambda: self._count() == replicas and self.are_pods_ready(),
            HELM_TIMEOUT_S,
            poll_s=0.3,
        )

    def _count(self) -> int:
        """Count its pods, also those that are being deleted."""
        return len(self.kubectl.list("pods", _SELECTOR + self.release))

    def are_pods_ready(self) -> bool:
        """Tell whether all of its pods that are there are ready."""
        return all(is_ready(pod) for pod in self.pods())


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
