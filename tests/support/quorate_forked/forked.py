"""A part of a test in a process of its own, with one thread and a signal mask of its own."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

import pytest


def forked(part: Callable[[], object]) -> None:
    """Run ``part`` in a forked process; what it prints goes where the test's output goes.

    Raises:
        pytest.fail.Exception: It raised, or the process was ended.

    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            part()
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it must not go on as a second pytest
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    try:
        _, outcome = os.waitpid(pid, 0)
    except BaseException:
        # The test's time is over: nothing may go on behind it.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    if outcome:
        pytest.fail(f"the forked part ended with {os.waitstatus_to_exitcode(outcome)}: see above")
