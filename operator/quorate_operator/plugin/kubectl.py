"""Runs kubectl and reads what it prints."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from quorate_operator.errors import OperatorError

REQUEST_TIMEOUT_S = 10
"""Of one request to the API server; kubectl's own default is to wait for ever."""
SPARE_S = 20.0
"""For kubectl around its requests: discovery, and a credential helper that asks its user."""
KIND = "clusterservices.quorate.io"
"""In full: a short name may belong to another kind as well."""


class KubectlFailed(OperatorError):
    """kubectl is missing, did not answer in time, or refused; the message is its last line."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The kubectl on the path, with the options of its user."""

    options: Sequence[str] = ()

    def run(self, *arguments: str, timeout_s: float = 0.0) -> str:
        """Return what it prints.

        Args:
            arguments: Without the options that every call gets.
            timeout_s: How long this call may wait beyond its requests.

        Raises:
            KubectlFailed: Missing, no program, too slow, or ended with an error.

        Blocking: on the network, for at most ``timeout_s`` and half a minute.

        """
        program = shutil.which("kubectl")
        if program is None:
            raise KubectlFailed("there is no kubectl on the path")
        limit_s = timeout_s + REQUEST_TIMEOUT_S + SPARE_S
        try:
            ended = subprocess.run(  # noqa: S603 - the words come from our user, no shell reads them
                [program, *self.options, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",  # what a member says may be anything; readers refuse it in words
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            text = f"kubectl {arguments[0]}: no answer within {limit_s:.0f} s"
            raise KubectlFailed(text) from error
        except OSError as error:  # it is there, such as of another architecture, and does not start
            raise KubectlFailed(f"{program} cannot be run: {error.strerror}") from error
        if ended.returncode:
            lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            raise KubectlFailed(f"kubectl {arguments[0]}: {lines[-1]}")
        return ended.stdout

    def read(self, *arguments: str) -> object:
        """Return the JSON that it prints.

        Raises: as ``run``, and if it is not JSON.
        """
        text = self.run(*arguments, f"--request-timeout={REQUEST_TIMEOUT_S}s")
        try:
            body: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise KubectlFailed(f"kubectl {arguments[0]}: what it printed is no JSON") from error
        return body

    def cluster(self, name: str) -> object:
        """Return the ClusterService of this name."""
        return self.read("get", KIND, name, "--output=json")
