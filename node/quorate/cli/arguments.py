"""Values of options that have limits; a wrong one ends in the usage and exit code 2."""

from __future__ import annotations

import argparse
import math

from quorate.consensus.types import LogPosition


def seconds(text: str) -> float:
    """Read a time to wait, above 0 and not without end.

    Raises:
        ArgumentTypeError: It is none.

    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def whole_seconds(text: str) -> int:
    """Read a time to wait in whole seconds, 1 at least; raises as ``seconds``."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds above 0")
    return int(text)


def log_position(text: str) -> LogPosition:
    """Read a position in the log, 0 at least; raises as ``seconds``."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a log position, a number from 0 on")
    return LogPosition(int(text))
