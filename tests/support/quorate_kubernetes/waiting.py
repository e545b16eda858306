"""Waits for conditions with a deadline, by asking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from quorate_kubernetes.failures import BedFailure

POLL_S = 0.1

_Value = TypeVar("_Value")


def wait_until(
    what: str, condition: Callable[[], _Value | None], timeout_s: float, poll_s: float = POLL_S
) -> _Value:
    """Return the first value of ``condition`` that is true.

    Args:
        what: What is waited for, as a sentence's end: ``node n2 is ready``.
        condition: Asked until it returns something true; an error that it raises passes through.
        timeout_s: At least one question is asked, however short.
        poll_s: Pause between two questions.

    Raises:
        BedFailure: It was false for all of ``timeout_s``.

    """
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise BedFailure(f"not so after {timeout_s:.0f} s: {what}")
        time.sleep(poll_s)
    return value
