"""What a person is told whose address is not that of a member's control port."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from quorate.control import client
from quorate.control.client import ControlClient
from quorate.control.status import STATUS_BYTES_MAX, encode_status
from quorate.errors import NotConnected, RemoteProtocolError
from quorate_runtime.control import STATUS, world


async def ask(address: str) -> None:
    async with asyncio.timeout(30), ControlClient() as asking:
        await asking.status(address)


def test_a_port_where_nobody_listens_is_told_in_the_systems_words() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(NotConnected) as raised:
            asyncio.run(ask(address))
    assert str(raised.value) == f"no answer from a member at {address}: Connection refused"


def test_a_name_that_nobody_knows_is_told_so() -> None:
    with pytest.raises(NotConnected) as raised:
        asyncio.run(ask("no-such-host.invalid:9030"))
    told = str(raised.value)
    assert told.startswith("no answer from a member at no-such-host.invalid:9030: ")
    assert "[" not in told
    assert "ssl" not in told


def test_a_port_of_another_protocol_is_told_in_one_line() -> None:
    """Such as the member's port for the other members, one number below."""

    async def scenario() -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b">\0\0\0\3\1\0\0")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            with pytest.raises(RemoteProtocolError) as raised:
                await ask(f"{host}:{port}")
        expected = "does not speak HTTP: name the control address of a member"
        assert str(raised.value) == f"{host}:{port} {expected}"

    asyncio.run(scenario())


def test_a_port_that_hangs_up_is_told_in_the_words_of_the_library() -> None:
    async def scenario() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            with pytest.raises(NotConnected) as raised:
                await ask(f"{host}:{port}")
        words = f"no answer from a member at {host}:{port}: Server disconnected"
        assert str(raised.value) == words

    asyncio.run(scenario())


def test_a_port_that_does_not_answer_in_time_is_told_by_the_name_of_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A time limit says nothing of its own."""
    monkeypatch.setattr(client, "ANSWER_TIMEOUT_S", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NotConnected) as raised:
            asyncio.run(ask(address))
    assert str(raised.value) == f"no answer from a member at {address}: TimeoutError"


@pytest.mark.parametrize("piece", [1, 100, 10_000])
def test_a_status_that_comes_in_pieces_is_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    read = aiohttp.StreamReader.read

    async def read_little(of: aiohttp.StreamReader, at_most: int = -1) -> bytes:
        return await read(of, min(piece, at_most))

    monkeypatch.setattr(aiohttp.StreamReader, "read", read_little)

    async def scenario() -> None:
        async with world() as here:
            assert await here.client.status(here.address) == STATUS

    asyncio.run(scenario())


def test_no_more_is_read_than_a_status_may_have() -> None:
    """Of an answer that announces more and never comes to its end."""
    body = encode_status(STATUS).ljust(STATUS_BYTES_MAX + 1)

    async def scenario() -> None:
        is_over = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
            writer.write(body)
            await reader.read()
            writer.close()
            is_over.set()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            with pytest.raises(RemoteProtocolError, match=f"more than {STATUS_BYTES_MAX} bytes"):
                await ask(f"{host}:{port}")
            await is_over.wait()

    asyncio.run(scenario())
