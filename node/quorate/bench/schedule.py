"""Lateness against a schedule: message ``index`` is due ``index / rate`` after the begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

_DIGITS = 3


def late_us(
    rows: Iterable[tuple[float, int]], *, began: float, rate: float, warm_up_s: float
) -> list[float]:
    """Return how long after its time each message was done with, in microseconds.

    Args:
        rows: Ascending pairs of a time in seconds and how many messages were done by then: sent,
            which tells how well the generator kept its schedule, or acknowledged, which is the
            latency of the cluster with every delay before the sending charged to it.
        began: When message 0 was due, on the clock of the rows.
        rate: Messages a second.
        warm_up_s: Messages due earlier than this are left out.

    """
    samples, before = list[float](), 0
    for at, count in rows:
        passed = at - began
        for index in range(before, count):
            due = index / rate
            if due >= warm_up_s:
                samples.append((passed - due) * 1e6)
        before = count
    return samples


def held(rows: Sequence[tuple[float, int]], *, began: float, rate: float, seconds: float) -> float:
    """Return which share of the messages due within ``seconds`` was done by then: 1 is all."""
    done = max((count for at, count in rows if at - began <= seconds), default=0)
    return done / (rate * seconds)


def histogram(samples: Iterable[float]) -> dict[int, int]:
    """Count samples by nanoseconds, rounded to three digits.

    Args:
        samples: In microseconds.

    """
    return dict(sorted(Counter(map(_rounded_ns, samples)).items()))


def _rounded_ns(sample_us: float) -> int:
    ns = max(0, round(sample_us * 1e3))
    return round(ns, _DIGITS - len(str(ns)))
