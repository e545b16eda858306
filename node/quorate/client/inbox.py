"""Egress that waits for ``receive``: bounded, with the connection's reading as its valve."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from quorate.errors import ServiceError

INBOX_BYTES_MAX: Final = 8 * 1024 * 1024
"""Bytes waiting above which the client reads no more from the cluster."""
AWAITED_BYTES_MAX: Final = 8 * INBOX_BYTES_MAX
"""The same while somebody waits for what comes behind them."""
UNCLAIMED_MESSAGES_MAX: Final = 1024
"""Messages kept for an application that has never called ``receive``, of so many bytes at most,
the last one always."""
_MESSAGE_OVERHEAD: Final = 64


class ReceivedMessage(NamedTuple):
    """One message from the service."""

    ingress_sequence: int
    """Of the message in whose apply step it was produced; 0 for a timer or session event."""
    message: bytes
    error: ServiceError | None = None
    """Set when the service's callback failed for that message; ``message`` is empty then."""


class Inbox:
    """Received messages in order, until somebody takes them."""

    def __init__(self, on_full: Callable[[bool], None]) -> None:
        """Begin empty.

        Args:
            on_full: Called with True when reading should stop and with False when it may go on.

        """
        self.unclaimed = 0
        """Messages dropped, oldest first, because nobody ever called ``receive``."""
        self._on_full = on_full
        self._messages: deque[ReceivedMessage] = deque()
        self._bytes = 0
        self.is_full = False
        """More waits than there is room for: read nothing that can wait as well."""
        self._is_claimed = False
        self._ended: Exception | None = None
        self._is_ended = False
        self._arrived = asyncio.Event()

    def put(self, message: ReceivedMessage) -> None:
        """Add one message."""
        self._messages.append(message)
        self._bytes += len(message.message) + _MESSAGE_OVERHEAD
        if not self._is_claimed:
            messages = self._messages
            while len(messages) > 1 and (
                len(messages) > UNCLAIMED_MESSAGES_MAX or self._bytes > INBOX_BYTES_MAX
            ):
                self._take()
                self.unclaimed += 1
        elif self._bytes > INBOX_BYTES_MAX and not self.is_full:
            self.is_full = True
            self._on_full(True)
        self._arrived.set()

    @property
    def is_overfull(self) -> bool:
        """Whether there is no room even for what comes before that which somebody waits for."""
        return self._bytes > AWAITED_BYTES_MAX

    def end(self, error: Exception | None) -> None:
        """Nothing more comes; ``error`` is raised behind the last message, None ends quietly."""
        self._is_ended = True
        self._ended = error
        self._arrived.set()

    async def get(self) -> ReceivedMessage | None:
        """Wait for the next message; None when the session was closed by its owner.

        Raises:
            SessionClosed: The session has ended otherwise.

        """
        self._is_claimed = True
        while not self._messages:
            if self._ended is not None:
                raise self._ended
            if self._is_ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._take()

    def _take(self) -> ReceivedMessage:
        message = self._messages.popleft()
        self._bytes -= len(message.message) + _MESSAGE_OVERHEAD
        if self.is_full and self._bytes <= INBOX_BYTES_MAX // 2:
            self.is_full = False
            self._on_full(False)
        return message
