"""The links of one member to all others: which connection stands for which seat.

A pair of members dials in both directions and keeps one connection: another start nonce
replaces what stood before; within one life the connection dialled by the lower seat stays,
and of two dialled by the same side the younger.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Mapping

from quorate.consensus.messages import Message
from quorate.consensus.types import LeadershipTermId, PeerLife, Role, Seat
from quorate.protocol.consensus_codec import encode_message
from quorate.protocol.handshake import (
    CONNECTION_NONCE_LENGTH,
    Handshake,
    HandshakeExchange,
    LinkRefusal,
    LinkRefused,
)
from quorate.transport.dialler import Dialler
from quorate.transport.interfaces import LinkIdentity, LinkInfo, LinkListener, LinkSettings
from quorate.transport.member_connection import MemberConnection

_SWEEPS_PER_TIMEOUT = 8
_SWEEPS_PER_KEEP_ALIVE = 2
_BREAKS = (None, LinkRefusal.SILENT, LinkRefusal.CLOSING)
"""Ends of a link that tell nothing against dialling again at once. Behind the others stands a
side that does not want this connection, or has a better one under way."""


class MemberLinks:
    """All links of this member; used from one event loop only."""

    def __init__(
        self,
        identity: LinkIdentity,
        addresses: Mapping[Seat, tuple[str, int]],
        *,
        secret: Callable[[], bytes | None],
        listener: LinkListener,
        jitter: Callable[[], float],
        settings: LinkSettings | None = None,
    ) -> None:
        """Prepare; nothing happens before ``start``.

        Args:
            identity: What this member says of itself.
            addresses: Host and port of every configured seat; the own one is not dialled.
            secret: Returns the cluster's secret, None for none; asked at each handshake.
            listener: Is told what happens.
            jitter: Random number in [0, 1), spreads the attempts to dial.
            settings: Limits; the defaults when None.

        """
        self.refusals: Counter[LinkRefusal] = Counter()
        """Connections refused or closed here, by reason."""
        self.refusals_by_peer: Counter[LinkRefusal] = Counter()
        self.dropped_messages_count = 0
        """Messages that were not sent because a link's send buffer was full."""
        self._identity = identity
        self._secret = secret
        self._listener = listener
        self._settings = settings or LinkSettings()
        self._seats = frozenset(addresses) - {identity.seat}
        self._role = Role.FOLLOWER
        self._term = LeadershipTermId(0)
        self._links: dict[Seat, MemberConnection] = {}
        self._lost: dict[Seat, PeerLife] = {}
        """Lives whose link broke and whose end has not been reported."""
        self._accepted: dict[MemberConnection, None] = {}
        """Accepted connections that have not proved themselves, oldest first."""
        self._connections: set[MemberConnection] = set()
        self._diallers = {
            seat: Dialler(
                seat,
                addresses[seat],
                self._settings,
                connection=self._new_connection,
                on_refused=self._report_end,
                jitter=jitter,
            )
            for seat in sorted(self._seats)
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._swept_at = 0.0
        self._sweeps = 0
        self._is_closing = False
        self._queued: list[MemberConnection] = []
        """Links with messages that wait for ``flush``."""
        self._encoded: Message | None = None
        self._buffers: list[bytes] = []

    @property
    def port(self) -> int:
        """The port that this member listens on, known after ``start``."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connected_seats(self) -> frozenset[Seat]:
        """The seats to which a link stands."""
        return frozenset(self._links)

    async def start(self, host: str, port: int, tasks: asyncio.TaskGroup) -> None:
        """Listen, and begin to dial.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 lets the machine choose, see ``port``.
            tasks: Owns the diallers; a failure in one is a failure of the group.

        Raises:
            OSError: The port cannot be listened on.

        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._new_connection(None), host, port)
        self._tasks = [
            tasks.create_task(dialler.run(), name=f"dial seat {seat}")
            for seat, dialler in self._diallers.items()
        ]
        self._swept_at = loop.time()
        self._schedule_sweep()

    async def close(self) -> None:
        """End every link; the listener hears nothing any more.

        Blocking: until what was written has left, at most ``close_timeout_s``.
        """
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.refuse(LinkRefusal.CLOSING, "this member ends")
        while self._connections:
            # Ends: each has a timer by which it is cut off.
            await next(iter(self._connections)).released.wait()

    def set_role(self, role: Role, leadership_term_id: LeadershipTermId) -> None:
        """Say this role and term in handshakes from now on."""
        self._role = role
        self._term = leadership_term_id

    def send(self, seat: Seat, message: Message) -> bool:
        """Queue a message; it leaves with all others in ``flush``.

        Returns:
            False when it was dropped: no link stands, or its send buffer is full.

        Raises:
            LocalProtocolError: The message does not fit the protocol.

        """
        link = self._links.get(seat)
        if link is None:
            return False
        if message is not self._encoded:
            # The leader sends one message to all followers that are equally far.
            self._encoded, self._buffers = message, encode_message(message)
        if not link.has_queued:
            self._queued.append(link)
        is_sent = link.send(self._buffers)
        if not is_sent and not link.is_closed:
            self.dropped_messages_count += 1
        return is_sent

    def flush(self) -> None:
        """Write what was queued, in one write for each link."""
        queued, self._queued = self._queued, []
        for link in queued:
            link.flush()

    def close_link(self, seat: Seat, detail: str) -> None:
        """Close the link to a seat because the consensus module asks for it, and dial anew."""
        link = self._links.get(seat)
        if link is not None:
            link.refuse(LinkRefusal.CONSENSUS, detail)

    def on_connected(self, connection: MemberConnection) -> None:
        """Note a connection whose handshake begins; the oldest unproved one may have to go."""
        self._connections.add(connection)
        if self._is_closing:
            connection.close()
        elif connection.dialled is None:
            self._accepted[connection] = None
            if len(self._accepted) > self._settings.handshakes_max:
                # Not the newest: then whoever holds all places would keep the members out.
                oldest = next(iter(self._accepted))
                oldest.refuse(LinkRefusal.CONNECTIONS, "too many unfinished handshakes")

    def check_admission(self, connection: MemberConnection) -> None:
        """Raise ``LinkRefused`` when another connection to the same life stays."""
        peer = _proved(connection)
        current = self._links.get(peer.seat)
        if current is None or self._replaces(connection, current):
            return
        # The peer may have lost what stands here: then this draws the answer that ends it.
        current.keep_alive()
        raise LinkRefused(LinkRefusal.DUPLICATE, "another connection of the same two lives stays")

    def on_established(self, connection: MemberConnection) -> None:
        """Make this connection the link to its peer, unless another one stays."""
        self._accepted.pop(connection, None)
        try:
            self.check_admission(connection)
        except LinkRefused as refused:
            connection.refuse(refused.reason, refused.detail)
            return
        peer = _proved(connection)
        old = self._links.pop(peer.seat, None)
        if old is not None:
            old.refuse(LinkRefusal.REPLACED, "a younger connection takes its place")
            self._note_down(old)
        lost = self._lost.get(peer.seat)
        if lost is not None and lost != peer.life:
            self._report_end(peer.seat)
        self._lost.pop(peer.seat, None)
        self._links[peer.seat] = connection
        self._diallers[peer.seat].link_up(connection)
        self._listener.on_link_up(peer.life, _info(connection, peer))

    def on_message(self, connection: MemberConnection, message: Message) -> None:
        """Pass a message on with the life that sent it."""
        if not self._is_closing:
            assert connection.life is not None, "established before it is heard"
            self._listener.on_message(connection.life, message)

    def on_closed(
        self, connection: MemberConnection, reason: LinkRefusal | None, *, by_peer: bool
    ) -> None:
        """Count the reason and dial anew if this was the link."""
        self._accepted.pop(connection, None)
        seat = connection.seat
        if reason is not None:
            (self.refusals_by_peer if by_peer else self.refusals)[reason] += 1
        if self._is_closing:
            return
        if reason is not None:
            self._listener.on_refused(seat, reason, by_peer=by_peer)
        if seat is not None and self._links.get(seat) is connection:
            del self._links[seat]
            self._note_down(connection)
            self._diallers[seat].link_down(at_once=reason in _BREAKS)

    def on_released(self, connection: MemberConnection) -> None:
        """Forget a connection whose socket is gone."""
        self._connections.discard(connection)

    def _new_connection(self, dialled: Seat | None) -> MemberConnection:
        identity = self._identity
        handshake = Handshake(
            cluster_id=identity.cluster_id,
            epoch=identity.epoch,
            member_id=identity.member_id,
            seat=identity.seat,
            start_nonce=identity.start_nonce,
            role=self._role,
            leadership_term_id=self._term,
            client_address=identity.client_address,
            control_address=identity.control_address,
            connection_nonce=secrets.token_bytes(CONNECTION_NONCE_LENGTH),
        )
        exchange = HandshakeExchange(
            handshake, dialled=dialled, expected_seats=self._seats, secret=self._secret()
        )
        loop = asyncio.get_running_loop()
        return MemberConnection(loop, exchange, self, self._settings, dialled=dialled)

    def _replaces(self, connection: MemberConnection, current: MemberConnection) -> bool:
        """Tell whether a connection takes the place of the link that stands."""
        peer = _proved(connection)
        if peer.life != _proved(current).life:
            return True
        dialler, standing = self._dialling_seat(connection), self._dialling_seat(current)
        return dialler == standing or dialler == min(self._identity.seat, peer.seat)

    def _dialling_seat(self, connection: MemberConnection) -> Seat:
        is_own = connection.dialled is not None
        return self._identity.seat if is_own else _proved(connection).seat

    def _note_down(self, link: MemberConnection) -> None:
        life = _proved(link).life
        self._lost[life.seat] = life
        self._listener.on_link_down(life)

    def _report_end(self, seat: Seat) -> None:
        """Say once that the life whose link broke has ended."""
        if self._lost.pop(seat, None) is not None and not self._is_closing:
            self._listener.on_reconnect_refused(seat)

    def _schedule_sweep(self) -> None:
        interval = self._settings.silence_timeout_s / _SWEEPS_PER_TIMEOUT
        loop = asyncio.get_running_loop()
        self._sweep_timer = loop.call_later(interval, self._sweep)

    def _sweep(self) -> None:
        """Close silent links and keep the others from being so."""
        settings = self._settings
        now = asyncio.get_running_loop().time()
        # After a turn of the loop that took long the sockets have not been read yet: however
        # long it was, it counts as at most two intervals of silence.
        interval = settings.silence_timeout_s / _SWEEPS_PER_TIMEOUT
        passed = min(now - self._swept_at, 2 * interval)
        self._swept_at = now
        self._sweeps += 1
        for link in tuple(self._links.values()):
            link.silence_s += passed
            if link.silence_s >= settings.silence_timeout_s:
                link.refuse(LinkRefusal.SILENT, f"nothing for {settings.silence_timeout_s} s")
            elif self._sweeps % _SWEEPS_PER_KEEP_ALIVE == 0:
                if not link.has_sent:
                    link.keep_alive()
                link.has_sent = False
        self._schedule_sweep()


def _proved(connection: MemberConnection) -> Handshake:
    peer = connection.peer
    assert peer is not None, "a connection without a handshake is no link"
    return peer


def _info(connection: MemberConnection, peer: Handshake) -> LinkInfo:
    return LinkInfo(
        client_address=peer.client_address,
        control_address=peer.control_address,
        epoch=peer.epoch,
        role=peer.role,
        leadership_term_id=peer.leadership_term_id,
        dialled_here=connection.dialled is not None,
    )
