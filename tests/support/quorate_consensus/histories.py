"""Pairs of logs as a few leaders could have left them."""

from __future__ import annotations

from hypothesis import strategies as st

from quorate.consensus.types import LogFrame, LogPosition
from quorate_consensus.logs import HandLog

LOGS = 3

Reign = tuple[int, int, tuple[tuple[int, int], ...]]
"""Who leads, how many frames behind the term's first, who receives how many of them."""

REIGNS = st.tuples(
    st.integers(0, LOGS - 1),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, LOGS - 1), st.integers(0, 12)), max_size=2).map(tuple),
)


def common_count(a: list[LogFrame], b: list[LogFrame]) -> int:
    """Return how many frames at the start two logs share."""
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count


def replicate(leader: HandLog, follower: HandLog, frames: int) -> None:
    """Let the follower receive so many of the leader's frames as Raft would."""
    common = common_count(leader.frames, follower.frames)
    taken = leader.frames[: max(common, min(frames, len(leader.frames)))]
    if len(taken) > common:
        follower.frames[:] = taken


def play(reigns: list[Reign]) -> list[HandLog]:
    """Let these leaders reign one after the other, each in a term of its own."""
    logs = [HandLog() for _ in range(LOGS)]
    for index, (leader, frames, receivers) in enumerate(reigns):
        own = logs[leader]
        own.begin_term(index + 1, leader)
        for _ in range(frames):
            # Frames of unequal length, so that boundaries of divergent logs differ.
            own.add(index + 1, size=64 * (index % 2))
        for receiver, count in receivers:
            if receiver != leader:
                replicate(own, logs[receiver], count)
    return logs


HISTORIES = st.lists(REIGNS, max_size=9).map(play)


def agreed_position(a: HandLog, b: HandLog) -> LogPosition:
    """Return where two logs part, found frame by frame."""
    return a.mark(common_count(a.frames, b.frames)).position
