"""Who may stay connected to the control port, and who has to make room."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from quorate.control import connections
from quorate.control.connections import ControlConnections

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class World:
    """A server that answers when it is told to, and what it has refused."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()
        self.table = ControlConnections(self.refused.append)
        self.server = web.Server(self.handle)
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.Response:
        with self.table.answering(request.protocol):
            self.asked.set()
            await self.answer.wait()
            return web.Response(text="fine")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


def run(story: Callable[[World], Awaitable[None]]) -> None:
    async def served() -> None:
        loop = asyncio.get_running_loop()
        here = World()
        listener = await loop.create_server(lambda: here.table.accept(here.server), "127.0.0.1", 0)
        here.port = listener.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(20):
                await story(here)
        finally:
            listener.close()
            here.table.close()
            await here.server.shutdown(1.0)

    asyncio.run(served())


def test_the_longest_idle_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 2)

    async def story(here: World) -> None:
        spoken, spoken_writer = await here.connect()
        spoken_writer.write(REQUEST)
        assert b"200" in await spoken.readline()
        silent, silent_writer = await here.connect()
        newest, newest_writer = await here.connect()
        newest_writer.write(REQUEST)
        assert b"200" in await newest.readline()
        assert here.refused == ["connections"]
        assert b"fine" in await spoken.read(), "closed behind its answer"
        for writer in (spoken_writer, silent_writer, newest_writer):
            writer.transport.abort()
        del silent

    run(story)


def test_who_is_being_answered_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 1)

    async def story(here: World) -> None:
        here.answer.clear()
        asking, asking_writer = await here.connect()
        asking_writer.write(REQUEST)
        await here.asked.wait()
        refused, refused_writer = await here.connect()
        assert await refused.read() == b""
        assert here.refused == ["connections"]
        here.answer.set()
        assert b"200" in await asking.readline()
        for writer in (asking_writer, refused_writer):
            writer.transport.abort()

    run(story)


@pytest.mark.parametrize("name", ["FIRST_REQUEST_TIMEOUT_S", "IDLE_TIMEOUT_S"])
def test_half_a_request_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in ("FIRST_REQUEST_TIMEOUT_S", "IDLE_TIMEOUT_S"):
        monkeypatch.setattr(connections, other, 0.05 if other == name else 1000)

    async def story(here: World) -> None:
        reader, writer = await here.connect()
        if name == "IDLE_TIMEOUT_S":
            writer.write(REQUEST)
            assert b"200" in await reader.readline()
        writer.write(REQUEST[:-2])
        await reader.read()
        assert here.refused == ["silent"]
        writer.transport.abort()

    run(story)


def test_nobody_is_called_silent_whose_request_is_being_answered() -> None:
    """A long poll lasts longer than a first request may take to come."""

    async def story(here: World) -> None:
        here.answer.clear()
        reader, writer = await here.connect()
        while not here.table._idle:  # noqa: ASYNC110
            await asyncio.sleep(0)
        (judgement,) = here.table._idle.values()
        writer.write(REQUEST)
        await here.asked.wait()
        assert judgement.cancelled()
        assert not here.table._idle
        here.answer.set()
        assert b"200" in await reader.readline()
        writer.transport.abort()

    run(story)


def test_who_has_gone_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_TIMEOUT_S", 1000)

    async def story(here: World) -> None:
        for _ in range(3):
            _, writer = await here.connect()
            writer.transport.abort()
        reader, writer = await here.connect()
        writer.write(REQUEST)
        assert b"200" in await reader.readline()
        while len(here.table._open) > 1 or len(here.table._idle) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        writer.transport.abort()

    run(story)
