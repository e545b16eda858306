"""Runs the service's callbacks: what surrounds one, what follows it, what if it raises.

A *root* is what the log itself causes: a message, a timer, a session event. What a root leads
to (sessions that the service ends, messages to itself) is applied before the next root. Several
roots make a *unit*, an entry or a timer, at whose end egress is judged, numbered and kept.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from quorate.config import ClusterSettings, OnError
from quorate.consensus.types import LogPosition
from quorate.errors import ServiceFailed
from quorate.protocol.entry_bodies import CloseReason
from quorate.service.api import ClusteredService
from quorate.service.cluster import ServiceCluster
from quorate.service.collector import OUTSIDE, Collector
from quorate.service.digest import UnitHead, chain_digest
from quorate.service.outbox import EgressBatch, Outbound, SessionClosed
from quorate.service.sessions import NOT_CURRENT, Session, SessionTable
from quorate.service.timers import TimerQueue


class CallbackFailure(NamedTuple):
    """A callback that raised: for this member's log, never for a client."""

    callback: str
    log_position: LogPosition
    session_id: int
    """0 where the callback had no session."""
    ingress_sequence: int
    error: Exception


class Origin(NamedTuple):
    """Whom a failing callback is told to: the session whose event is being applied."""

    callback: str
    session: Session | None = None
    ingress_sequence: int = 0


class CallbackRunner:
    """Calls the service and collects what it does.

    Invariant:
        ``collector.forbidden`` is None only while a callback of the log runs.
    """

    __slots__ = (
        "_batches",
        "_collector",
        "_ends",
        "_failures",
        "_kept_bytes_free",
        "_on_failure",
        "_queue",
        "_service",
        "_sessions",
        "_timer_log",
        "_timers",
        "_to_close",
        "_touched",
        "budget",
        "cluster",
        "counters",
        "outbox",
    )

    def __init__(
        self,
        service: ClusteredService,
        sessions: SessionTable,
        timers: TimerQueue,
        collector: Collector,
        on_failure: Callable[[CallbackFailure], None],
    ) -> None:
        """Wire the parts; nothing is called yet."""
        self._service = service
        self._sessions = sessions
        self._timers = timers
        self._collector = collector
        self._on_failure = on_failure
        self._queue: deque[bytes] = deque()
        self._to_close: deque[int] = deque()
        self._touched: dict[int, Session] = {}
        self._timer_log: list[int] = []
        self._ends: list[int] = []
        self._batches: list[EgressBatch] = []
        self._failures = 0
        self._kept_bytes_free = 0
        """While all sessions together keep no more than this, nobody keeps too much."""
        self.cluster = ServiceCluster(collector, sessions.view, timers, ClusterSettings())
        self.counters: Counter[str] = Counter()
        """Since this container was made: numbers for metrics, not part of the state."""
        self.outbox: list[Outbound] = []
        self.budget = 0
        """Callbacks left in the present slice; what runs anyway may take it below zero."""

    def use_settings(self, settings: ClusterSettings) -> None:
        """Go by these settings from here on, without judging what came about under others."""
        self.cluster.settings = settings
        self._collector.message_bytes_max = settings.message_bytes_max
        self._collector.self_messages_left = settings.self_messages_max
        self._kept_bytes_free = min(
            settings.kept_egress_bytes_max, settings.kept_egress_total_bytes_max
        )

    def judge_everyone(self) -> None:
        """Have the end of this unit judge every session, as after a change of the settings."""
        self._touched.update((session.session_id, session) for session in self._sessions)

    def run_bare(self, callback: str, call: Callable[[], object]) -> None:
        """Call one of the callbacks that may not have effects."""
        self._collector.forbidden = callback
        try:
            refuse_result(call())
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - on_error decides
            self._report(Origin(callback), error)
        self._collector.forbidden = OUTSIDE

    def run_root(self, origin: Origin, call: Callable[[], object]) -> None:
        """Call a callback for something that the log says, and apply what it leads to."""
        session = origin.session
        if session is not None:
            session.cause = origin.ingress_sequence
            self._touched[session.session_id] = session
        self._collector.forbidden = None
        self._call(origin, call)
        self._settle(origin)
        self._collector.forbidden = OUTSIDE
        self.budget -= 1
        if session is not None:
            session.cause = NOT_CURRENT

    def run_messages(self, session: Session, messages: list[bytes]) -> int:
        """Apply messages of one session, the first of which is its next.

        Returns:
            How many were applied: fewer when the budget is used up by what they led to, or
            when the session has ended.

        """
        handler: Callable[[Session, int, bytes], object] = self._service.on_session_message
        collector = self._collector
        timestamp = self.cluster.now
        parts = session.parts
        before = sequence = session.last_ingress_sequence
        self._touched[session.session_id] = session
        collector.forbidden = None
        for sequence, message in enumerate(messages, before + 1):
            session.cause = sequence
            mark = len(parts)
            try:
                result = handler(session, timestamp, message)
                if result is not None:
                    refuse_result(result)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - on_error decides
                del parts[mark:]
                self._fail(Origin("on_session_message", session, sequence), error)
            if collector.dirty:
                session.last_ingress_sequence = sequence
                self._settle(Origin("on_session_message", session, sequence))
                if sequence - before >= self.budget or not session.is_open:
                    break
        session.cause = NOT_CURRENT
        session.last_ingress_sequence = sequence
        collector.forbidden = OUTSIDE
        self.budget -= sequence - before
        self.counters["ingress_messages"] += sequence - before
        return sequence - before

    def end_session(self, session: Session, reason: CloseReason) -> None:
        """End a session and tell the service, as a root of its own."""
        origin = Origin("on_session_close")
        self._collector.forbidden = None
        self._end(session.session_id, reason, origin)
        self._settle(origin)
        self._collector.forbidden = OUTSIDE
        self.budget -= 1

    def judge_egress(self) -> None:
        """End the sessions that keep more than they may, until the rest is within bounds."""
        settings = self.cluster.settings
        each_max, total_max = settings.kept_egress_bytes_max, settings.kept_egress_total_bytes_max
        while True:
            pending = [(session, session.pending_bytes()) for session in self._touched.values()]
            over = [s.session_id for s, size in pending if s.kept_bytes + size > each_max]
            total = self._sessions.kept_bytes + sum(size for _, size in pending)
            if over:
                self.counters["kept_egress"] += 1
                self.end_session(self._touched[min(over)], CloseReason.KEPT_EGRESS)
            elif total > total_max:
                victim = self._sessions.greediest(session for session, _ in pending)
                self.counters["kept_egress_total"] += 1
                self.end_session(victim, CloseReason.KEPT_EGRESS_TOTAL)
            else:
                return

    def end_unit(self, digest: bytes, head: UnitHead) -> bytes:
        """Judge, number and keep the egress of a unit, and return the digest behind it."""
        touched, batches, sessions = self._touched, self._batches, self._sessions
        pending = sessions.kept_bytes
        for session in touched.values():
            pending += session.pending_bytes()
        if pending > self._kept_bytes_free:
            self.judge_egress()
        for session_id in sorted(touched) if len(touched) > 1 else touched:
            fresh = sessions.flush(touched[session_id])
            batches += fresh
            self.outbox += fresh
        digest = chain_digest(digest, head, batches, (self._timer_log, self._ends), self._failures)
        if batches:
            for batch in batches:
                self.counters["egress_messages"] += batch.message_count
            self._batches = []
        touched.clear()
        if self._timer_log or self._ends or self._failures:
            self._timer_log, self._ends, self._failures = [], [], 0
        return digest

    def _settle(self, origin: Origin) -> None:
        """Make effective what a callback has asked for, and apply what that leads to."""
        collector = self._collector
        self._commit()
        while self._to_close or self._queue:
            self.budget -= 1
            if self._to_close:
                self._end(self._to_close.popleft(), CloseReason.SERVICE, origin)
            else:
                handler = self._service.on_session_message
                call = partial(handler, None, self.cluster.now, self._queue.popleft())
                self._call(origin._replace(callback="on_session_message"), call)
            self._commit()
        collector.self_messages_left = self.cluster.settings.self_messages_max

    def _commit(self) -> None:
        """Take over what the callback that has returned had asked for."""
        collector = self._collector
        if not collector.dirty:
            return
        for offered in collector.marks:
            session = self._sessions.get(offered.session_id)
            assert session is not None, "sessions end between callbacks, never inside one"
            self._touched[session.session_id] = session
        for timer_id, deadline in sorted(collector.timers.items()):
            if deadline is None:
                self._timers.cancel(timer_id)
                self._timer_log += (timer_id, -1)
            else:
                self._timers.schedule(timer_id, deadline)
                self._timer_log += (timer_id, deadline)
        self._queue += collector.self_messages
        collector.self_messages_left -= len(collector.self_messages)
        self._to_close += collector.closes
        collector.clear()

    def _end(self, session_id: int, reason: CloseReason, origin: Origin) -> None:
        """Take a session out of the table and tell the service."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        if reason is CloseReason.SERVICE:
            # What the service said last reaches the client ahead of the close.
            farewell = self._sessions.flush(session)
            self._batches += farewell
            self.outbox += farewell
        self._sessions.remove(session)
        session.cause = NOT_CURRENT
        self._touched.pop(session_id, None)
        self._ends += (session_id, reason)
        self.outbox.append(SessionClosed(session_id, reason, session.key_hash))
        self.counters["sessions_closed"] += 1
        handler = self._service.on_session_close
        call = partial(handler, session, self.cluster.now, reason)
        self._call(origin._replace(callback="on_session_close"), call)

    def _call(self, origin: Origin, call: Callable[[], object]) -> None:
        """Run one callback; drop what it has asked for if it raises."""
        parts = origin.session.parts if origin.session is not None else []
        mark = len(parts)
        try:
            refuse_result(call())
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - on_error decides
            del parts[mark:]
            self._fail(origin, error)

    def _fail(self, origin: Origin, error: Exception) -> None:
        """Apply the policy to a callback of the log that has raised."""
        self._collector.roll_back()
        self._failures += 1
        session = origin.session
        if session is not None and session.is_open:
            session.offer_error(self.cluster.position, origin.ingress_sequence)
        self._report(origin, error)

    def _report(self, origin: Origin, error: Exception) -> None:
        """Tell this member of a failure, and stop it if that is the policy."""
        session_id = origin.session.session_id if origin.session is not None else 0
        position = self.cluster.position
        self.counters["callback_failures"] += 1
        self._on_failure(
            CallbackFailure(origin.callback, position, session_id, origin.ingress_sequence, error)
        )
        if self.cluster.settings.on_error is OnError.HALT:
            raise ServiceFailed(
                f"{origin.callback} failed at log position {position} with "
                f"{type(error).__name__}, and on_error is halt: correct the service"
            ) from error


def refuse_result(result: object) -> None:
    """Fail a callback that returned something: it would reach nobody."""
    if result is not None:
        raise TypeError(
            f"a callback returned {type(result).__name__}; answers go through session.offer, "
            "records through snapshot.write"
        )
