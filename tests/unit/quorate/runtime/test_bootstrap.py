"""What ends a member's process, and the exit code that it ends with."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from quorate.config import (
    ArchiveConfig,
    ClusterConstants,
    ControlConfig,
    MemberConfig,
    NodeConfig,
    SeatAddress,
)
from quorate.consensus.effects import HaltCode
from quorate.consensus.types import ClusterId, Seat
from quorate.control.server import ControlServer
from quorate.errors import (
    ConfigurationError,
    CorruptRecord,
    ForeignData,
    ServiceFailed,
    StorageError,
)
from quorate.runtime import bootstrap, lifecycle
from quorate.runtime.assembly import prepare
from quorate.runtime.bootstrap import _HaltedError, _Process, run_member
from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.member import Member
from quorate.runtime.signals import AskedToEnd
from quorate_wire.member_links import PATIENCE_S, free_ports

HALTED = "member_halted"


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the names of what was logged as an event."""
    return [str(vars(record)["event"]) for record in caplog.records if hasattr(record, "event")]


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Leave what belongs to the whole process of the tests as it is."""
    monkeypatch.setattr(bootstrap.sys, "setswitchinterval", lambda _: None)
    monkeypatch.setattr(bootstrap, "hold_sync_signal", lambda: None)
    monkeypatch.setattr(bootstrap, "exit_when_asked", lambda: None)
    caplog.set_level(logging.INFO, "quorate")


def ends_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, *, early: bool) -> int:
    """Return the exit code of a member whose preparation or whose loop raises."""

    class Failing:
        def __init__(self, _: object) -> None:
            """Take what was prepared."""

        async def run(self) -> int:
            raise error

    def prepare_or_raise(_: NodeConfig) -> None:
        if early:
            raise error

    monkeypatch.setattr(bootstrap, "prepare", prepare_or_raise)
    monkeypatch.setattr(bootstrap, "_Process", Failing)
    return run_member(NodeConfig())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError(["x"]), ExitCode.CONFIGURATION),
        (ForeignData("x"), ExitCode.FOREIGN_DATA),
        (StorageError("x"), ExitCode.STORAGE_FAILED),
        (CorruptRecord("x"), ExitCode.DAMAGED),
        (ServiceFailed("x"), ExitCode.SERVICE_FAILED),
        (MemoryError(), ExitCode.FAILED),
        (OSError("x"), ExitCode.INVARIANT_BROKEN),
        (AssertionError(), ExitCode.INVARIANT_BROKEN),
        (SystemExit(0), ExitCode.SERVICE_FAILED),
        (KeyboardInterrupt(), ExitCode.SERVICE_FAILED),
    ],
)
@pytest.mark.parametrize("where", ["early", "loop", "task", "task of a task"])
def test_whatever_ends_a_member_is_logged_once_and_has_its_code(
    error: BaseException,
    code: ExitCode,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever it was raised; a task group tells what its tasks have raised in a group."""
    raised = error
    if isinstance(error, Exception):
        for _ in range(("task", "task of a task").index(where) + 1 if "task" in where else 0):
            raised = ExceptionGroup("tasks", [raised])  # type: ignore[list-item]
    assert ends_with(raised, monkeypatch, early=where == "early") == code
    assert events(caplog) == ["member_started", HALTED]
    (told,) = [record for record in caplog.records if vars(record).get("event") == HALTED]
    assert vars(told)["fields"]["exit_code"] == code
    assert vars(told)["fields"]["detail"], "an error without words has its name"
    is_memory = isinstance(error, MemoryError)
    assert ("out of memory" in vars(told)["fields"]["detail"]) == is_memory
    assert ("please report it" in caplog.text) == (code is ExitCode.INVARIANT_BROKEN)


def test_a_member_that_has_halted_says_why_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever halted it has logged the reason."""
    halted = ExceptionGroup("tasks", [_HaltedError(5)])
    assert ends_with(halted, monkeypatch, early=False) == ExitCode.DAMAGED
    assert HALTED not in events(caplog)


def test_a_halt_counts_for_more_than_what_fails_in_the_same_moment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that fails under a write and a read: a restart may help, and no human is called."""
    read = ExceptionGroup("reads", [CorruptRecord("cut short")])
    both = ExceptionGroup("tasks", [read, _HaltedError(ExitCode.STORAGE_FAILED)])
    assert ends_with(both, monkeypatch, early=False) == ExitCode.STORAGE_FAILED
    assert HALTED not in events(caplog)


def test_signals_are_heard_before_anything_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log may take minutes to read, and a supervisor may change its mind meanwhile."""
    done: list[str] = []

    def prepare_slowly(_: NodeConfig) -> None:
        done.append("prepared")
        raise StorageError("enough is known")

    monkeypatch.setattr(bootstrap, "exit_when_asked", lambda: done.append("heard"))
    monkeypatch.setattr(bootstrap, "prepare", prepare_slowly)
    assert run_member(NodeConfig()) == ExitCode.STORAGE_FAILED
    assert done == ["heard", "prepared"]


@pytest.mark.parametrize("early", [True, False])
def test_a_signal_before_there_is_a_member_ends_the_process_in_good_order(
    early: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AskedToEnd) as raised:
        ends_with(AskedToEnd(ExitCode.ASKED), monkeypatch, early=early)
    assert raised.value.code == ExitCode.ASKED
    assert HALTED not in events(caplog)


class Living:
    """A whole member in this process, alone in its cluster."""

    def __init__(self, config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.process = _Process(prepare(config))
        self.listens = asyncio.Event()
        self.has_stopped = False
        self.member: Member
        self.server: ControlServer
        assemble, make_server = bootstrap.assemble, bootstrap.ControlServer

        def noted(*args: Any, **named: Any) -> Member:  # noqa: ANN401 - as assembly has it
            self.member = assemble(*args, **named)
            return self.member

        def served(*args: Any, **named: Any) -> ControlServer:  # noqa: ANN401 - as it has them
            self.server = make_server(*args, **named)
            return self.server

        monkeypatch.setattr(bootstrap, "assemble", noted)
        monkeypatch.setattr(bootstrap, "ControlServer", served)
        # The last thing that is done before a member waits to be asked to end.
        monkeypatch.setattr(bootstrap.garbage, "settle", self.listens.set)

    async def end(self) -> None:
        """Let go of what a process that halts leaves to the system."""
        if self.has_stopped:
            return
        for port in (self.server, self.member.gateway, self.member.links):
            await port.close()
        with suppress(StorageError):
            await self.member.writer.close(clean=False)


Story = Callable[[Living], Awaitable[None]]


def make_config(directory: Path, ports: list[int], token_file: str = "") -> NodeConfig:
    client, member, control = ports
    seats = (SeatAddress(Seat(0), "127.0.0.1", client, member, control),)
    return NodeConfig(
        member=MemberConfig(
            cluster_id=ClusterId(b"c" * 16),
            seat=Seat(0),
            seats=seats,
            data_dir=str(directory / "data"),
            service="quorate.examples.echo:Echo",
        ),
        control=ControlConfig(token_file=token_file),
        archive=ArchiveConfig(spares=1),
        constants=ClusterConstants(segment_length=1 << 18, frame_bytes_max=1 << 16),
    )


def live(config: NodeConfig, story: Story, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the exit code of a member to which this happens once it listens."""

    async def lived() -> int:
        living = Living(config, monkeypatch)
        running = asyncio.ensure_future(living.process.run())
        listens = asyncio.ensure_future(living.listens.wait())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.wait((running, listens), return_when=asyncio.FIRST_COMPLETED)
                if not running.done():
                    await story(living)
                code = await running
                living.has_stopped = True
                return code
        except ExceptionGroup as group:
            (error,) = group.exceptions
            if not isinstance(error, _HaltedError):
                raise
            return error.code
        finally:
            listens.cancel()
            await living.end()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(lived())


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_member_that_is_asked_to_end_does_so_in_good_order(
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By each of the signals that ask for it; others stand for them, which pytest does not take."""
    monkeypatch.setattr(bootstrap, "END_SIGNALS", (signal.SIGUSR1, signal.SIGUSR2))

    async def ask(_: Living) -> None:
        os.kill(os.getpid(), number)

    config = make_config(tmp_path, free_ports(3))
    assert live(config, ask, monkeypatch) == ExitCode.ASKED
    told = events(caplog)
    ports = told.index("listening")
    assert told[ports:] == ["listening", "member_stopping", "member_stopped"]


def test_a_member_on_loopback_listens_there_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else on the network is to reach a cluster that somebody tries out."""
    monkeypatch.setattr(bootstrap, "END_SIGNALS", ())
    hosts: list[str] = []

    async def look(living: Living) -> None:
        for port in (living.server, living.member.links, living.member.gateway):
            listener = port._server
            assert listener is not None
            hosts.extend(socket.getsockname()[0] for socket in listener.sockets)
        living.process._asked.set()

    assert live(make_config(tmp_path, free_ports(3)), look, monkeypatch) == ExitCode.ASKED
    assert hosts == ["127.0.0.1"] * 3


@pytest.mark.parametrize("is_stopping", [False, True])
def test_what_halts_a_member_first_is_what_it_ends_with(
    is_stopping: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also while it is ending in good order; it must not wait for that then."""
    monkeypatch.setattr(bootstrap, "END_SIGNALS", ())

    async def halt(living: Living) -> None:
        if is_stopping:
            stays = asyncio.Event()

            async def wait(*_: object) -> None:
                living.process._halt(HaltCode.DAMAGED, "told to")
                await stays.wait()

            monkeypatch.setattr(lifecycle, "hand_over", wait)
            living.process._asked.set()
        else:
            living.process._halt(HaltCode.DAMAGED, "told to")
            living.process._halt(HaltCode.STORAGE_FAILED, "a later one")
            living.process._fail(StorageError("a later one"))

    config = make_config(tmp_path, free_ports(3))
    assert live(config, halt, monkeypatch) == ExitCode.DAMAGED
    assert HALTED not in events(caplog), "whoever halts it says why"
    assert "member_stopped" not in events(caplog)


def test_what_a_callback_of_the_loop_raises_ends_the_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop would only log it, and a member of which a part is dead would go on."""
    monkeypatch.setattr(bootstrap, "END_SIGNALS", ())

    async def fail(_: Living) -> None:
        def broken() -> None:
            raise CorruptRecord("a rotten frame")

        asyncio.get_running_loop().call_soon(broken)

    config = make_config(tmp_path, free_ports(3))
    assert live(config, fail, monkeypatch) == ExitCode.DAMAGED
    assert "a rotten frame" in str(vars(caplog.records[-1])["fields"])


@pytest.mark.parametrize("taken", [0, 1, 2], ids=["client", "member", "control"])
def test_a_port_that_is_taken_is_named(
    taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "END_SIGNALS", ())
    ports = free_ports(3)

    async def nothing(_: Living) -> None:
        raise AssertionError("it must not come to listen")

    async def occupied() -> asyncio.Server:
        return await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", ports[taken])

    with asyncio.Runner() as other:
        server = other.run(occupied())
        with pytest.raises(ExceptionGroup) as raised:
            live(make_config(tmp_path, ports), nothing, monkeypatch)
        server.close()
        other.run(asyncio.sleep(0))
    (error,) = raised.value.exceptions
    assert isinstance(error, ConfigurationError)
    assert f"cannot listen on 127.0.0.1, port {ports[taken]}: " in str(error)
