"""Everything is looked at each interval; the definition is waited for and its version read."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate_fake_api.virtual_loop import VirtualClock, run_virtually
from quorate_operator.errors import Gone, Unavailable
from quorate_operator.kube.api import Api
from quorate_operator.kube.kinds import Kind
from quorate_operator.planning.observed import Body
from quorate_operator.queue import Key, Verdict, WorkQueue
from quorate_operator.resync import Resync

WORDS = st.text() | st.integers().map(str) | st.integers(1, 6000).map(lambda count: "7" * count)
"""What an annotation may hold: anything, and digits beyond what Python reads as a number."""


class Server:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.version: str | None = "1"
        self.error: Exception | None = None
        self.is_served = True
        self.looks = 0

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body:
        assert name == "clusterservices.quorate.io"
        if self.error is not None:
            raise self.error
        annotations: dict[str, Any] = {"quorate.io/schema-version": self.version}
        return {"metadata": {"annotations": annotations}}

    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Body]:
        assert namespace is None, "they may be in any"
        self.looks += 1
        if not self.is_served:
            raise Gone("the server could not find the requested resource")
        return [{"metadata": {"namespace": "ns", "name": name}} for name in self.names]


def resync_of(server: Server) -> tuple[Resync, WorkQueue]:
    queue = WorkQueue(VirtualClock(), lambda: 0.5)
    return Resync(cast("Api", server), queue, 60.0), queue


async def run_for(resync: Resync, seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(resync.run())
        await asyncio.sleep(seconds)
        task.cancel()


def test_every_key_that_exists_or_is_remembered_is_woken_each_interval() -> None:
    async def story() -> None:
        server = Server()
        server.names = ["a", "b"]
        resync, queue = resync_of(server)
        queue.wake(Key("ns", "ghost"))
        await run_for(resync, 185.0)
        assert server.looks == 4
        assert {key.name for key in queue.schedule.known()} == {"a", "b", "ghost"}

    run_virtually(story())


def test_a_key_that_is_gone_is_forgotten_though_nobody_told_of_it() -> None:
    """A watch may miss the end of a resource; its members would be asked for ever."""

    async def story() -> None:
        server = Server()
        resync, queue = resync_of(server)

        async def work(key: Key) -> Verdict:
            return Verdict(forget=key.name not in server.names)

        server.names = ["a", "b"]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(resync.run()),
                group.create_task(queue.run(work, at_once_max=2)),
            ]
            await asyncio.sleep(30.0)
            assert {key.name for key in queue.schedule.known()} == {"a", "b"}
            server.names = ["a"]
            await asyncio.sleep(61.0)
            assert {key.name for key in queue.schedule.known()} == {"a"}
            for task in tasks:
                task.cancel()

    run_virtually(story())


@pytest.mark.parametrize("version", ["0", "", None])
def test_a_definition_that_is_set_back_is_noticed(version: str | None) -> None:
    async def story() -> None:
        server = Server()
        resync, _ = resync_of(server)
        await resync.wait_until_served()
        assert resync.is_schema_current()
        server.version = version
        await run_for(resync, 1.0)
        assert not resync.is_schema_current()

    run_virtually(story())


def test_a_look_that_fails_is_tried_again_soon() -> None:
    async def story() -> None:
        server = Server()
        server.error = Unavailable("away")
        resync, queue = resync_of(server)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(resync.run())
            await asyncio.sleep(100.0)
            server.error, server.names = None, ["a"]
            await asyncio.sleep(6.0)
            assert Key("ns", "a") in queue.schedule
            task.cancel()

    run_virtually(story())


@pytest.mark.parametrize(
    ("version", "is_current"),
    [("1", True), ("2", True), ("0", False), ("", False), ("x", False), (None, False)],
)
def test_an_older_schema_is_not_current(version: str | None, *, is_current: bool) -> None:
    async def story() -> None:
        server = Server()
        server.version = version
        resync, _ = resync_of(server)
        assert not resync.is_schema_current(), "nothing is believed before it was read"
        await resync.wait_until_served()
        assert resync.is_schema_current() is is_current

    run_virtually(story())


@given(WORDS)
def test_whatever_stands_in_the_annotation_is_a_version_or_none(version: str) -> None:
    async def story() -> None:
        server = Server()
        server.version = version
        resync, _ = resync_of(server)
        await resync.wait_until_served()
        assert 0 <= resync.schema_version < 10**19
        assert resync.schema_version == 0 or int(version) == resync.schema_version

    run_virtually(story())


@pytest.mark.parametrize("is_there", [False, True], ids=["not there", "not served yet"])
def test_the_definition_is_waited_for(*, is_there: bool) -> None:
    """Watching before it is served ends the process."""

    async def story() -> None:
        server = Server()
        server.error = None if is_there else Gone("no such definition")
        server.is_served = not is_there
        resync, _ = resync_of(server)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(resync.wait_until_served())
            await asyncio.sleep(10_000.0)
            assert not task.done()
            server.error, server.is_served = None, True
            await asyncio.sleep(5.1)
            assert task.done()

    run_virtually(story())


def test_the_log_says_what_is_waited_for_once_and_again_when_it_is_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing else tells why a new operator does nothing; and in hours it says it once."""

    async def story() -> None:
        server = Server()
        server.error = Gone("no such definition")
        resync, _ = resync_of(server)
        async with asyncio.TaskGroup() as group:
            group.create_task(resync.wait_until_served())
            await asyncio.sleep(3600.0)
            server.error, server.is_served = None, False
            await asyncio.sleep(3600.0)
            server.is_served = True

    run_virtually(story())
    first, second = (record.getMessage() for record in caplog.records if record.levelname != "INFO")
    assert "clusterservices.quorate.io: no such definition" in first
    assert "could not find the requested resource" in second


def test_the_log_says_that_a_look_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Without looks, what a watch lost is lost."""

    async def story() -> None:
        server = Server()
        server.error = Unavailable("away")
        resync, _ = resync_of(server)
        await run_for(resync, 1.0)

    run_virtually(story())
    (record,) = caplog.records
    assert (record.levelname, "away" in record.getMessage()) == ("WARNING", True)
