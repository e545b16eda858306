"""Applies one frame of the log to the replicated state: what each kind of entry means.

A generator per frame, so that a long one can be applied in slices: it yields where the budget
of the slice is used up, and only between messages. Where it yields never shows in the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from quorate.consensus.types import FrameType, LogFrame, Membership
from quorate.errors import InvariantBroken, RemoteProtocolError
from quorate.protocol.batch import decode_ingress_batch
from quorate.protocol.entry_bodies import CloseReason, decode_session_close, decode_session_open
from quorate.protocol.log_codec import (
    EntryType,
    LogEntry,
    UnknownFormat,
    decode_entries,
    frame_body,
)
from quorate.protocol.term_codec import decode_founding, decode_settings, decode_term
from quorate.service.api import ClusteredService, LeadershipTerm
from quorate.service.callbacks import CallbackRunner, Origin
from quorate.service.collector import Collector
from quorate.service.digest import UnitHead, UnitKind
from quorate.service.outbox import SequenceGap, SessionClosed, SessionOpened
from quorate.service.sessions import Session
from quorate.service.snapshot import ReplicatedState

JUDGED_EVERY = 256
"""Messages of one batch after which kept egress is judged, so that a batch of tiny messages
with long answers cannot fill the memory before its end. Counted in the batch: the same on all
members, whatever the slices."""


class FrameApplier:
    """Turns frames into callbacks and changes of the state."""

    __slots__ = ("_collector", "_runner", "_service", "_state")

    def __init__(
        self,
        service: ClusteredService,
        state: ReplicatedState,
        runner: CallbackRunner,
        collector: Collector,
    ) -> None:
        """Wire the parts."""
        self._service = service
        self._state = state
        self._runner = runner
        self._collector = collector

    def apply(self, frame: LogFrame) -> Iterator[None]:
        """Apply one frame; yields where the budget of a slice is used up."""
        if self._state.timers.begin_frame(frame.timestamp):
            yield from self._fire_timers(frame)
        if frame.frame_type is FrameType.ENTRIES:
            runner = self._runner
            for entry in decode_entries(frame):
                runner.cluster.position = entry.position
                if entry.entry_type is not EntryType.SESSION_INGRESS:
                    self._apply_other(entry)
                elif (rest := self._apply_ingress(entry)) is not None:
                    yield from rest
                if runner.budget <= 0:
                    yield
        elif frame.frame_type is FrameType.FOUNDING:
            self._found(frame)
        elif frame.frame_type is FrameType.NEW_LEADERSHIP_TERM:
            self._begin_term(frame)

    def _fire_timers(self, frame: LogFrame) -> Iterator[None]:
        timers, runner = self._state.timers, self._runner
        while (due := timers.pop_due()) is not None:
            _, timer_id = due
            runner.counters["timers_fired"] += 1
            call = partial(self._service.on_timer, timer_id, frame.timestamp)
            runner.run_root(Origin("on_timer"), call)
            self._end_unit(UnitKind.TIMER, timer_id)
            if runner.budget <= 0:
                yield

    def _found(self, frame: LogFrame) -> None:
        if frame.position != 0:
            raise InvariantBroken(f"founding frame at {frame.position}")
        body = decode_founding(frame_body(frame))
        self._state.membership = Membership(voter_sets=(body.members,))
        self._state.settings = body.settings
        self._runner.use_settings(body.settings)
        self._end_unit(UnitKind.FOUNDING, frame.chain)

    def _begin_term(self, frame: LogFrame) -> None:
        """Check the tables against those in force; take nothing else from them."""
        body = decode_term(frame_body(frame))
        state = self._state
        if body.settings != state.settings or body.membership != state.membership:
            raise InvariantBroken(
                f"term {body.leadership_term_id} at {frame.position} carries other settings or "
                "members than the log before it"
            )
        if body.possible_loss:
            state.loss_position = frame.position
        term = LeadershipTerm(
            body.leadership_term_id, frame.position, frame.timestamp, body.possible_loss
        )
        call = partial(self._service.on_new_leadership_term, term)
        self._runner.run_bare("on_new_leadership_term", call)

    def _apply_ingress(self, entry: LogEntry) -> Iterator[None] | None:
        """Apply what of a batch is new, if it is short; else return what does so in slices."""
        session = self._state.sessions.get(entry.cluster_session_id)
        if session is None:
            self._runner.counters["ingress_of_ended_sessions"] += 1
        else:
            self._state.sessions.acknowledge(session, entry.egress_acknowledged)
            first = self._first_new(entry, session)
            messages = None if first is None else self._split(entry, session)
            if first is not None and messages is not None:
                if first == 0 and len(messages) < min(JUDGED_EVERY, self._runner.budget):
                    first = self._runner.run_messages(session, messages)
                if first < len(messages) and session.is_open:
                    return self._apply_rest(entry, session, messages, first)
        self._end_unit(UnitKind.SESSION_INGRESS, entry.cluster_session_id, session)
        return None

    def _apply_rest(
        self, entry: LogEntry, session: Session, messages: list[bytes], first: int
    ) -> Iterator[None]:
        """Apply a batch from ``first`` on; yields where the budget of a slice is used up.

        Calls the service from as deep a stack as ``_apply_ingress`` does: else it would depend on
        the slices at which depth of its own recursion, or of its input, Python stops it.
        """
        runner, index, count = self._runner, first, len(messages)
        while index < count and session.is_open:
            stop = min((index // JUDGED_EVERY + 1) * JUDGED_EVERY, index + runner.budget)
            part = messages if index == 0 and stop >= count else messages[index:stop]
            index += runner.run_messages(session, part)
            if index % JUDGED_EVERY == 0:
                runner.judge_egress()
            if runner.budget <= 0:
                yield
        self._end_unit(UnitKind.SESSION_INGRESS, entry.cluster_session_id, session)

    def _apply_other(self, entry: LogEntry) -> None:
        session = self._state.sessions.get(entry.cluster_session_id)
        if entry.entry_type is EntryType.EGRESS_ACKNOWLEDGEMENT:
            if session is not None:
                self._state.sessions.acknowledge(session, entry.egress_acknowledged)
        elif entry.entry_type is EntryType.SESSION_OPEN:
            session = self._open_session(entry)
        elif entry.entry_type is EntryType.SESSION_CLOSE:
            reason = decode_session_close(entry.body)
            if session is not None:
                self._runner.end_session(session, reason)
        elif entry.entry_type is EntryType.SETTINGS:
            self._state.settings = decode_settings(entry.body)
            self._runner.use_settings(self._state.settings)
            self._runner.judge_everyone()
        else:
            raise UnknownFormat(
                f"entry {entry.entry_type.name} at {entry.position}: this release cannot apply "
                "it; upgrade this member"
            )
        self._end_unit(UnitKind(entry.entry_type), entry.cluster_session_id, session)

    def _end_unit(self, kind: UnitKind, subject: int, session: Session | None = None) -> None:
        cluster = self._runner.cluster
        head = UnitHead(
            kind,
            cluster.position,
            cluster.now,
            subject if session is None else session.session_id,
            0 if session is None else session.last_ingress_sequence,
            0 if session is None else session.egress_acknowledged,
        )
        self._state.digest = self._runner.end_unit(self._state.digest, head)

    def _open_session(self, entry: LogEntry) -> Session | None:
        """Open a session, or resume the one that holds the key; a named one is never made.

        None is resumed over a possible loss: the log may hold other egress than its client has
        received, under the same numbers, and then new answers would pass for old ones. A client
        that names none was told nothing yet.
        """
        body = decode_session_open(entry.body)
        sessions, runner = self._state.sessions, self._runner
        named = entry.cluster_session_id
        session = sessions.by_key(body.key_hash)
        if named and (session is None or session.session_id != named):
            runner.outbox.append(SessionClosed(named, CloseReason.EXPIRED, body.key_hash))
            return None
        if named and session is not None and named < self._state.loss_position:
            runner.end_session(session, CloseReason.LOST)
            return session
        if session is not None:
            runner.outbox.append(SessionOpened(session.session_id, body.key_hash))
            return session
        if len(sessions) >= self._state.settings.sessions_max:
            runner.counters["sessions_refused"] += 1
            refusal = SessionClosed(entry.position, CloseReason.SESSIONS, body.key_hash)
            runner.outbox.append(refusal)
            return None
        session = Session(
            entry.position,
            body.key_hash,
            body.principal,
            body.name,
            body.message_bytes_max,
            self._collector,
        )
        sessions.add(session)
        runner.counters["sessions_opened"] += 1
        runner.outbox.append(SessionOpened(session.session_id, body.key_hash))
        call = partial(self._service.on_session_open, session, self._runner.cluster.now)
        runner.run_root(Origin("on_session_open", session), call)
        return session

    def _first_new(self, entry: LogEntry, session: Session) -> int | None:
        """Return the index of the first message of a batch to apply: no gap, each one once."""
        runner = self._runner
        skipped = session.last_ingress_sequence + 1 - entry.first_sequence
        if skipped < 0:
            next_sequence = session.last_ingress_sequence + 1
            runner.counters["ingress_gaps"] += 1
            runner.outbox.append(SequenceGap(session.session_id, next_sequence))
            return None
        if skipped:
            skipped = min(skipped, entry.message_count)
            runner.counters["ingress_duplicates"] += skipped
        return skipped if skipped < entry.message_count else None

    def _split(self, entry: LogEntry, session: Session) -> list[bytes] | None:
        """Cut a batch into its messages; a bad one ends its session."""
        try:
            messages = decode_ingress_batch(entry.body, entry.message_count)
        except RemoteProtocolError:
            self._runner.end_session(session, CloseReason.BAD_BATCH)
            return None
        limit = session.ingress_bytes_max(self._state.settings.message_bytes_max)
        if len(entry.body) > limit and max(map(len, messages)) > limit:
            self._runner.end_session(session, CloseReason.MESSAGE_BYTES)
            return None
        return messages
