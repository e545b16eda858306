"""Majority arithmetic over a list of voter sets, so that joint configurations fit in."""

from __future__ import annotations

from collections.abc import Callable, Collection

from quorate.consensus.types import LogPosition, Membership, Seat


def quorum_size(voter_count: int) -> int:
    """Return how many of ``voter_count`` voters are a strict majority."""
    return voter_count // 2 + 1


def has_quorum(membership: Membership, seats: Collection[Seat]) -> bool:
    """Tell whether ``seats`` hold a majority of every voter set; never without voters."""
    return bool(membership.voter_sets) and all(
        sum(member.seat in seats for member in voters) >= quorum_size(len(voters))
        for voters in membership.voter_sets
    )


def can_reach_quorum(membership: Membership, refusals: Collection[Seat]) -> bool:
    """Tell whether a majority is still possible when these seats have said no."""
    willing = {member.seat for member in membership.voters} - set(refusals)
    return has_quorum(membership, willing)


def quorum_position(positions: Collection[LogPosition]) -> LogPosition:
    """Return the highest position that a majority of voters has durably appended.

    Args:
        positions: One position per voter of one set, in bytes; any order; never empty.

    Returns:
        A position that ``len(positions) // 2 + 1`` voters have reached. The caller still
        checks that it lies strictly above the base of its own term before committing.

    Source:
        Raft (extended version) sections 5.3 and 5.4.2; Aeron ``ClusterMember.quorumPosition``.

    """
    ranked = sorted(positions, reverse=True)
    return ranked[quorum_size(len(ranked)) - 1]


def committed_position(
    membership: Membership, durable_of: Callable[[Seat], LogPosition]
) -> LogPosition:
    """Return the lowest of the quorum positions of all voter sets."""
    lowest: LogPosition | None = None
    for voters in membership.voter_sets:
        position = quorum_position([durable_of(member.seat) for member in voters])
        if lowest is None or position < lowest:
            lowest = position
    assert lowest is not None, "a leader has voters"
    return lowest
