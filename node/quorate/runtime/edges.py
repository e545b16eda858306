"""The agent as its links and its clients see it."""

from __future__ import annotations

import asyncio
import logging

from quorate.config import NodeConfig
from quorate.consensus.messages import Message
from quorate.consensus.types import ClusterId, PeerLife, Seat
from quorate.protocol.handshake import LinkRefusal
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.events import Event, log_event
from quorate.service.container import ServiceContainer
from quorate.transport.interfaces import LinkInfo

LOGGER = logging.getLogger("quorate.transport")
REPEATED_AFTER_S = 10.0
"""A refusal is logged again after this; anybody can cause one as often as he likes, so all are
counted, and not all are written."""
_USUAL = frozenset({LinkRefusal.DUPLICATE, LinkRefusal.REPLACED, LinkRefusal.CLOSING})
"""Two members that dial each other at once, or one that starts or ends: nothing to look at."""


class LinkEdge:
    """Implements ``LinkListener``: passes on what links tell, and logs it."""

    def __init__(self, agent: ConsensusAgent) -> None:
        """Pass on to ``agent``."""
        self._agent = agent
        self._logged_at: dict[tuple[Seat | None, LinkRefusal, bool], float] = {}

    def on_link_up(self, peer: PeerLife, info: LinkInfo) -> None:
        """A link to this life of a member stands."""
        log_event(LOGGER, Event.LINK_UP, seat=peer.seat, dialled_here=info.dialled_here)
        self._agent.on_link_up(peer)

    def on_link_down(self, peer: PeerLife) -> None:
        """A link is gone."""
        log_event(LOGGER, Event.LINK_DOWN, seat=peer.seat)
        self._agent.on_link_down(peer)

    def on_reconnect_refused(self, seat: Seat) -> None:
        """Nobody answers at a member's address."""
        self._agent.on_reconnect_refused(seat)

    def on_message(self, peer: PeerLife, message: Message) -> None:
        """A member has said something."""
        self._agent.on_message(peer, message)

    def on_refused(self, seat: Seat | None, reason: LinkRefusal, *, by_peer: bool) -> None:
        """A connection was refused, here or there; the links count it."""
        now = asyncio.get_running_loop().time()
        key = (seat, reason, by_peer)
        if now - self._logged_at.get(key, -REPEATED_AFTER_S) < REPEATED_AFTER_S:
            return
        self._logged_at[key] = now
        event = Event.LINK_GIVEN_UP if reason in _USUAL else Event.LINK_REFUSED
        log_event(LOGGER, event, seat=seat, reason=reason.name.lower(), by_peer=by_peer)


class ClientEdge:
    """Implements the gateway's ``IngressPort``."""

    def __init__(self, agent: ConsensusAgent, config: NodeConfig, cluster_id: ClusterId) -> None:
        """Answer for ``agent``."""
        self._agent = agent
        self._cluster_id = cluster_id
        self._addresses = {row.seat: row.client_address for row in config.member.seats}

    @property
    def cluster_id(self) -> bytes:
        """16 bytes."""
        return self._cluster_id

    @property
    def leadership_term_id(self) -> int:
        """The present term."""
        return self._agent.module.term

    @property
    def serving(self) -> bool:
        """Leader, has applied the first frame of its own term, and not handing over."""
        return self._agent.serving

    @property
    def leader_client_address(self) -> str | None:
        """Where clients reach the leader; None while none is known."""
        leader = self._agent.module.leader
        return None if leader is None else self._addresses.get(leader)

    @property
    def member_client_addresses(self) -> tuple[str, ...]:
        """Where clients reach each member, by seat."""
        return tuple(self._addresses[seat] for seat in sorted(self._addresses))

    @property
    def container(self) -> ServiceContainer:
        """The sessions, to read only."""
        return self._agent.applier.container

    def append_entry(self, entry: bytes) -> None:
        """Put one encoded entry into the log frame of this turn."""
        self._agent.append_entry(entry)
