"""One life of one member's process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from quorate.runtime.events import Event

MEMBER_COMMAND = (sys.executable, "-m", "quorate", "run")
_TAIL_BYTES = 8192


class MemberProcess:
    """A running or ended process; started with ``start``."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, log_start: int) -> None:
        """Use ``start``."""
        self._process = process
        self._log = log
        self._log_start = log_start

    @classmethod
    async def start(cls, command: Sequence[str], config: Path, log: Path) -> MemberProcess:
        """Start a member with this file; what it prints goes behind the log's end.

        The process gets a session of its own, so that Ctrl-C reaches the supervisor only and
        members end in order; it asks to end with the supervisor, should that be killed.
        Settings in the environment are for members started by hand and are not passed on.
        """
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("QUORATE_")
        }
        with log.open("ab") as output:
            log_start = output.tell()
            process = await asyncio.create_subprocess_exec(
                *command,
                "--config",
                str(config),
                "--parent",
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment,
            )
        return cls(process, log, log_start)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.returncode

    async def wait(self) -> int:
        """Return the exit code as soon as there is one."""
        return await self._process.wait()

    def send_signal(self, number: int) -> bool:
        """Send a signal; False when the process has ended."""
        if self._process.returncode is not None:
            return False
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return False
        return True

    def last_words(self) -> str:
        """Return what this life said last, empty for nothing.

        The line that says why it ends, if there is one: others of its end may come behind that.
        """
        try:
            with self._log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, end - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        reasons = [line for line in lines if f" {Event.MEMBER_HALTED.event_name}: " in line]
        return (reasons or lines or [""])[-1]
