"""Applies a log again in other processes, whose ``str`` and ``bytes`` hash to other values.

Members of a cluster are processes, each with a hash seed of its own. So a set of names has another
order on each of them, and one order within a process, where no second run finds the difference.
"""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - from us to our own child, and nothing is kept
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from quorate.service.api import ClusteredService
from quorate.testing.determinism import AppliedFrame, NonDeterministic

HASH_SEEDS: Final = (1, 2, 3)
"""Two names in a set have the same order in every second process: one look were not enough."""
_STDERR_CHARACTERS: Final = 2_000
_ADVICE: Final = (
    "look for the order of a set, for hash() and id(), and for what this test has changed outside "
    "of the service, which other processes do not know"
)


def compare_in_other_processes(
    make_service: Callable[[], ClusteredService],
    applied: Sequence[AppliedFrame],
    snapshot: bytes,
    limit_s: float,
) -> None:
    """Apply the log in one process after the other and compare throughout.

    Args:
        make_service: Makes a service in its first state; other processes import it by its name.
        applied: The log, with what came of each frame.
        snapshot: Taken behind the last frame.
        limit_s: For each process, in seconds.

    Raises:
        NonDeterministic: A digest, an outbox or the last snapshot differs.
        TypeError: ``make_service`` has no name by which another process could import it.
        RuntimeError: The service cannot be imported or run there, or takes too long.

    """
    job = (_by_name(make_service), tuple(applied), snapshot)
    for seed in HASH_SEEDS:
        difference = _run(pickle.dumps((seed, *job)), seed, limit_s)
        if difference:
            raise NonDeterministic(f"{difference}; {_ADVICE}")


def _by_name(make_service: Callable[[], ClusteredService]) -> bytes:
    """Return what another process finds the same callable by."""
    refusal = TypeError(
        f"another process cannot import {make_service!r}: give a class or a function that stands "
        "in a module"
    )
    if getattr(make_service, "__module__", "") == "__main__":
        raise refusal
    try:
        return pickle.dumps(make_service)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise refusal from error


def _run(job: bytes, seed: int, limit_s: float) -> str:
    path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "quorate.testing.replay"],
            input=job,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(seed)},
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(
            f"another process did not apply the log within {limit_s:g} s: give it more"
        ) from error
    if ended.returncode:
        told = ended.stderr.decode(errors="replace")[-_STDERR_CHARACTERS:]
        raise RuntimeError(f"the service does not run in another process:\n{told}")
    return ended.stdout.decode()
