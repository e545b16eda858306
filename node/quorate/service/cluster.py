"""The cluster as the running service sees it: ``api.Cluster`` over the replicated state."""

from __future__ import annotations

from collections.abc import Mapping

from quorate.config import ClusterSettings
from quorate.consensus.types import LogPosition, Role
from quorate.service.api import ClientSession, Cluster, LimitExceeded
from quorate.service.collector import Collector
from quorate.service.sessions import Session
from quorate.service.timers import TimerQueue


class ServiceCluster(Cluster):
    """Reads of the state go through; what a callback asks for waits in the collector."""

    __slots__ = ("_collector", "_sessions", "_timers", "now", "own_role", "position", "settings")

    def __init__(
        self,
        collector: Collector,
        sessions: Mapping[int, Session],
        timers: TimerQueue,
        settings: ClusterSettings,
    ) -> None:
        """Stand at the birth of the log; the container moves time and position."""
        self._collector = collector
        self._sessions = sessions
        self._timers = timers
        self.settings = settings
        self.now = 0
        self.position = LogPosition(0)
        self.own_role = Role.FOLLOWER

    @property
    def time(self) -> int:
        """Log time of what is being applied, in nanoseconds since the Unix epoch."""
        return self.now

    @property
    def log_position(self) -> LogPosition:
        """Position of the entry, or of the frame of a timer, that is being applied."""
        return self.position

    @property
    def role(self) -> Role:
        """What this member is at the moment."""
        return self.own_role

    @property
    def sessions(self) -> Mapping[int, ClientSession]:
        """The open sessions by id, oldest first."""
        return self._sessions

    def schedule_timer(self, timer_id: int, deadline: int) -> None:
        """Have ``on_timer`` called once the log's time has reached ``deadline``."""
        collector = self._collector
        collector.check_timer("cluster.schedule_timer", timer_id, deadline)
        if not self._is_pending(timer_id):
            limit = self.settings.timers_max
            if len(self._timers) + collector.timers_added >= limit:
                raise LimitExceeded(f"timer {timer_id} would be one more than timers_max {limit}")
            collector.timers_added += 1
        collector.set_timer(timer_id, deadline)

    def cancel_timer(self, timer_id: int) -> bool:
        """Forget a pending timer and tell whether there was one."""
        collector = self._collector
        collector.check_timer("cluster.cancel_timer", timer_id, 0)
        if not self._is_pending(timer_id):
            return False
        collector.timers_added -= 1
        collector.set_timer(timer_id, None)
        return True

    def offer(self, message: bytes) -> None:
        """Send a message to the service itself."""
        self._collector.offer_to_itself(message)

    def _is_pending(self, timer_id: int) -> bool:
        """Tell whether a timer is pending once the running callback's changes are made."""
        asked = self._collector.timers
        if timer_id in asked:
            return asked[timer_id] is not None
        return self._timers.is_pending(timer_id)
