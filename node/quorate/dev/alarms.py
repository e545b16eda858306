"""The members' alarms as lines for whoever sits in front of the cluster."""

from __future__ import annotations

from quorate.consensus.types import Seat
from quorate.control.status import MemberStatus
from quorate.dev.watch import Statuses


class ToldAlarms:
    """Remembers what each member said last, and tells what began or ended since.

    A detail that changes is no news: some hold a figure. A member that does not answer says
    nothing, so what it said stands until it is back.
    """

    def __init__(self) -> None:
        """Nothing was told."""
        self._told: dict[Seat, frozenset[str]] = {}

    def news(self, statuses: Statuses) -> list[tuple[Seat, str]]:
        """Return the lines not told yet, each with the seat that it is about."""
        return [
            (seat, line)
            for seat, status in statuses.items()
            if status is not None
            for line in self._news_of(seat, status)
        ]

    def _news_of(self, seat: Seat, status: MemberStatus) -> list[str]:
        before = self._told.get(seat, frozenset())
        now = frozenset(alarm.name for alarm in status.alarms)
        self._told[seat] = now
        begun = [
            f"member {seat}: ALARM {alarm.name}: {alarm.detail}"
            for alarm in status.alarms
            if alarm.name not in before
        ]
        return begun + [f"member {seat}: alarm {name} has ended" for name in sorted(before - now)]
