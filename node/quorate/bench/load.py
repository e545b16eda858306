"""The load generator: a process of its own that does one job and prints what it measured.

``python -m quorate.bench.load '<job as JSON>'`` prints one JSON object in its last line. Only
the process that offers the messages takes their times, so no clock of another process is
compared with its own, except for kills: CLOCK_MONOTONIC is one for the whole machine.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from quorate.bench.attacks import attack
from quorate.bench.closed_loop import connections, deep_window, lone_frames
from quorate.bench.job import Job, Result
from quorate.bench.open_loop import gaps, idle, idle_sessions, open_loop
from quorate.bench.slices import slices

_PR_SET_PDEATHSIG = 1

KINDS: dict[str, Callable[[Job], Awaitable[Result]]] = {
    "closed": deep_window,
    "lone-frames": lone_frames,
    "connections": connections,
    "idle": idle,
    "open": open_loop,
    "gaps": gaps,
    "idle-sessions": idle_sessions,
    "slices": slices,
    "attack": attack,
}


def main() -> int:
    """Do the job of the first argument; the second is the process to end with."""
    job = Job.decode(sys.argv[1])
    if len(sys.argv) > 2:  # noqa: PLR2004 - job and parent
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != int(sys.argv[2]):
            return 1
    os.nice(job.niceness)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_run(job))
    print(json.dumps(result))
    return 0


async def _run(job: Job) -> Result:
    return await KINDS[job.kind](job)


if __name__ == "__main__":
    sys.exit(main())
