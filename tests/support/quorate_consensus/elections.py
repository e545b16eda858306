"""What the tests of elections share: a linked member, and what it has answered."""

from __future__ import annotations

from quorate.consensus.config import MS, ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.election import ElectionState
from quorate.consensus.messages import (
    Canvass,
    CanvassAnswer,
    Vote,
)
from quorate.consensus.types import (
    LeadershipTermId,
    LogMark,
    LogPosition,
    Recovering,
    RecoveringReason,
    Role,
)
from quorate_consensus.driven import (
    Driven,
    append,
)
from quorate_consensus.logs import HandLog

LOST = Recovering(RecoveringReason.UNSYNCED, LeadershipTermId(1), LogPosition(64))
REPLICATED = ConsensusConfig(unanimous_election=True)


def linked(log: HandLog | None = None, **more: object) -> Driven:
    """Return a member with links to all others."""
    member = Driven(log, **more)  # type: ignore[arg-type]
    member.link(*(seat for seat in range(member.seats) if seat != member.seat))
    member.clear()
    return member


def heard(member: Driven, leader: int = 1) -> Driven:
    """Let the member hear its leader."""
    member.receive(leader, append(1))
    member.clear()
    return member


def canvass_of(term: int, end: LogMark, *, unanimous: bool = False) -> Canvass:
    """Return a canvass of another member."""
    return Canvass(LeadershipTermId(term), end, unanimous, 1)


def state_of(member: Driven) -> ElectionState:
    """Return where the member stands."""
    return member.module.election.state


def wait_left(member: Driven) -> float:
    """Return the milliseconds until it stands."""
    return (member.module.deadlines()[Deadline.STAND] - member.now.loop) / MS


def granted(member: Driven) -> bool:
    """Tell what it answered last."""
    return answers(member)[-1]


def answers(member: Driven) -> list[bool]:
    """Return what it answered to canvasses, then to requests for votes."""
    canvassed = [answer.granted for answer in member.sent(CanvassAnswer)]
    return canvassed + [answer.granted for answer in member.sent(Vote)]


def always_armed(member: Driven) -> None:
    """A voter that does not lead waits for something: else it would wait for ever."""
    waits = {Deadline.ELECTION, Deadline.STAND, Deadline.CAMPAIGN} & set(member.module.deadlines())
    assert waits or member.has_role(Role.LEADER)
