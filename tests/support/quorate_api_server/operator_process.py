"""The operator as a process of its own, against an API server of the tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_LIMIT_S = 20.0
_PORT = re.compile(r'"message": "started", "port": (\d+)')


@dataclass(frozen=True, slots=True)
class OperatorProcess:
    """One that was started."""

    process: subprocess.Popen[bytes]
    log: Path

    def page(self, path: str) -> str:
        """Return a page of its port; empty if it does not answer."""
        found = _PORT.search(self.log.read_text())
        if found is None:
            return ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}{path}", timeout=5) as answer:
                text: bytes = answer.read()
        except (urllib.error.URLError, OSError):
            return ""
        return text.decode()

    def is_leader(self) -> bool:
        """Return whether it says that it holds the lease."""
        return "quorate_operator_is_leader 1.0" in self.page("/metrics")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_LIMIT_S)


@contextmanager
def operator_process(
    kubeconfig: Path, log: Path, *, namespace: str, resync_s: int = 60
) -> Iterator[OperatorProcess]:
    """Run one on any free port; it is killed afterwards if it still runs."""
    command = [
        *(sys.executable, "-m", "quorate_operator"),
        *("--host", "127.0.0.1", "--port", "0", "--resync-s", str(resync_s)),
        *("--kubeconfig", str(kubeconfig), "--namespace", namespace),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(os.environ))
    try:
        yield OperatorProcess(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_LIMIT_S)


def until(condition: Callable[[], bool], what: str, limit_s: float = 45.0) -> None:
    """Wait for a condition of another process.

    Raises:
        AssertionError: It is not met within the limit.

    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(0.1)
