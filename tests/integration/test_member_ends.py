"""How a member ends when it was asked to, and something fails meanwhile or instead."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from quorate.client.cluster_client import ClusterClient
from quorate.config import ClusterSettings, OnError
from quorate.control import client as client_module
from quorate.dev import watch
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevOptions
from quorate.errors import QuorateError, ServiceError
from quorate.runtime.exit_codes import ExitCode
from quorate_processes.cluster import SUPPORT

SERVICE = "quorate_processes.failing:EndsItsProcess"


@asynccontextmanager
async def _alone(directory: Path) -> AsyncIterator[tuple[DevCluster, ClusterClient]]:
    """A cluster of one that halts at a failing callback, and a client of it."""
    os.environ["PYTHONPATH"] = str(SUPPORT)
    settings = ClusterSettings(on_error=OnError.HALT)
    options = DevOptions(directory=directory, service=SERVICE, members=1, settings=settings)
    async with asyncio.timeout(60), DevCluster(options, restart=False) as cluster:
        await cluster.wait_leader()
        client = await ClusterClient.connect(cluster.client_addresses, name="c")
        assert await client.request(b"x") == b"x"
        try:
            yield cluster, client
        finally:
            await client.close(timeout=0.1)


def _log(cluster: DevCluster) -> str:
    return cluster.directory.log_path(cluster.seats[0]).read_text()


def test_a_service_is_told_when_its_member_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with _alone(tmp_path) as (cluster, client):
            await client.close()
            (seat,) = cluster.seats
            cluster.kill(seat, signal.SIGTERM)
            assert await cluster.wait_exit(seat) == ExitCode.ASKED
            assert _log(cluster).count("the service was told that its member ends") == 1

    asyncio.run(run())


def test_what_fails_while_a_member_ends_is_told_like_any_other_time(tmp_path: Path) -> None:
    """The client stays, so the member waits for it to leave; then its message ends the member."""

    async def run() -> None:
        async with _alone(tmp_path) as (cluster, client):
            (seat,) = cluster.seats
            cluster.kill(seat, signal.SIGTERM)
            await cluster.wait_until(
                lambda: "leadership goes first" in _log(cluster), 20, "the end"
            )
            client.offer(b"bad")
            assert await cluster.wait_exit(seat) == ExitCode.SERVICE_FAILED
            assert "on_error is halt" in _log(cluster)

    asyncio.run(run())


def test_a_service_that_does_not_return_is_told_of_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORATE_MEMBER__CALLBACK_ALARM_MS", "400")

    async def run() -> None:
        async with _alone(tmp_path) as (cluster, client):
            client.offer(b"hang")
            while "does not end" not in _log(cluster):  # noqa: ASYNC110 - asks a process
                await asyncio.sleep(0.05)
            told = next(line for line in _log(cluster).splitlines() if "does not end" in line)
            assert "on_session_message (" in told
            cluster.kill_all()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("message", "code", "told"),
    [
        pytest.param(b"leave", ExitCode.SERVICE_FAILED, "SystemExit", id="leaves its process"),
        pytest.param(b"leave", ExitCode.SERVICE_FAILED, "in on_session_message", id="says where"),
        pytest.param(b"vanish", ExitCode.SERVICE_FAILED, "os._exit(0)", id="ends without a word"),
        pytest.param(b"vanish", ExitCode.SERVICE_FAILED, "in on_session_message", id="... where"),
        pytest.param(b"fork", ExitCode.SERVICE_FAILED, "os.fork is not for", id="forks"),
        pytest.param(b"crash", -signal.SIGSEGV, "in on_session_message", id="crashes"),
        pytest.param(b"hoard", ExitCode.FAILED, "out of memory", id="lacks memory"),
    ],
)
def test_what_the_service_does_to_its_process_is_named_and_is_no_success_and_no_bug(
    tmp_path: Path, message: bytes, code: int, told: str
) -> None:
    async def run() -> None:
        async with _alone(tmp_path) as (cluster, client):
            client.offer(message)
            (seat,) = cluster.seats
            assert await cluster.wait_exit(seat) == code
            assert told in _log(cluster)
            assert "bug" not in _log(cluster)

    asyncio.run(run())


def test_a_member_that_was_to_fork_goes_on_as_one(tmp_path: Path) -> None:
    """The message has failed, as for any other mistake, and the member serves on."""

    async def run() -> None:
        os.environ["PYTHONPATH"] = str(SUPPORT)
        options = DevOptions(directory=tmp_path, service=SERVICE, members=3)
        async with asyncio.timeout(60), DevCluster(options, restart=False) as cluster:
            await cluster.wait_leader()
            async with ClusterClient.connect(cluster.client_addresses, name="c") as client:
                with pytest.raises(ServiceError):
                    await client.request(b"fork")
                assert await client.request(b"x") == b"x"
                statuses = await cluster.statuses()
                assert all(status is not None for status in statuses.values())

    asyncio.run(run())


def test_an_ask_to_end_that_other_code_has_caught_is_not_lost(tmp_path: Path) -> None:
    """Or the member runs on, and is killed when its grace period has passed."""

    async def run() -> None:
        os.environ["PYTHONPATH"] = str(SUPPORT)
        service = "quorate_processes.failing:IsAskedMeanwhile"
        options = DevOptions(directory=tmp_path, service=service, members=1)
        cluster = DevCluster(options, restart=False)
        with pytest.raises(QuorateError, match="asked to end"):
            async with asyncio.timeout(30), cluster:
                raise AssertionError("the member runs on")
        assert _log(cluster).index("caught AskedToEnd(") < _log(cluster).index("member_stopped")

    asyncio.run(run())


def test_a_member_that_falls_silent_and_comes_back_is_told_to_who_sits_in_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may not return, or the process is frozen: neither can say so itself."""
    monkeypatch.setattr(watch, "POLL_S", 1)
    monkeypatch.setattr(watch, "SILENT_S", 0.1)
    monkeypatch.setattr(client_module, "ANSWER_TIMEOUT_S", 1.0)
    told: list[str] = []

    async def run() -> None:
        os.environ["PYTHONPATH"] = str(SUPPORT)
        options = DevOptions(directory=tmp_path, service=SERVICE, members=1)
        async with (
            asyncio.timeout(60),
            DevCluster(options, lambda event: told.append(event.text)) as cluster,
        ):
            (seat,) = cluster.seats
            await cluster.wait_leader()
            cluster.kill(seat, signal.SIGSTOP)
            await _until_told(told, "member 0 runs and has not answered for")
            cluster.kill(seat, signal.SIGCONT)
            await _until_told(told, "member 0 answers again")
            log = cluster.directory.log_path(seat)
            assert any(line.endswith(f"see its log {log}") for line in told)

    asyncio.run(run())


async def _until_told(told: list[str], text: str) -> None:
    while not any(line.startswith(text) for line in told):  # noqa: ASYNC110 - no condition tells
        await asyncio.sleep(0.02)
