"""What a person is told whose address is not that of a member's control port."""

from __future__ import annotations

import asyncio
import socket

import pytest

from quorate.control.client import ControlClient
from quorate.errors import NotConnected, RemoteProtocolError


async def ask(address: str) -> None:
    async with asyncio.timeout(30), ControlClient() as client:
        await client.status(address)


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
