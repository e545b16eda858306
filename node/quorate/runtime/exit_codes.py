"""What the exit code of a member says to whoever supervises it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes of ``quorate run``; the other verbs use 0, 1 and 2."""

    ASKED = 0
    FAILED = 1
    CONFIGURATION = 2
    FOREIGN_DATA = 3
    STORAGE_FAILED = 4
    DAMAGED = 5
    INVARIANT_BROKEN = 6
    SERVICE_FAILED = 7
    """The service cannot start, a callback failed and the cluster's policy is to halt, or its code
    ended the process."""

    @property
    def meaning(self) -> str:
        """What it says, in a few words."""
        return _MEANINGS[self]

    @property
    def restart_helps(self) -> bool:
        """Whether a supervisor should start the member again: restart and replay cures it.

        A bad configuration, foreign or damaged data, a broken invariant and a service that
        halts at a message are the same after a restart; a human has to look.
        """
        return self in (ExitCode.ASKED, ExitCode.FAILED, ExitCode.STORAGE_FAILED)


_MEANINGS = {
    ExitCode.ASKED: "asked to end, or done",
    ExitCode.FAILED: "failed",
    ExitCode.CONFIGURATION: "bad configuration or arguments",
    ExitCode.FOREIGN_DATA: "data directory of another cluster or member, or in use",
    ExitCode.STORAGE_FAILED: "storage failed",
    ExitCode.DAMAGED: "damaged and not repairable alone",
    ExitCode.INVARIANT_BROKEN: "a broken invariant: a bug, or a disk that lied",
    ExitCode.SERVICE_FAILED: "the service failed in a way that no restart cures",
}


def describe_exit(code: int) -> str:
    """Return words for what a process ended with; negative for a signal, as asyncio tells it."""
    if code < 0:
        return f"signal {-code}"
    known = next((item for item in ExitCode if item == code), None)
    return f"exit code {code}: {known.meaning}" if known is not None else f"exit code {code}"
