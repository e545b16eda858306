"""When a member that ended is started again."""

from __future__ import annotations

from quorate.runtime.exit_codes import ExitCode

FIRST_DELAY_S = 0.1
DELAY_MAX_S = 5.0
_DOUBLINGS_MAX = 10
"""Beyond the longest delay; without a bound the power overflows after a thousand failures."""
STEADY_S = 10.0
"""A member that ran this long was well: its next end counts as a first one."""


class RestartPolicy:
    """Doubles the delay from failure to failure, and stops where a restart cannot help.

    A member that has run with its file and then calls it bad found something else amiss: somebody
    sits on its port for the moment, or its service is being edited. That can end by itself, and the
    member's place is not to stay empty when it has.
    """

    def __init__(self) -> None:
        """Begin without failures."""
        self._failures = 0
        self._has_run = False

    def delay_after(self, exit_code: int, ran_s: float) -> float | None:
        """Return the seconds to wait before the next start, None for no start at all.

        Args:
            exit_code: As asyncio tells it: negative for a signal.
            ran_s: How long the process ran.

        """
        is_bad = exit_code == ExitCode.CONFIGURATION
        can_pass = is_bad and self._has_run
        self._has_run = self._has_run or not is_bad
        if not can_pass and any(exit_code == code and not code.restart_helps for code in ExitCode):
            return None
        self._failures = 0 if ran_s >= STEADY_S else self._failures + 1
        doublings = min(max(0, self._failures - 1), _DOUBLINGS_MAX)
        return min(DELAY_MAX_S, FIRST_DELAY_S * 2.0**doublings)
