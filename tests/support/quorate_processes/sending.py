"""What clients that send on their own have in common: a session and a task inside a block."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from quorate.client.cluster_client import ClusterClient

OPEN_TIMEOUT_S = 30.0


class Sending:
    """A session inside its block, and the task that sends; both end with it."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        """Send to the cluster at these client addresses."""
        self._addresses = addresses
        self._client: ClusterClient
        self._is_sending = True
        self._sender: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Open the session and begin to send."""
        self._client = await self._connect()
        self._sender = asyncio.create_task(self._send(), name="sends")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop sending and close the session."""
        self._sender.cancel()
        await self._client.close()

    async def _connect(self) -> ClusterClient:
        return await ClusterClient.connect(self._addresses, timeout=OPEN_TIMEOUT_S)

    async def _send(self) -> None:
        raise NotImplementedError

    async def _stop(self, timeout_s: float) -> None:
        """Stop sending, and wait until everything sent is acknowledged."""
        self._is_sending = False
        await self._sender
        async with asyncio.timeout(timeout_s):
            await self._client.flush()
