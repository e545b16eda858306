"""Runs commands, on this machine or in one of the cluster's network namespaces."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from quorate_kubernetes.failures import BedFailure

TIMEOUT_S = 60.0
TAIL = 800
"""Characters of a failed command's output that its error repeats."""


def inside(namespace: str) -> list[str]:
    """Return the words before a command that runs in this network namespace.

    Not ``ip netns exec``: that mounts ``/sys`` anew and so hides the cgroups.
    """
    return ["nsenter", f"--net=/run/netns/{namespace}"]


def run(*argv: object, stdin: str | None = None, timeout_s: float = TIMEOUT_S) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        BedFailure: It failed, or took longer than ``timeout_s``.

    """
    result = attempt(*argv, stdin=stdin, timeout_s=timeout_s)
    if result.returncode:
        raise BedFailure(
            f"exit code {result.returncode} of: {shown(argv)}\n"
            f"{(result.stdout + result.stderr)[-TAIL:].strip()}"
        )
    return result.stdout


def attempt(
    *argv: object, stdin: str | None = None, timeout_s: float = TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail.

    Raises:
        BedFailure: It took longer than ``timeout_s``, or does not exist.

    """
    try:
        return subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BedFailure(f"no end within {timeout_s:.0f} s: {shown(argv)}") from error
    except FileNotFoundError as error:
        raise BedFailure(
            f"{argv[0]} is not installed; `make e2e` installs what it needs"
        ) from error


def shown(argv: Sequence[object]) -> str:
    """Return a command as a person would type it, cut to a line."""
    text = " ".join(str(word) for word in argv)
    return text if len(text) < 300 else f"{text[:300]}…"
