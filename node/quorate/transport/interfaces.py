"""What member links are given and what they tell: identity, limits, listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quorate.consensus.messages import Message
from quorate.consensus.types import (
    ClusterId,
    LeadershipTermId,
    MemberId,
    PeerLife,
    Role,
    Seat,
    StartNonce,
)
from quorate.protocol.handshake import LinkRefusal

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LinkIdentity:
    """What this member says of itself for the whole of one life."""

    cluster_id: ClusterId
    epoch: int
    member_id: MemberId
    seat: Seat
    start_nonce: StartNonce
    client_address: str = ""
    """Where clients reach this member, as ``host:port``; the others redirect to it."""
    control_address: str = ""


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What a peer said of itself when its link came up."""

    client_address: str
    control_address: str
    epoch: int
    role: Role
    leadership_term_id: LeadershipTermId
    dialled_here: bool
    """This member dialled, not the peer; decides which of two connections stays."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Limits of member links; seconds are of the event loop's clock."""

    connect_timeout_s: float = 1.0
    """For resolving the name and connecting together."""
    handshake_timeout_s: float = 2.0
    backoff_min_s: float = 0.02
    """Before the second attempt to dial; doubled with each further one."""
    backoff_max_s: float = 0.5
    """Short, so that a member which comes back is part of the cluster at once."""
    silence_timeout_s: float = 0.8
    """A link on which nothing arrives for so long is closed: one election timeout."""
    send_buffer_bytes_max: int = 64 * MIB
    """For each link; what does not fit is dropped and counted, the consensus sends it anew."""
    handshakes_max: int = 64
    """Accepted connections that have not proved themselves; the oldest makes room."""
    close_timeout_s: float = 1.0
    """How long a closed connection may take to deliver what was written before."""


class LinkListener(Protocol):
    """What the owner of member links is told, from the event loop and never within ``send``.

    For each seat ``on_link_up`` and ``on_link_down`` alternate, beginning with up; messages
    come only between them.
    """

    def on_link_up(self, peer: PeerLife, info: LinkInfo) -> None:
        """Note that a link to this life of a member stands."""

    def on_link_down(self, peer: PeerLife) -> None:
        """Note that the link to this life of a member is gone, broken or replaced."""

    def on_reconnect_refused(self, seat: Seat) -> None:
        """Note that the life whose link broke has ended.

        Said at most once after each ``on_link_down``: when dialling was refused by the
        machine (nobody listens there), or when the seat came back with another start nonce;
        in that case before its ``on_link_up``.
        """

    def on_message(self, peer: PeerLife, message: Message) -> None:
        """Take one message; its sender's life is known from the link."""

    def on_refused(self, seat: Seat | None, reason: LinkRefusal, *, by_peer: bool) -> None:
        """Note that a connection was refused or closed for a reason, here or by the peer.

        Args:
            seat: The other side's, None while it is not known.
            reason: Why.
            by_peer: The peer refused this side.

        """
