"""A client that says exactly what a test tells it to, and how tests with one run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

import uvloop

from quorate.config import split_address
from quorate.protocol.batch import decode_egress_batch, encode_ingress_batch
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    EGRESS_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Credit,
    Egress,
    Ingress,
    Open,
    Opened,
)
from quorate_loopback.cluster import LoopbackCluster
from quorate_loopback.service import ParrotService

T = TypeVar("T", bound=ClientLinkMessage)
KEY = b"k" * 16
PATIENCE_S = 30.0


class RawClient:
    """A connection that says exactly what it is told to."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._splitter = MessageSplitter(EGRESS_MESSAGE_BYTES_MAX)
        self._heard: list[ClientLinkMessage] = []
        self.session_id = 0
        self.opened: Opened | None = None

    async def __aenter__(self) -> Self:
        host, port = split_address(self._address)
        self.reader, self.writer = await asyncio.open_connection(host, port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.writer.transport.abort()

    def say(self, *messages: ClientLinkMessage) -> None:
        self.writer.write(b"".join(map(encode_message, messages)))

    def say_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> ClientLinkMessage | None:
        """Return the next message; None at the end of the connection."""
        while not self._heard:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    data = await self.reader.read(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._heard += [decode_message(raw) for raw in self._splitter.feed(data)]
        return self._heard.pop(0)

    async def expect(self, kind: type[T]) -> T:
        """Return the next message of this type; skip credit and bare acknowledgements."""
        while True:
            message = await self.hear()
            if isinstance(message, kind):
                return message
            assert isinstance(message, Credit | Egress), f"{message} instead of {kind.__name__}"

    async def expect_end(self) -> list[ClientLinkMessage]:
        """Return everything up to the end of the connection."""
        messages = []
        while (message := await self.hear()) is not None:
            messages.append(message)
        return messages

    def open(self, session_id: int = 0, *, received: int = 0, key: bytes = KEY) -> None:
        self.say(Open(1, 1, ANY_CLUSTER, key, session_id, received, 0, "raw"))

    async def attach(self, session_id: int = 0, *, received: int = 0, key: bytes = KEY) -> Opened:
        self.open(session_id, received=received, key=key)
        self.opened = await self.expect(Opened)
        self.session_id = self.opened.cluster_session_id
        return self.opened

    def ingress(self, first: int, *messages: bytes, acknowledged: int = 0) -> None:
        batch = encode_ingress_batch(messages)
        self.say(Ingress(self.session_id, first, acknowledged, len(messages), batch))

    async def answers(self, count: int) -> list[tuple[int, bytes]]:
        """Return that many egress messages with their egress sequence."""
        found: list[tuple[int, bytes]] = []
        while len(found) < count:
            egress = await self.expect(Egress)
            for at, message in enumerate(decode_egress_batch(egress.batch, egress.message_count)):
                found.append((egress.first_sequence + at, message.payload))
        return found

    async def acknowledged(self, sequence: int) -> None:
        while (await self.expect(Egress)).ingress_applied < sequence:
            pass


@asynccontextmanager
async def attached(loopback: LoopbackCluster, count: int) -> AsyncIterator[list[RawClient]]:
    """Connect so many to the first member, each with a session by a key of its own."""
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(count):
            client = await stack.enter_async_context(RawClient(loopback.addresses[0]))
            await client.attach(key=bytes([number]) * 16)
            clients.append(client)
        yield clients


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a test on the loop that members run on; it differs from asyncio's in what it forgets."""
    uvloop.run(test())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition may be any state
            await asyncio.sleep(0)


def cluster(members: int = 1, **options: object) -> LoopbackCluster:
    return LoopbackCluster(members, service=ParrotService, **options)  # type: ignore[arg-type]


def heard(loopback: LoopbackCluster, seat: int = 0) -> list[bytes]:
    service = loopback.members[seat].service
    assert isinstance(service, ParrotService)
    return [message for _, message in service.heard]


def refused(loopback: LoopbackCluster, reason: str, seat: int = 0) -> int:
    return loopback.members[seat].gateway.refusals.by_reason[reason]


def led(test: Callable[[LoopbackCluster, RawClient], Awaitable[None]], **options: object) -> None:
    """Run a test with one leading member and one connection to it."""

    async def body() -> None:
        async with cluster(**options) as loopback:  # type: ignore[arg-type]
            loopback.lead()
            async with RawClient(loopback.addresses[0]) as client:
                await test(loopback, client)

    run(body)
