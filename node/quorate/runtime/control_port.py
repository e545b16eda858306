"""The member as its operator sees it: status, probes, admin actions."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import fields

from quorate.archive.archive import Archive
from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.effects import Alarm
from quorate.consensus.types import Seat
from quorate.control.port import Gauges, Health, OnOutcome
from quorate.control.status import MemberStatus
from quorate.errors import StorageError
from quorate.runtime.events import Event, log_event
from quorate.runtime.member import Member

LOGGER = logging.getLogger("quorate.control")


class MemberControl:
    """Implements ``ControlPort`` for one member."""

    def __init__(self, member: Member) -> None:
        """Read from, and ask, the parts of ``member``."""
        self._member = member
        self._version = 1
        self._has_compared = False
        self._changed = asyncio.Event()
        self._seen = member.report.standing()
        member.agent.on_news = self.on_news
        member.agent.watch = self._watch

    def on_news(self) -> None:
        """Something worth telling has changed: answer those that wait for it."""
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def _watch(self) -> None:
        """Notice what changes without anybody saying so, within a tick."""
        self._compare_settings()
        standing = self._member.report.standing()
        if standing != self._seen:
            self._seen = standing
            self.on_news()

    def _compare_settings(self) -> None:
        """Say once if the file asks for other cluster-wide values than the log, which hold."""
        member = self._member
        container = member.agent.applier.container
        if self._has_compared or not container.position:
            return
        self._has_compared = True
        listed = [
            *_differences(member.config.settings, container.settings),
            *_differences(member.config.constants, member.constants),
        ]
        if listed:
            detail = f"the log's settings hold: {', '.join(listed)}; change the file to match"
            member.effects.carry_out([Alarm("settings_differ", detail)])

    def status(self) -> MemberStatus:
        """Return the present status."""
        return self._member.report.read(self._version)

    async def wait_status(self, after: int) -> None:
        """Return as soon as the status version differs from ``after``.

        Blocking: until then; the caller sets the bound.
        """
        while self._version == after:
            await self._changed.wait()

    def gauges(self) -> Gauges:
        """Bring the counters of the edges up to date, and return what is counted there."""
        member = self._member
        metrics, gateway, container = member.metrics, member.gateway, member.agent.applier.container
        metrics.ingress_messages = gateway.ingress_messages
        metrics.ingress_bytes = gateway.ingress_bytes
        metrics.egress_messages = gateway.egress_messages
        metrics.egress_bytes = gateway.egress_bytes
        metrics.spares_exhausted = member.archive.spares_run_out_count
        return Gauges(
            sessions=container.sessions_count,
            client_connections=len(gateway.connections),
            kept_egress_bytes=container.kept_egress_bytes,
            timers=container.timers_count,
            spares=member.archive.spares.ready_count,
            disk_free_bytes=_free_bytes(member.archive),
            storage_low=member.archive.space_low,
        )

    def found(self, *, discard: bool, on_outcome: OnOutcome) -> str | None:
        """Ask for the founding; return why not."""
        effects = self._member.effects
        outcomes = effects.discard_outcomes if discard else effects.founding_outcomes
        log_event(LOGGER, Event.ADMIN_REQUESTED, action="found", discard=discard)
        outcomes.append(on_outcome)
        refused = self._member.agent.request_found(discard=discard)
        if refused is not None:
            outcomes.remove(on_outcome)
            log_event(LOGGER, Event.ADMIN_REFUSED, action="found", reason=refused)
        return refused

    def transfer(self, target: Seat | None, on_outcome: OnOutcome) -> str | None:
        """Hand leadership to this seat or, with None, to the best voter; return why not."""
        outcomes = self._member.effects.transfer_outcomes
        log_event(LOGGER, Event.ADMIN_REQUESTED, action="transfer", target=target)
        outcomes.append(on_outcome)
        refused = self._member.agent.request_transfer(target)
        if refused is not None:
            outcomes.remove(on_outcome)
            log_event(LOGGER, Event.ADMIN_REFUSED, action="transfer", reason=refused)
        return refused

    def alive(self) -> Health:
        """Say yes: whoever can answer has a loop that turns."""
        return Health(ok=True, reason="the loop turns")

    def ready(self) -> Health:
        """Tell whether the leader of this term is known and its log applied up to a bound."""
        member = self._member
        if member.agent.is_stopping:
            return Health(ok=False, reason="stopping")
        if member.agent.diverged_at is not None:
            return Health(ok=False, reason="the service has diverged")
        if member.report.is_caught_up(member.config.control.ready_lag_bytes_max):
            return Health(ok=True, reason="follows or leads the present term, and is caught up")
        status = self.status()
        reason = f"{status.state}: leader {status.leader}, service {status.service_position} of "
        return Health(ok=False, reason=f"{reason}{status.commit_position} committed")

    def started(self) -> Health:
        """Say yes: the directory is read before this port listens."""
        return Health(ok=True, reason="the directory has been read")


def _free_bytes(archive: Archive) -> float:
    """Return the free space; metrics are wanted most where a sick disk does not tell of it."""
    try:
        return archive.free_bytes()
    except StorageError:
        return math.nan


def _differences(
    wanted: ClusterSettings | ClusterConstants, held: ClusterSettings | ClusterConstants
) -> list[str]:
    """Return name and value of what is held and was wanted otherwise."""
    return [
        f"{field.name} {getattr(held, field.name)}"
        for field in fields(held)
        if getattr(wanted, field.name) != getattr(held, field.name)
    ]
