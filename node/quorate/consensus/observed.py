"""What the outside may look at of a consensus module, for reading only."""

from __future__ import annotations

from quorate.consensus.core import Core
from quorate.consensus.digests import DigestComparison
from quorate.consensus.election import Election
from quorate.consensus.follower import Follower
from quorate.consensus.leader import Leader
from quorate.consensus.messages import Refusal
from quorate.consensus.transfer import Transfer
from quorate.consensus.types import (
    FoundingState,
    LeadershipTermId,
    LogPosition,
    Membership,
    Role,
    Seat,
)


class Observed:
    """The state of one member's consensus, as its runtime, its status and its tests see it."""

    _core: Core
    _election: Election
    _follower: Follower
    _leader: Leader | None
    _transfer: Transfer | None
    _digests: DigestComparison

    @property
    def role(self) -> Role:
        """Leader, candidate or follower."""
        return self._core.role

    @property
    def term(self) -> LeadershipTermId:
        """The highest term adopted."""
        return self._core.term

    @property
    def leader(self) -> Seat | None:
        """Seat of the leader of the present term, where known and heard."""
        return self._core.leader

    @property
    def leader_unheard(self) -> bool:
        """The one flag of elections."""
        return self._core.leader_unheard

    @property
    def core(self) -> Core:
        """The state that all roles share, for reading only."""
        return self._core

    @property
    def leading(self) -> Leader | None:
        """What is known as leader of the present term, for reading only."""
        return self._leader

    @property
    def following(self) -> Follower:
        """What is known as follower of the present term, for reading only."""
        return self._follower

    @property
    def election(self) -> Election:
        """The campaigns of this member, for reading only."""
        return self._election

    @property
    def transfer_target(self) -> Seat | None:
        """Where leadership is being handed to."""
        return self._transfer.target if self._transfer is not None else None

    @property
    def seat_in_log(self) -> Seat | None:
        """Where the log has this directory; None where it does not know it."""
        member = self._core.membership.by_id(self._core.identity.member_id)
        return None if member is None else member.seat

    @property
    def membership(self) -> Membership:
        """Who counts, as the log says."""
        return self._core.membership

    @property
    def founding_state(self) -> FoundingState:
        """How far the birth of the cluster has come here."""
        return self._core.founding_state

    @property
    def founding_broken(self) -> str:
        """Why the founding cannot go on; empty when it can."""
        return self._core.founding_broken

    @property
    def is_volume_lost(self) -> bool:
        """Whether a founded cluster refuses this blank directory."""
        return Refusal.VOLUME_LOST in self._core.refused_by.values()

    @property
    def is_not_a_member(self) -> bool:
        """Whether a founded cluster knows this seat under another directory."""
        return Refusal.NOT_A_MEMBER in self._core.refused_by.values()

    @property
    def is_recovering(self) -> bool:
        """Whether this member may have lost what it acknowledged."""
        return self._core.is_recovering

    @property
    def commit_position(self) -> LogPosition:
        """Everything before it is committed."""
        return self._core.commit_position

    @property
    def is_undecided(self) -> bool:
        """Whether the members' services disagree and no majority can tell who is right."""
        return self._digests.undecided
