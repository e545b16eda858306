"""What the kernel tells of processes and of the machine, from ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of the first line of ``/proc/stat``: user, nice, system, hard and soft interrupts; and time
# in which another guest had the core.
_BUSY = (1, 2, 3, 6, 7)
_STEAL = 8


def process_seconds(pid: int) -> float:
    """Return the processor time of a process, user and system, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB, pages of files included."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def busy_seconds() -> float:
    """Return the processor time of everything on this machine since its start, in seconds."""
    fields = _machine_ticks()
    return sum(fields[index] for index in _BUSY) / _TICKS_PER_S


def stolen_seconds() -> float:
    """Return how long, since the start of the machine, its host ran others on our cores."""
    return _machine_ticks()[_STEAL] / _TICKS_PER_S


def _machine_ticks() -> list[int]:
    with Path("/proc/stat").open(encoding="utf-8") as file:
        return [0, *map(int, file.readline().split()[1:])]
