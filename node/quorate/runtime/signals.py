"""What asks a member to end, and the end while there is nothing yet to end in good order."""

from __future__ import annotations

import signal
from types import FrameType

from quorate.runtime.exit_codes import ExitCode

END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class AskedToEnd(SystemExit):
    """A signal asked the process to end; an author's ``sys.exit`` is something else."""


def exit_when_asked() -> None:
    """Exit at once when asked to, until the member's loop takes the signals over.

    A process without a handler is not ended by SIGTERM if it is process 1 of a container: the
    kernel drops the signal, and the container is killed when its grace period has passed. So
    this comes before anything that takes long, imports included.
    """
    for number in END_SIGNALS:
        signal.signal(number, _exit_at_once)


def _exit_at_once(_number: int, _frame: FrameType | None) -> None:
    raise AskedToEnd(ExitCode.ASKED)
