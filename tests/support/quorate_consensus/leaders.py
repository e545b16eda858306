"""Leaders of three, driven by hand."""

from __future__ import annotations

from quorate.consensus.config import ConsensusConfig
from quorate.consensus.messages import AppendFrames
from quorate.consensus.types import LogFrame
from quorate_consensus.driven import Driven
from quorate_consensus.logs import HandLog


def leading(
    log: HandLog | None = None,
    *,
    by_hand: bool = False,
    config: ConsensusConfig | None = None,
    seats: int = 3,
) -> Driven:
    """Return a member that has just been elected."""
    leader = Driven(log, config=config, seats=seats)
    leader.be_elected(*range(1, seats // 2 + 1))
    leader.by_hand = by_hand
    leader.clear()
    return leader


def streaming(**more: object) -> Driven:
    """Return a leader whose followers have all that there is."""
    leader = leading(**more)  # type: ignore[arg-type]
    leader.accept(1, 2)
    leader.clear()
    return leader


def frames_to(leader: Driven, seat: int) -> list[LogFrame]:
    """Return the frames that a member was sent."""
    return [frame for message in leader.sent(AppendFrames, seat) for frame in message.frames]
