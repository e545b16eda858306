"""A client that offers as much as the cluster takes, and checks every answer as it comes."""

from __future__ import annotations

import asyncio

from quorate.client.cluster_client import ClusterClient
from quorate.errors import IngressBackPressure
from quorate_processes.sending import OPEN_TIMEOUT_S, Sending

BURST = 256
MESSAGE_BYTES = 100
FLOOD_SERVICE = "quorate.examples.echo:Echo"
"""What the cluster has to run: each message is answered with itself."""


class Flood(Sending):
    """A closed loop inside its block; counts what was answered, each once and in order."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        """Send to the cluster at these client addresses."""
        super().__init__(addresses)
        self.answered = 0
        self.wrong: bytes | None = None
        """The first answer that was not the next one due."""
        self._wanted = 0
        self._reached = asyncio.Event()

    async def _connect(self) -> ClusterClient:
        return await ClusterClient.connect(
            self._addresses, name="flood", on_egress=self._on_egress, timeout=OPEN_TIMEOUT_S
        )

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
        await self._stop(timeout_s)
        assert self.wrong is None, self.wrong[:20]
        assert self.answered == self._client.last_sequence


def _message(number: int) -> bytes:
    return b"%0*d" % (MESSAGE_BYTES, number)
