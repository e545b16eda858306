"""The service of the timed simulation: registers, timers that remember when they fired.

It keeps all that it was told, so that what clients were promised can be compared with what
every member applied.
"""

from __future__ import annotations

from quorate.consensus.types import LogPosition
from quorate.service.api import ClientSession, Cluster, ClusteredService, SnapshotInput


class RecordingService(ClusteredService):
    """``w KEY VALUE`` writes and answers the old value, ``r KEY`` reads, ``t ID MS`` sets a timer.

    ``s KEY VALUE`` has the service send itself the write; ``x`` raises.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.registers: dict[bytes, bytes] = {}
        self.applied: list[tuple[int, bytes]] = []
        """(session id, value) of every write, in the order in which it was applied."""
        self.timers: dict[int, int] = {}
        """Pending: id → deadline."""
        self.fired: list[tuple[int, int, int]] = []
        """(id, deadline, log time) in the order in which they fired."""
        self.problems: list[str] = []
        self._cluster: Cluster

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Keep the cluster."""
        self._cluster = cluster

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Do what the message says, and answer."""
        verb, *words = message.split(b" ")
        if verb == b"x":
            raise ValueError("asked to fail")
        answer = b""
        if verb == b"w":
            answer = self.registers.get(words[0], b"-")
            self.registers[words[0]] = words[1]
            self.applied.append((session.session_id if session else 0, words[1]))
        elif verb == b"r":
            answer = self.registers.get(words[0], b"-")
        elif verb == b"t":
            timer_id, deadline = int(words[0]), timestamp + int(words[1]) * 1_000_000
            self.timers[timer_id] = deadline
            self._cluster.schedule_timer(timer_id, deadline)
        elif verb == b"s":
            self._cluster.offer(b"w " + words[0] + b" " + words[1])
        if session is not None:
            session.offer(answer)

    def on_timer(self, timer_id: int, timestamp: int) -> None:
        """Remember that it fired, and whether it might."""
        deadline = self.timers.pop(timer_id, None)
        if deadline is None:
            self.problems.append(f"timer {timer_id} fired twice, or was never set")
            return
        if timestamp < deadline:
            self.problems.append(f"timer {timer_id} fired at {timestamp}, before {deadline}")
        self.fired.append((timer_id, deadline, timestamp))
        for session in self._cluster.sessions.values():
            session.offer(b"timer %d" % timer_id)
            break


Position = LogPosition
