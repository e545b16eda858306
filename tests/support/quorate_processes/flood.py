"""A client that offers as much as the cluster takes, and checks every answer as it comes."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from quorate.client.cluster_client import ClusterClient
from quorate.errors import IngressBackPressure

BURST = 256
MESSAGE_BYTES = 100
FLOOD_SERVICE = "quorate.examples.echo:Echo"
"""What the cluster has to run: each message is answered with itself."""


class Flood:
    """A closed loop inside its block; counts what was answered, each once and in order."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        """Send to the cluster at these client addresses."""
        self.answered = 0
        self.wrong: bytes | None = None
        """The first answer that was not the next one due."""
        self._addresses = addresses
        self._client: ClusterClient
        self._is_sending = True
        self._sender: asyncio.Task[None]
        self._wanted = 0
        self._reached = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open the session and begin to send."""
        self._client = await ClusterClient.connect(
            self._addresses, name="flood", on_egress=self._on_egress, timeout=30.0
        )
        self._sender = asyncio.create_task(self._send(), name="flood sends")
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

    def _on_egress(self, sequence: int, message: bytes) -> None:
        self.answered += 1
        if message != _message(self.answered) and self.wrong is None:
            self.wrong = message
        if self.answered == self._wanted:
            self._reached.set()

    async def _send(self) -> None:
        client, number = self._client, 1
        while self._is_sending:
            if not client.can_offer:
                await client.ready()
            try:
                for _ in range(BURST):
                    client.offer(_message(number))
                    number += 1
            except IngressBackPressure:
                # Answers come first.
                continue
            await asyncio.sleep(0)

    async def take(self, more: int, timeout_s: float = 60.0) -> None:
        """Wait for that many more answers."""
        self._wanted = self.answered + more
        self._reached.clear()
        async with asyncio.timeout(timeout_s):
            await self._reached.wait()

    async def finish(self, timeout_s: float = 60.0) -> None:
        """Stop sending, wait for every answer, and see that each was the one due."""
        self._is_sending = False
        await self._sender
        async with asyncio.timeout(timeout_s):
            await self._client.flush()
        assert self.wrong is None, self.wrong[:20]
        assert self.answered == self._client.last_sequence


def _message(number: int) -> bytes:
    return b"%0*d" % (MESSAGE_BYTES, number)
