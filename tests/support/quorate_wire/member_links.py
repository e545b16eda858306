"""Members that have nothing but links, over real loopback sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from quorate.consensus.messages import Founded, Message
from quorate.consensus.types import (
    ClusterId,
    LeadershipTermId,
    MemberId,
    PeerLife,
    Role,
    Seat,
    StartNonce,
)
from quorate.protocol.framing import FrameDecoder
from quorate.protocol.handshake import Handshake, HandshakeExchange, LinkRefusal
from quorate.transport.interfaces import LinkIdentity, LinkInfo, LinkSettings
from quorate.transport.member_links import MemberLinks
from quorate_wire.frames import cut

Run: TypeAlias = Callable[[Coroutine[None, None, None]], None]
"""Runs a test's coroutine on a loop of its own."""

PATIENCE_S = 30.0
"""No wait of a test takes this long unless something is broken."""


class RecordingListener:
    """Keeps what it is told and wakes whoever waits for it."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.events: list[str] = []
        """One short line each: ``up 1 22``, ``down 1 22``, ``ended 1``, ``refused 1 seat here``."""
        self.messages: list[tuple[PeerLife, Message]] = []
        self.infos: dict[Seat, LinkInfo] = {}
        self.up: dict[Seat, PeerLife] = {}
        self.greet: Callable[[Seat], object] = lambda _: None
        """Called at every link up, as the consensus module does to say hello."""
        self._changed = asyncio.Event()

    def on_link_up(self, peer: PeerLife, info: LinkInfo) -> None:
        """Record, and check that up and down alternate."""
        assert peer.seat not in self.up, "two links up for one seat"
        self.up[peer.seat] = peer
        self.infos[peer.seat] = info
        self._note(f"up {peer.seat} {peer.start_nonce}")
        self.greet(peer.seat)

    def on_link_down(self, peer: PeerLife) -> None:
        """Record, and check that this link was up."""
        assert self.up.pop(peer.seat) == peer, "a link went down that was not up"
        self._note(f"down {peer.seat} {peer.start_nonce}")

    def on_reconnect_refused(self, seat: Seat) -> None:
        """Record, and check that the link is down."""
        assert seat not in self.up, "the end of a life whose link stands"
        self._note(f"ended {seat}")

    def on_message(self, peer: PeerLife, message: Message) -> None:
        """Record, and check that it came over a link that is up."""
        assert self.up[peer.seat] == peer, "a message without a link"
        self.messages.append((peer, message))
        self._changed.set()

    def on_refused(self, seat: Seat | None, reason: LinkRefusal, *, by_peer: bool) -> None:
        """Record."""
        self._note(f"refused {seat} {reason.label} {'there' if by_peer else 'here'}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds, judged anew after everything that is heard."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def heard(self, event: str) -> None:
        """Wait until this event is in the record."""
        await self.until(lambda: event in self.events)

    def _note(self, event: str) -> None:
        self.events.append(event)
        self._changed.set()


class LinkedMember:
    """One member's links together with what they told."""

    def __init__(
        self,
        seat: int,
        ports: list[int],
        *,
        nonce: int = 0,
        secret: bytes | None = None,
        settings: LinkSettings | None = None,
        cluster: bytes = b"c" * 16,
        host: str = "127.0.0.1",
    ) -> None:
        """Prepare the member in ``seat``; ``ports`` has the port of every seat."""
        self.seat = Seat(seat)
        self.host = host
        self.secret = secret
        self.port = ports[seat]
        self.listener = RecordingListener()
        self.identity = LinkIdentity(
            ClusterId(cluster),
            epoch=0,
            member_id=MemberId(bytes([seat]) * 16),
            seat=self.seat,
            start_nonce=StartNonce(nonce or seat + 10),
            client_address=f"client-{seat}:9010",
            control_address=f"control-{seat}:9030",
        )
        self.links = MemberLinks(
            self.identity,
            {Seat(s): ("127.0.0.1", port) for s, port in enumerate(ports)},
            secret=lambda: self.secret,
            listener=self.listener,
            jitter=lambda: 0.5,
            settings=settings or LinkSettings(),
        )

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Listen and dial."""
        await self.links.start(self.host, self.port, tasks)

    def say(self, seat: Seat, message: Message) -> bool:
        """Send one message by itself."""
        is_sent = self.links.send(seat, message)
        self.links.flush()
        return is_sent


@asynccontextmanager
async def running(*members: LinkedMember) -> AsyncIterator[None]:
    """Start these members, and close them in the end however it comes."""
    async with asyncio.TaskGroup() as tasks:
        try:
            for member in members:
                await member.start(tasks)
            yield
        finally:
            for member in members:
                await member.links.close()


async def settled(*members: LinkedMember) -> None:
    """Wait until a message has come both ways over the link of every two members.

    Two members dial each other at the same time, so a first link may be replaced; what was
    sent over it is lost, therefore each new one is greeted.
    """
    pairs = [(a, b) for a in members for b in members if a is not b]
    for sender, _ in pairs:
        sender.listener.greet = partial(sender.say, message=Founded(1))
    for sender, receiver in pairs:
        sender.say(receiver.seat, Founded(1))
    for sender, receiver in pairs:
        await receiver.listener.until(partial(_has_heard, receiver.listener, sender.seat))
    for member in members:
        member.listener.messages.clear()
        member.listener.greet = lambda _: None


def _has_heard(listener: RecordingListener, seat: Seat) -> bool:
    return any(peer.seat == seat for peer, _ in listener.messages)


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def impatient(**changes: float) -> LinkSettings:
    """Return limits for tests that wait for a timeout."""
    return replace(LinkSettings(), **changes)  # type: ignore[arg-type]


class RawPeer:
    """Whatever may connect to a member: sends bytes, keeps what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = FrameDecoder()

    @classmethod
    async def connect(cls, member: LinkedMember) -> RawPeer:
        return cls(*await asyncio.open_connection("127.0.0.1", member.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answers_until_close(self) -> list[tuple[int, bytes]]:
        """Return type and payload of everything that comes before the other side closes."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                data = await self.reader.read(-1)
            except ConnectionResetError:
                data = b""
        await self.close()
        return [(frame.message_type, frame.payload) for frame in cut(self._decoder, data)]

    async def close(self) -> None:
        """Close, and wait until the socket is gone."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def shake_hands(self, member: LinkedMember, own: Handshake) -> None:
        """Become the link to ``own.seat`` as a dialling member would."""
        exchange = HandshakeExchange(
            own, dialled=member.seat, expected_seats=frozenset(), secret=None
        )
        await self.send(exchange.opening())
        while not exchange.is_complete:
            for frame in cut(self._decoder, await self.reader.read(65536)):
                await self.send(exchange.receive(frame))


def handshake_of(member: LinkedMember, nonce: bytes = b"x" * 16) -> Handshake:
    identity = member.identity
    return Handshake(
        identity.cluster_id,
        identity.epoch,
        identity.member_id,
        identity.seat,
        identity.start_nonce,
        Role.FOLLOWER,
        LeadershipTermId(0),
        identity.client_address,
        identity.control_address,
        nonce,
    )


def pair(**options: object) -> tuple[LinkedMember, LinkedMember]:
    ports = free_ports(2)
    return (
        LinkedMember(0, ports, **options),  # type: ignore[arg-type]
        LinkedMember(1, ports, **options),  # type: ignore[arg-type]
    )


def alone(seat: int = 0, **options: object) -> LinkedMember:
    """A member whose only peer, in the other seat, does not run."""
    return LinkedMember(seat, free_ports(2), **options)  # type: ignore[arg-type]


async def no_handshakes(member: LinkedMember) -> None:
    """Wait until no connection counts as a handshake that may be cut off; a link does not."""
    async with asyncio.timeout(10):
        while member.links._accepted:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


async def both_up(first: LinkedMember, second: LinkedMember) -> None:
    await first.listener.until(lambda: second.seat in first.listener.up)
    await second.listener.until(lambda: first.seat in second.listener.up)
