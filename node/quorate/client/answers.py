"""Who waits for what: requests for their answers, others for acknowledgements or credit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quorate.client.session_events import Ended
from quorate.errors import OutcomeUnknown, ServiceError, SessionClosed


class Answers:
    """The futures of one client; each is resolved exactly once, or was cancelled before."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_untaken: Callable[[int, bytes | ServiceError], None] = lambda _sequence, _answer: None,
    ) -> None:
        """Begin with nobody waiting.

        Args:
            loop: Of the futures.
            on_untaken: Given the sequence and answer of a request that was given up in the very
                turn of the loop in which it was answered: it came, and is not to be lost.

        """
        self.requests: dict[int, asyncio.Future[bytes | None]] = {}
        """By ingress sequence, ascending."""
        self._loop = loop
        self._on_untaken = on_untaken
        # Whoever gives up takes its place with it: what it waits for may never come.
        self._acknowledgements: dict[asyncio.Future[None], int] = {}
        self._credit: dict[asyncio.Future[None], None] = {}

    async def answer(self, sequence: int) -> bytes | None:
        """Wait for the first answer to a message; None if it is applied without any."""
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        self.requests[sequence] = future
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._hand_back(sequence, future)
            raise
        finally:
            self.requests.pop(sequence, None)

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(self.requests or self._acknowledgements or self._credit)

    async def acknowledged(self, sequence: int) -> None:
        """Wait until a message is acknowledged."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._acknowledgements[future] = sequence
        try:
            await future
        finally:
            self._acknowledgements.pop(future, None)

    async def credit(self) -> None:
        """Wait until there may be credit."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._credit[future] = None
        try:
            await future
        finally:
            self._credit.pop(future, None)

    def resolve(self, sequence: int, payload: bytes) -> bool:
        """Answer a request; tell whether anybody waited for it."""
        future = self.requests.pop(sequence, None)
        if future is None or future.done():
            return False
        future.set_result(payload)
        return True

    def fail(self, sequence: int, error: ServiceError) -> bool:
        """Fail a request; tell whether anybody waited for it."""
        future = self.requests.pop(sequence, None)
        if future is None or future.done():
            return False
        future.set_exception(error)
        return True

    def on_acknowledged(self, sequence: int) -> None:
        """Everything up to here is applied: whoever has no answer by now gets none."""
        requests = self.requests
        while requests and (first := next(iter(requests))) <= sequence:
            future = requests.pop(first)
            if not future.done():
                future.set_result(None)
        for waiter, awaited in self._acknowledgements.items():
            if awaited <= sequence and not waiter.done():
                waiter.set_result(None)

    def on_credit(self, *, has_credit: Callable[[], bool]) -> None:
        """Wake who waits for credit, if there is any."""
        if self._credit and has_credit():
            for waiter in self._credit:
                if not waiter.done():
                    waiter.set_result(None)

    def end(self, ended: Ended) -> None:
        """Nothing more will be answered."""
        for sequence, request in self.requests.items():
            if not request.done():
                request.set_exception(end_error(ended, sequence))
        for waiter, sequence in self._acknowledgements.items():
            if not waiter.done():
                waiter.set_exception(end_error(ended, sequence))
        self.on_credit(has_credit=lambda: True)

    def _hand_back(self, sequence: int, future: asyncio.Future[bytes | None]) -> None:
        answer = future.exception() or future.result()
        if isinstance(answer, bytes | ServiceError):
            self._on_untaken(sequence, answer)


def end_error(ended: Ended, sequence: int) -> OutcomeUnknown | SessionClosed:
    """Return what the end of the session means for a message without acknowledgement."""
    if sequence <= ended.ingress_sent:
        return OutcomeUnknown(
            f"the session has ended ({ended.reason}) with message {sequence} unanswered: "
            "it may or may not be applied"
        )
    return SessionClosed(ended.reason)
