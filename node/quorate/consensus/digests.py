"""Are the services still alike? The leader compares digests at equal positions.

A member is told to stop only when a strict majority of all voters agrees on another digest
than its own; the leader's own has no more weight than any. Without a majority nobody stops,
but an alarm is raised and new ingress refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from quorate.consensus.core import Core
from quorate.consensus.effects import ServiceDiverged
from quorate.consensus.messages import DigestReport, DigestVerdict
from quorate.consensus.quorum import quorum_size
from quorate.consensus.types import LeadershipTermId, LogPosition, Role, Seat

POSITIONS_KEPT = 16
DISAGREE_ALARM = "services_disagree"
DIGESTS_REPEATED = 4
"""So many of our latest digests are told again to each new leader."""


class DigestLedger:
    """The digests that members reported for the last few compared positions."""

    def __init__(self) -> None:
        """Start empty."""
        self._reports: dict[LogPosition, dict[Seat, bytes]] = {}

    def report(self, seat: Seat, position: LogPosition, digest: bytes) -> None:
        """Note what ``seat`` has at ``position``; old positions are forgotten."""
        self._reports.setdefault(position, {})[seat] = digest
        while len(self._reports) > POSITIONS_KEPT:
            del self._reports[min(self._reports)]

    def verdict(
        self, position: LogPosition, voters: Collection[Seat]
    ) -> tuple[bytes | None, list[Seat], bool]:
        """Judge one position.

        Returns:
            The digest of a strict majority of all voters, or None; the seats that reported
            another; and whether a majority has become impossible.

        """
        reports = self._reports.get(position, {})
        counts = Counter(digest for seat, digest in reports.items() if seat in voters)
        needed = quorum_size(len(voters))
        silent = len(voters) - sum(counts.values())
        best = max(counts.values(), default=0)
        if best >= needed:
            digest = next(d for d, count in counts.items() if count == best)
            return digest, sorted(s for s, d in reports.items() if d != digest), False
        return None, [], best + silent < needed


class DigestComparison:
    """One member's part in comparing digests, as follower and as leader."""

    def __init__(self, core: Core) -> None:
        """Nothing compared yet."""
        self._core = core
        self._ledger = DigestLedger()
        self._own: dict[LogPosition, bytes] = {}
        self._told: tuple[LeadershipTermId, Seat] | None = None
        self.undecided = False
        """The members disagree and no majority can tell who is right."""

    def begin_term(self) -> None:
        """Start an empty ledger as leader of a new term."""
        self._ledger = DigestLedger()
        self.undecided = False

    def end_term(self) -> None:
        """Leave the judging, and its alarm, to the next leader, who is told all digests anew."""
        self.undecided = False
        self._core.end_alarm(DISAGREE_ALARM)

    def on_own(self, position: LogPosition, digest: bytes) -> None:
        """Keep our own digest and tell it to the leader, or judge it as leader."""
        self._own[position] = digest
        while len(self._own) > DIGESTS_REPEATED:
            del self._own[min(self._own)]
        self._tell(position, digest)

    def repeat(self) -> None:
        """Tell a new leader (or ourselves as one) the latest digests once more."""
        core = self._core
        if core.leader is None or self._told == (core.term, core.leader):
            return
        self._told = (core.term, core.leader)
        for position, digest in self._own.items():
            self._tell(position, digest)

    def _tell(self, position: LogPosition, digest: bytes) -> None:
        core = self._core
        if core.role is Role.LEADER:
            self.judge(core.seat, position, digest)
        elif core.leader is not None:
            core.send(core.leader, DigestReport(position, digest))

    def judge(self, seat: Seat, position: LogPosition, digest: bytes) -> None:
        """Take a member's digest as leader, and tell the odd ones of a majority."""
        core = self._core
        self._ledger.report(seat, position, digest)
        voters = [member.seat for member in core.membership.voters]
        majority, odd, undecidable = self._ledger.verdict(position, voters)
        if undecidable and not self.undecided:
            self.undecided = True
            detail = (
                f"no majority of members agrees on the digest at {position}, so no client is "
                "served: start all members again with the same code, corrected if it is not "
                "deterministic"
            )
            core.alarm(DISAGREE_ALARM, detail)
        if majority is None:
            return
        for odd_seat in odd:
            if odd_seat == core.seat:
                self.on_verdict(DigestVerdict(position, majority))
            else:
                core.send(odd_seat, DigestVerdict(position, majority))

    def on_verdict(self, message: DigestVerdict) -> None:
        """Stop serving if a strict majority has another digest than ours."""
        own = self._own.get(message.position)
        if own is not None and own != message.digest:
            self._core.service_stopped = True
            effect = ServiceDiverged(message.position, own, message.digest)
            self._core.effects.append(effect)
