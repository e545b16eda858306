"""Waits that grow from one time to the next."""

from __future__ import annotations

_TIMES_MAX = 20
"""Beyond the longest wait of all who ask; without a bound the power overflows within days."""


def grown_s(first_s: float, times: int, most_s: float, by: float = 2.0) -> float:
    """Return a wait that has grown by this factor so many times, in seconds, up to the most."""
    return min(first_s * by ** min(times, _TIMES_MAX), most_s)


def spread_s(most_s: float, chance: float) -> float:
    """Leave the upper half of a wait to chance, from 0 to 1, so that many do not wake as one."""
    return most_s * (0.5 + chance / 2)
