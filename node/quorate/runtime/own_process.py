"""Keeps the author's code from ending, doubling or replacing the member's process unseen.

``os._exit`` runs nothing on its way out: no line in the log, and a code of the author's choice. 0
would pass for an end as asked, after which every supervisor starts the member again, to end at the
same message. The child of an ``os.fork`` that returns into the loop goes on as the same member,
with the same sockets, the same recording and the lock on it. What ``os.execv`` leaves has the
process id of a member and is none.

Other programs (``subprocess``) are started by other calls, which close all that is the member's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from quorate.runtime.events import Event, log_event
from quorate.runtime.exit_codes import ExitCode

LOGGER = logging.getLogger("quorate.runtime")
REFUSED: Final = ("fork", "forkpty", "execv", "execve")
"""What doubles or replaces the process; the others of ``os`` and ``multiprocessing`` use these."""


@contextmanager
def kept_whole() -> Iterator[None]:
    """Refuse those calls of ``os`` in this process for as long as the block runs.

    A call that is refused raises ``RuntimeError``, as any other mistake of a callback. ``os._exit``
    ends the process all the same, with a line that says so and the code of a service that failed.
    """
    replaced: dict[str, Callable[..., object]] = {name: _refuse(name) for name in REFUSED}
    replaced["_exit"] = _exit_told(os._exit)
    originals = {name: getattr(os, name) for name in replaced}
    for name, replacement in replaced.items():
        setattr(os, name, replacement)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(*_arguments: object, **_named: object) -> NoReturn:
        raise RuntimeError(
            f"os.{name} is not for the process of a member: what came of it would share or lose "
            "its sockets and recording; let another process be a client of the cluster"
        )

    return refuse


def _exit_told(original: Callable[[int], NoReturn]) -> Callable[[int], NoReturn]:
    def exit_told(status: int) -> NoReturn:
        LOGGER.error("the service's code ended the process here", stack_info=True)
        detail = (
            f"the service's code ended the process with os._exit({status!r}): correct the service"
        )
        code = ExitCode.SERVICE_FAILED
        log_event(LOGGER, Event.MEMBER_HALTED, exit_code=int(code), detail=detail)
        original(code)

    return exit_told
