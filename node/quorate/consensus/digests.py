"""Are the services still alike? The leader compares digests at equal positions.

A member is told to stop only when a strict majority of all voters agrees on another digest
than its own; the leader's own has no more weight than any. Without a majority nobody stops,
but an alarm is raised and new ingress refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from quorate.consensus.quorum import quorum_size
from quorate.consensus.types import LogPosition, Seat

POSITIONS_KEPT = 16


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
