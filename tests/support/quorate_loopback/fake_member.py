"""A member that says one thing to whoever connects, or nothing at all."""

from __future__ import annotations

import asyncio

from quorate.config import join_address


class FakeMember(asyncio.Protocol):
    """One connection of it."""

    def __init__(self, says: bytes) -> None:
        self._says = says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._says)


async def fake_member(says: bytes = b"") -> tuple[asyncio.Server, str]:
    """Return a listening one and its address."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: FakeMember(says), "127.0.0.1", 0)
    return server, join_address(*server.sockets[0].getsockname()[:2])
