"""What the client's session tells the outside, in the order in which it happened."""

from __future__ import annotations

from typing import NamedTuple

from quorate.client.batches import EgressItem


class Established(NamedTuple):
    """The session is open on this connection."""

    cluster_session_id: int
    is_resumed: bool
    durability: int
    members: tuple[str, ...]


class EgressReceived(NamedTuple):
    """New egress, each message exactly once and in order."""

    items: list[EgressItem]


class Acknowledged(NamedTuple):
    """All ingress up to here is committed and applied, and its egress was received before."""

    ingress_sequence: int


class Granted(NamedTuple):
    """Credit has come: more may be offered than before."""


class Redirected(NamedTuple):
    """The member does not serve; where the leader is, "" while it knows none."""

    address: str


class Refused(NamedTuple):
    """The member ends this connection; the session may live on elsewhere."""

    code: int


class MemberSilent(NamedTuple):
    """The member owes an answer and has said nothing for too long: try another."""


class MemberLeaderless(NamedTuple):
    """The member has known no leader for too long: try another."""


class Ended(NamedTuple):
    """The session is over; nothing comes behind this."""

    reason: str
    is_refused: bool
    """A member refused to deal with this client at all."""
    ingress_sent: int
    """What was sent up to here and not acknowledged has an unknown outcome; the rest was
    never sent."""


Event = (
    Established
    | EgressReceived
    | Acknowledged
    | Granted
    | Redirected
    | Refused
    | MemberSilent
    | MemberLeaderless
    | Ended
)
