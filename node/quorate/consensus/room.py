"""Who has room for more log: what a leader does when disks are nearly full, or full.

A disk is *nearly full* when its member's log can grow to a certain position only, in segments
that lie there already. A leader whose disk is nearly full hands over to a voter whose disk is
not. Without one it stays, and goes on until it, or a quorum, has no more than the reserve left:
then clients' messages are refused until there is room. Heartbeats and votes need no room, the
first frame of a term takes it from the reserve. Nothing here decides what is safe.
"""

from __future__ import annotations

from quorate.consensus.core import Core
from quorate.consensus.effects import IngressState
from quorate.consensus.leader import Leader
from quorate.consensus.messages import RoomReport
from quorate.consensus.quorum import has_quorum
from quorate.consensus.transfer import Transfer
from quorate.consensus.types import ROOM_UNBOUNDED, FrameType, LogPosition, Seat

LOW_ALARM = "storage_low"
FULL_ALARM = "storage_full"
HAND_OVER_PAUSE_TIMEOUTS = 20
"""Election timeouts between two hand-overs for want of space: where each finds a target and
fails, clients would be paused more often than served."""


class LeaderRoom:
    """The eye of one leadership term on the room of all; lives and ends with its ``Leader``."""

    def __init__(self, core: Core, leader: Leader, transfer: Transfer) -> None:
        """Know nothing of the others yet, which counts as room."""
        self._core = core
        self._leader = leader
        self._transfer = transfer
        self._bounded: set[Seat] = set()
        """Others whose disks are nearly full."""
        self._refused_with = LogPosition(-1)
        """Where the room ended when a frame was refused, which may be a long one."""
        self._hand_over_not_before = 0

    def on_report(self, seat: Seat, report: RoomReport) -> None:
        """Take in how far the log of another member can grow."""
        progress = self._leader.progress.get(seat)
        if progress is None:
            return
        progress.room_end = report.room_end
        progress.room_heard_at = self._core.now.loop
        if report.room_end == ROOM_UNBOUNDED:
            self._bounded.discard(seat)
        else:
            self._bounded.add(seat)
        self._leader.go_on(seat)

    def may_append(self, frame_type: FrameType, body_length: int) -> bool:
        """Tell whether there is room for a frame that the leader's office does not need.

        The empty frames of timers wait as clients do: any number of them may be due.
        """
        core = self._core
        if frame_type is FrameType.EMPTY and core.storage_full:
            return False
        if core.room_end == ROOM_UNBOUNDED:
            return True
        has_room = core.has_room(64 + body_length, core.config.room_reserve_bytes // 2)
        if not has_room:
            self._refused_with = core.room_end
        return has_room

    def judge(self) -> None:
        """Refuse what clients send or take it again, and hand over where that helps."""
        core = self._core
        if core.room_end == ROOM_UNBOUNDED and not self._bounded and not core.storage_full:
            return
        self._forget_the_silent()
        is_full = self._is_full()
        if is_full != core.storage_full:
            core.storage_full = is_full
            if is_full:
                core.alarm(FULL_ALARM, "too few members have room for more log: free some space")
            else:
                core.end_alarm(FULL_ALARM)
            if not self._transfer.is_running:
                core.set_ingress(IngressState.OPEN)
        if core.room_end != ROOM_UNBOUNDED:
            self._hand_over()

    def _forget_the_silent(self) -> None:
        """Whoever says no more that its disk is nearly full has space again, or is gone."""
        core = self._core
        since = core.now.loop - core.config.election_timeout_min_ns
        for seat in sorted(self._bounded):
            progress = self._leader.progress[seat]
            if progress.room_heard_at < since:
                progress.room_end = ROOM_UNBOUNDED
                self._bounded.discard(seat)

    def _is_full(self) -> bool:
        """Tell whether we, or all quorums among those that are linked, lack the reserve."""
        core = self._core
        needed = LogPosition(core.log.end.position + core.config.room_reserve_bytes)
        if core.room_end < needed or core.room_end == self._refused_with:
            return True
        progress = self._leader.progress
        linked = {seat for seat in progress if core.reaches(seat)}
        roomy = {seat for seat in linked if progress[seat].room_end >= needed}
        own = {core.seat}
        return has_quorum(core.membership, linked | own) and not has_quorum(
            core.membership, roomy | own
        )

    def _hand_over(self) -> None:
        """Let a voter lead whose disk has space, unless it would have to catch up first."""
        core, leader = self._core, self._leader
        if self._transfer.is_running or core.now.loop < self._hand_over_not_before:
            return
        target = leader.best_successor()
        if target is None or leader.progress[target].room_end != ROOM_UNBOUNDED:
            return
        behind = core.log.end.position - leader.progress[target].match
        if behind > core.config.window_bytes or self._transfer.request(target) is not None:
            return
        pause = HAND_OVER_PAUSE_TIMEOUTS * core.config.election_timeout_min_ns
        self._hand_over_not_before = core.now.loop + pause
        core.trace("hand_over_begun", target=target, reason="this disk is nearly full")
