"""Members that have nothing but links, over real loopback sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from quorate.consensus.messages import Message
from quorate.consensus.types import ClusterId, MemberId, PeerLife, Seat, StartNonce
from quorate.protocol.handshake import LinkRefusal
from quorate.transport.interfaces import LinkIdentity, LinkInfo, LinkSettings
from quorate.transport.member_links import MemberLinks

PATIENCE_S = 10.0
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
        self._changed = asyncio.Event()

    def on_link_up(self, peer: PeerLife, info: LinkInfo) -> None:
        """Record, and check that up and down alternate."""
        assert peer.seat not in self.up, "two links up for one seat"
        self.up[peer.seat] = peer
        self.infos[peer.seat] = info
        self._note(f"up {peer.seat} {peer.start_nonce}")

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
    ) -> None:
        """Prepare the member in ``seat``; ``ports`` has the port of every seat."""
        self.seat = Seat(seat)
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
            secret=secret,
            listener=self.listener,
            jitter=lambda: 0.5,
            settings=settings or LinkSettings(),
        )

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Listen and dial."""
        await self.links.start("127.0.0.1", self.port, tasks)


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
