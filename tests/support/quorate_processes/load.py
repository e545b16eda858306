"""A client that never stops: one session, numbered messages, every answer kept."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from quorate_processes.journal import expected_answers
from quorate_processes.sending import Sending

RATE_PER_S = 2_000
TURN_S = 0.005


class Load(Sending):
    """Offers messages at a steady rate inside its block; knows what was answered."""

    def __init__(
        self, addresses: tuple[str, ...], rate_per_s: int = RATE_PER_S, message_bytes: int = 0
    ) -> None:
        """Send messages of at least so many bytes to the cluster at these client addresses."""
        super().__init__(addresses)
        self.answers: list[bytes] = []
        self.sent: list[bytes] = []
        self._per_turn = max(1, int(rate_per_s * TURN_S))
        self._message_bytes = message_bytes
        self._receiver: asyncio.Task[None]
        self._progress = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Open the session and begin to send."""
        await super().__aenter__()
        self._receiver = asyncio.create_task(self._receive(), name="load receives")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop sending and close the session."""
        self._receiver.cancel()
        await super().__aexit__(kind, error, traceback)

    async def _send(self) -> None:
        # Pacing, not waiting for something: the rate is the input of the test.
        while self._is_sending:
            for _ in range(self._per_turn):
                if not self._client.can_offer:
                    await self._client.ready()
                message = (b"message %d" % (len(self.sent) + 1)).ljust(self._message_bytes)
                self.sent.append(message)
                self._client.offer(message)
            await asyncio.sleep(TURN_S)

    async def _receive(self) -> None:
        async for received in self._client.receive():
            assert received.error is None, received
            self.answers.append(received.message)
            if len(self.answers) % self._per_turn == 0 or not self._is_sending:
                async with self._progress:
                    self._progress.notify_all()

    async def answered(self, more: int, timeout_s: float = 30.0) -> None:
        """Wait until that many more messages have been answered."""
        wanted = len(self.answers) + more
        async with asyncio.timeout(timeout_s), self._progress:
            await self._progress.wait_for(lambda: len(self.answers) >= wanted)

    async def finish(self, timeout_s: float = 30.0) -> None:
        """Stop sending, wait for every answer, and compare all with what they must be."""
        await self._stop(timeout_s)
        await self.answered(len(self.sent) - len(self.answers), timeout_s)
        expected = list(expected_answers(self.sent))
        assert len(self.answers) == len(expected), (len(self.answers), len(expected))
        assert self.answers == expected, "an answer differs: a message was lost, doubled or moved"
