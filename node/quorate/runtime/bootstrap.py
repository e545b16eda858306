"""The process of one member: start, run until the end, and the exit code that says why."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Coroutine
from functools import partial

import uvloop

from quorate.archive.library_sync import hold_sync_signal
from quorate.clock import SystemClock
from quorate.config import NodeConfig
from quorate.consensus.effects import HaltCode
from quorate.control.admin import read_token
from quorate.control.server import ControlServer
from quorate.errors import ConfigurationError, QuorateError, ServiceFailed
from quorate.runtime import garbage
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.assembly import Ends, Prepared, assemble, prepare
from quorate.runtime.control_port import MemberControl
from quorate.runtime.credentials import Credential
from quorate.runtime.events import Event, log_event
from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.hanging_turns import HangingTurns
from quorate.runtime.lifecycle import exit_code_of, shut_down
from quorate.runtime.member import Member
from quorate.runtime.own_process import kept_whole
from quorate.runtime.signals import END_SIGNALS, AskedToEnd, exit_when_asked, was_asked

LOGGER = logging.getLogger("quorate.runtime")
ANY_HOST = ""
"""asyncio listens on all interfaces for an empty host."""
SWITCH_INTERVAL_S = 0.0005
"""How long the loop keeps the interpreter while one of the archive's threads wants it: with
Python's 5 ms a vote or a new segment waits several times for a busy loop."""


def run_member(config: NodeConfig) -> int:
    """Run one member until it is asked to end or cannot go on; return the exit code.

    Args:
        config: Valid, as ``cli`` has resolved it.

    Returns:
        See ``ExitCode``; what went wrong has been logged in one line.

    Raises:
        AskedToEnd: Asked to end before the member had begun to listen; nothing is under way.

    Blocking: for the life of the member.

    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    hold_sync_signal()
    exit_when_asked()
    try:
        log_event(LOGGER, Event.MEMBER_STARTED, seat=config.member.seat)
        with kept_whole():
            prepared = prepare(config)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_Process(prepared).run())
    except BaseExceptionGroup as group:
        # A task that fails in the moment of a halt is told beside it, and says less: why this
        # member ended has been logged, and its code says whether a restart helps.
        error: BaseException = group.subgroup(_HaltedError) or group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return error.code if isinstance(error, _HaltedError) else _log_end(error)
    except AskedToEnd:
        raise
    except (SystemExit, KeyboardInterrupt) as error:
        # Signals do not raise these: the author's code did, and its code of success would lie.
        LOGGER.exception("the service's code ended the process here")
        detail = f"the service's code ended the process with {error!r}: correct the service"
        return _log_end(ServiceFailed(detail))
    except (QuorateError, AssertionError, OSError, MemoryError) as error:
        return _log_end(error)


def _log_end(error: BaseException) -> int:
    code = exit_code_of(error)
    detail = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        detail = "out of memory: give this process more, or have the service keep less"
    log_event(LOGGER, Event.MEMBER_HALTED, exit_code=int(code), detail=detail)
    if code is ExitCode.INVARIANT_BROKEN:
        LOGGER.error("this is a bug in Quorate, please report it", exc_info=error)
    return int(code)


class _HaltedError(Exception):
    """The member has halted and said why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Process:
    """One member on its loop, from listening to the end."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._config = prepared.config
        self._asked = asyncio.Event()
        self._failed: asyncio.Future[int]
        """Has the exit code once the member cannot go on; whoever set it has logged why."""
        self._tasks: asyncio.TaskGroup
        self._running: set[asyncio.Task[object]] = set()

    async def run(self) -> int:
        """Run to the end; return the exit code."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        loop.set_exception_handler(self._on_unhandled)
        for number in END_SIGNALS:
            loop.add_signal_handler(number, self._asked.set)
        if was_asked():
            self._asked.set()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            ends = Ends(self._halt, self._fail)
            member = assemble(self._prepared, SystemClock(), loop, self._spawn, ends)
            token = Credential(partial(read_token, self._config.control.token_file))
            server = ControlServer(MemberControl(member), member.metrics, token=token)
            await self._listen(member, server, tasks)
            garbage.settle()
            with self._hanging_turns(member.agent):
                await self._unless_failed(self._asked.wait(), "wait to be asked")
                log_event(LOGGER, Event.MEMBER_STOPPING, seat=self._config.member.seat)
                await self._unless_failed(shut_down(member), "shut down")
            log_event(LOGGER, Event.MEMBER_STOPPED, seat=self._config.member.seat)
            await server.close()
            for task in self._running:
                task.cancel()
        return ExitCode.ASKED

    def _hanging_turns(self, agent: ConsensusAgent) -> HangingTurns:
        return HangingTurns(
            lambda: agent.turn_began_ns,
            self._config.member.callback_alarm_ms * 1_000_000,
            seat=self._config.member.seat,
            thread_id=threading.get_ident(),
        )

    async def _unless_failed(self, work: Coroutine[object, object, object], name: str) -> None:
        """Do this to its end, unless the member fails meanwhile."""
        task = self._tasks.create_task(work, name=name)
        await asyncio.wait((task, self._failed), return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            # Leaving the task group by an exception cancels all that runs: nothing is sent or
            # written any more, and the writer's thread ends with the process.
            raise _HaltedError(self._failed.result())

    async def _listen(
        self, member: Member, server: ControlServer, tasks: asyncio.TaskGroup
    ) -> None:
        config = self._config
        host, port = config.control_listen
        try:
            await server.start(host, port)
            host, port = config.member_listen
            await member.links.start(host or ANY_HOST, port, tasks)
            host, port = config.client_listen
            await member.gateway.start(host, port)
        except OSError as error:
            text = f"cannot listen on {host or 'all interfaces'}, port {port}: {error.strerror}"
            raise ConfigurationError([text]) from error
        own = config.own_seat
        log_event(
            LOGGER,
            Event.LISTENING,
            seat=own.seat,
            client=own.client_address,
            member=own.name,
            control=own.control_address,
            syncs=member.writer.sync_mode,
        )

    def _halt(self, code: HaltCode, _detail: str) -> None:
        if not self._failed.done():
            self._failed.set_result(int(code))

    def _fail(self, error: BaseException) -> None:
        """End because of an error that nobody can handle."""
        if not self._failed.done():
            self._failed.set_result(_log_end(error))

    def _on_unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            self._fail(error)
        else:
            loop.default_exception_handler(context)

    def _spawn(self, coroutine: Coroutine[object, object, None], name: str) -> None:
        task: asyncio.Task[object] = self._tasks.create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
