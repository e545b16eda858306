"""What asks a member to end, and the end while there is nothing yet to end in good order."""

from __future__ import annotations

import signal
from types import FrameType

from quorate.runtime.exit_codes import ExitCode

END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


_heard: list[int] = []
"""The numbers of the signals that have raised."""


class AskedToEnd(SystemExit):
    """A signal asked the process to end; an author's ``sys.exit`` is something else."""


def exit_when_asked() -> None:
    """Exit at once when asked to, until the member's loop takes the signals over.

    A process without a handler is not ended by SIGTERM if it is process 1 of a container: the
    kernel drops the signal, and the container is killed when its grace period has passed. So
    this comes before anything that takes long, imports included.

    What the signal raises may come up in code that catches everything, such as in a library or in
    the author's module as it is imported: ``was_asked`` tells of it all the same.
    """
    for number in END_SIGNALS:
        signal.signal(number, _exit_at_once)


def was_asked() -> bool:
    """Tell whether a signal has asked since the last look: who still runs then has to end."""
    asked = bool(_heard)
    _heard.clear()
    return asked


def _exit_at_once(number: int, _frame: FrameType | None) -> None:
    _heard.append(number)
    raise AskedToEnd(ExitCode.ASKED)
