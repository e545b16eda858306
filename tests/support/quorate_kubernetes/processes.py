"""Starts the cluster's processes and ends exactly these, also from a later process.

A record on disk holds pid and start time of each. Only a process whose pid *and* start time match
is signalled: pids are given out again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from quorate_kubernetes.commands import inside
from quorate_kubernetes.layout import LOGS, NAME, RECORDS, STATE, SUPPORT
from quorate_kubernetes.waiting import wait_until

KILL_TIMEOUT_S = 10.0


def start(name: str, argv: Sequence[object], namespace: str = NAME) -> None:
    """Start a process in a network namespace and record it; its output goes to a log."""
    command = inside(namespace) + [str(word) for word in argv]
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=quiet_environment() | {"HOME": str(STATE), "PYTHONPATH": str(SUPPORT)},
        )
    (RECORDS / name).write_text(f"{process.pid} {_start_time(process.pid)}")
    # It outlives this process when a person runs `up`; without this its destructor would warn.
    process.returncode = 0


def quiet_environment() -> dict[str, str]:
    """Return this environment without proxies: nothing in the cluster is behind one."""
    return {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }


def recorded() -> list[str]:
    """Return the names of all processes that were started and not stopped."""
    return sorted(path.name for path in RECORDS.glob("*"))


def pid_of(name: str) -> int | None:
    """Return the pid of a recorded process; None when it has ended."""
    try:
        pid, start_time = (RECORDS / name).read_text().split()
    except FileNotFoundError:
        return None
    return int(pid) if _start_time(int(pid)) == start_time else None


def kill(name: str) -> None:
    """Kill a recorded process and wait until it is gone; does nothing when it is."""
    pid = pid_of(name)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        wait_until(f"{name} (pid {pid}) is dead", lambda: _has_ended(name), KILL_TIMEOUT_S)
    (RECORDS / name).unlink(missing_ok=True)


def _has_ended(name: str) -> bool:
    pid = pid_of(name)
    if pid is not None:
        # Not our child when an earlier run of this command started it: init takes it then.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return pid_of(name) is None


def _start_time(pid: int) -> str | None:
    """Return when the process started, in clock ticks; None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]
