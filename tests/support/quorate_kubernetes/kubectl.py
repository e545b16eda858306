"""Speaks to the API server, through the command that people use."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

from quorate_kubernetes import commands
from quorate_kubernetes.layout import NAME, kubeconfig
from quorate_kubernetes.waiting import wait_until

Object = dict[str, Any]
"""A Kubernetes object as the API server writes it; the stories look at single fields."""


class Kubectl:
    """``kubectl`` of one namespace of the cluster, or of none."""

    def __init__(self, tools: Path, namespace: str = "") -> None:
        """Use the binary in this directory."""
        self.namespace = namespace
        self._tools = tools

    def within(self, namespace: str) -> Self:
        """Return the same for another namespace."""
        return type(self)(self._tools, namespace)

    def command(self, *arguments: object) -> list[str]:
        """Return the command as words; it works from any network namespace of the machine."""
        scope = [f"--namespace={self.namespace}"] if self.namespace else []
        words = [str(word) for word in arguments]
        config = f"--kubeconfig={kubeconfig('admin')}"
        return [*commands.inside(NAME), str(self._tools / "kubectl"), config, *scope, *words]

    def run(self, *arguments: object, stdin: str | None = None, timeout_s: float = 60.0) -> str:
        """Run to the end and return what it printed; raises ``BedFailure``."""
        return commands.run(*self.command(*arguments), stdin=stdin, timeout_s=timeout_s)

    def attempt(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run what may fail."""
        return commands.attempt(*self.command(*arguments))

    def apply(self, *objects: Object) -> None:
        """Create or change objects, server-side."""
        manifest = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))

    def apply_file(self, file: Path) -> None:
        """Create or change the objects of a YAML file, server-side."""
        self.run("apply", "--server-side", "-f", file)

    def get(self, kind: str, name: str) -> Object:
        """Return one object; raises ``BedFailure`` if there is none."""
        return cast("Object", json.loads(self.run("get", kind, name, "-o", "json")))

    def find(self, kind: str, name: str) -> Object | None:
        """Return one object, or None."""
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return cast("Object", json.loads(text)) if text.strip() else None

    def list(self, kind: str, selector: str = "") -> Sequence[Object]:
        """Return the objects of a kind, all or those with these labels."""
        text = self.run("get", kind, "-o", "json", f"--selector={selector}")
        return cast("Sequence[Object]", json.loads(text)["items"])

    def delete(self, kind: str, name: str, *options: str) -> None:
        """Delete an object without waiting until it is gone."""
        self.run("delete", kind, name, "--wait=false", *options)

    def execute(self, pod: str, *command: object, timeout_s: float = 60.0) -> str:
        """Run a command in a pod's first container and return what it printed."""
        return self.run("exec", pod, "--", *command, timeout_s=timeout_s)

    def wait_ready(self, pod: str, timeout_s: float = 120.0, *, not_uid: str = "") -> Object:
        """Wait until a pod is ready and return it.

        Args:
            pod: Its name.
            timeout_s: How long at most.
            not_uid: Do not take the pod with this uid: its successor is waited for.

        """

        def ready() -> Object | None:
            found = self.find("pod", pod)
            if found is None or found["metadata"]["uid"] == not_uid:
                return None
            return found if is_ready(found) else None

        return wait_until(f"pod {pod} is ready", ready, timeout_s, poll_s=0.3)


def is_ready(item: Object) -> bool:
    """Tell whether a pod or a node says that it is ready."""
    conditions = item.get("status", {}).get("conditions", [])
    return any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)
