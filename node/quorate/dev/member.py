"""One seat of the cluster: its present process, and whether and when it gets the next one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from quorate.consensus.types import Seat
from quorate.dev.process import MemberProcess
from quorate.dev.restarts import RestartPolicy
from quorate.errors import NotConnected
from quorate.runtime.exit_codes import ExitCode, describe_exit

CRASHES: Final = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
)
"""What ends a process in compiled code; its last words are then those of ``faulthandler``."""


class SupervisedMember:
    """Starts a member, and starts it again as long as that can help."""

    def __init__(
        self,
        seat: Seat,
        command: Sequence[str],
        *,
        config: Path,
        log: Path,
        tell: Callable[[str, Seat], None],
        on_change: Callable[[Seat, bool], Awaitable[None]],
    ) -> None:
        """Prepare; ``start`` comes first, then ``supervise`` in a task of its own.

        Args:
            seat: Its place.
            command: Starts the process; the file is added.
            config: The member's TOML file.
            log: Where its output goes.
            tell: Told in one line what happens.
            on_change: Awaited with whether the process runs, after each start and end.

        """
        self.seat = seat
        self.log = log
        self.restarting = True
        self.given_up = ""
        """Why no restart helps; empty while one may."""
        self.stays_down = ""
        """How it ended, when nobody starts it again unasked: given up, or not restarting."""
        self.starts = 0
        self._command = tuple(command)
        self._config = config
        self._tell = tell
        self._on_change = on_change
        self._policy = RestartPolicy()
        self._process: MemberProcess | None = None
        self._wanted = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.exit_code is None else None

    async def start(self) -> None:
        """Start the process."""
        self._wanted.clear()
        self._process = await MemberProcess.start(self._command, self._config, self.log)
        self.starts += 1
        await self._on_change(self.seat, True)

    async def supervise(self) -> None:
        """Wait for the process and start it again; return once it ended after ``stop``."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            code = await self.wait()
            if self._stopping.is_set():
                return
            delay_s = self._judge(code, loop.time() - began)
            await self._on_change(self.seat, False)
            if not await self._start_after(delay_s):
                return

    async def _start_after(self, delay_s: float | None) -> bool:
        """Start the next process, however often that takes; False if it is not wanted any more.

        What the system refuses now, such as a process more, it may grant later, and the other
        members are not to end for it.
        """
        while True:
            try:
                async with asyncio.timeout(delay_s):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            if self._stopping.is_set():
                return False
            try:
                await self.start()
            except OSError as error:
                delay_s = self._policy.delay_after(ExitCode.FAILED, 0.0)
                text = (
                    f"member {self.seat} cannot be started: {error}; trying again in {delay_s:g} s"
                )
                self._tell(text, self.seat)
            else:
                if self._stopping.is_set():
                    # Whoever stopped it saw no process to signal; this one has hardly begun.
                    self.stop(signal.SIGKILL)
                return True

    def _judge(self, code: int, ran_s: float) -> float | None:
        """Say how the process ended; return the delay before the next, None for none."""
        assert self._process is not None, "only an ended process is judged"
        delay_s = self._policy.delay_after(code, ran_s)
        ended = f"member {self.seat} ended ({describe_exit(code)})"
        if code > 0 and (words := self._process.last_words()):
            ended = f"{ended}: {words}"
        elif -code in CRASHES:
            ended = f"{ended}: it crashed, its log {self.log} says where"
        if delay_s is None:
            self.given_up = self.stays_down = ended
            self._tell(f"{self.given_up}; it stays down, its log is {self.log}", self.seat)
            return None
        if not self.restarting:
            self.stays_down = ended
            self._tell(f"{ended}; it stays down until asked for", self.seat)
            return None
        self._tell(f"{ended}; starting it again in {delay_s:g} s", self.seat)
        return delay_s

    async def wait(self) -> int:
        """Return the exit code of the present or last process when it has ended."""
        assert self._process is not None, "started before anyone waits"
        return await self._process.wait()

    def want(self) -> None:
        """Start the next process now, if there is none."""
        if self.pid is None:
            self.given_up = self.stays_down = ""
            self._wanted.set()

    def kill(self, number: signal.Signals) -> None:
        """Send a signal.

        Raises:
            NotConnected: The member does not run.

        """
        if self._process is None or not self._process.send_signal(number):
            raise NotConnected(f"member {self.seat} does not run")

    def stop(self, number: signal.Signals | None = None) -> bool:
        """Start it no more and send a signal, if one is given; tell whether it runs."""
        self._stopping.set()
        self._wanted.set()
        if self._process is None or self._process.exit_code is not None:
            return False
        return number is None or self._process.send_signal(number)
