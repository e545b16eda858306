"""Rare branches that a run must have reached, or its silence would prove nothing.

Each mark says in how many walks (or seeds) it may at most stay away: a run that is shorter is
not asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping

WALK_MARKS: Mapping[str, int] = {
    "election won": 50,
    "proposed": 50,
    "report without a match": 50,
    "read from the recording": 100,
    "stepped down": 100,
    "fired campaign": 100,
    "fired check_quorum": 100,
    "fired election": 100,
    "fired heartbeat": 100,
    "fired stand": 100,
    "founded": 200,
    "founding completed": 200,
    "transfer begun": 200,
    "token sent": 200,
    "stood with a token": 200,
    "transfer completed": 200,
    "transfer aborted": 200,
    "conflict truncated": 200,
    "unsynced tail lost": 300,
    "unanimous ballot": 400,
    "damaged": 300,
    "fired transfer": 1000,
    "wiped": 1000,
    "cure completed": 4000,
    "divergence found": 10_000,
}

TIMED_MARKS: Mapping[str, int] = {
    "election won": 3,
    "report without a match": 30,
    "conflict truncated": 40,
    "stepped down": 60,
    "power cut of all": 60,
    "token sent": 60,
    "transfer completed": 60,
    "tail lost by a disk": 100,
    "disk nearly full": 60,
    "log full": 300,
    "cure completed": 150,
    "unanimous ballot": 200,
}


def missing(marks: Mapping[str, int], reached: Mapping[str, int], runs: int) -> list[str]:
    """Return the marks that so many runs should have reached and have not."""
    return sorted(name for name, within in marks.items() if runs >= within and not reached[name])
