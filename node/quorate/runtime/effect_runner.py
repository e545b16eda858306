"""Carries out what the consensus module decides, in the order in which it decided it.

Writes go to the archive in a batch, messages to the links, commit positions to
the applier. Events are logged here, once, with the member's ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from quorate.archive.reading import NoBoundary
from quorate.consensus.effects import (
    Alarm,
    AppendToLog,
    CloseLink,
    CommitTo,
    Effect,
    FoundingEnded,
    Halt,
    HaltCode,
    IngressChanged,
    ReadLog,
    RoleChanged,
    Send,
    ServiceDiverged,
    StoreNodeState,
    Trace,
    TransferEnded,
    TruncateLog,
)
from quorate.consensus.leader import Leader
from quorate.consensus.messages import Message
from quorate.consensus.types import LeadershipTermId, LogPosition, Role, Seat
from quorate.errors import CorruptRecord, RemoteProtocolError
from quorate.protocol.log_codec import decode_frames
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.applying import Spawn
from quorate.runtime.events import Event, event_named, log_event

PersistEffect = StoreNodeState | AppendToLog | TruncateLog
LOGGER = logging.getLogger("quorate.runtime")
READ_PART_BYTES = 1024 * 1024
"""Frames of one message to a follower that catches up, about."""


class Recorder(Protocol):
    """The archive's writer and reader threads."""

    def submit(self, effects: Sequence[PersistEffect]) -> None:
        """Have them carried out in order; what needs no sync may complete before this returns."""

    async def read(self, position: LogPosition, bytes_max: int) -> bytes:
        """Read whole frames below the last completed write."""


class Links(Protocol):
    """The links to the other members."""

    def send(self, seat: Seat, message: Message) -> bool:
        """Queue with the other messages to that member; False when dropped."""

    def flush(self) -> None:
        """Send what is queued."""

    def set_role(self, role: Role, leadership_term_id: LeadershipTermId) -> None:
        """Say this in handshakes from now on."""

    def close_link(self, seat: Seat, reason: str) -> None:
        """Close, count the reason, and dial anew."""


Outcome = Callable[[bool, str], None]


class EffectRunner:
    """Implements ``EffectCarrier`` for one member."""

    def __init__(
        self, agent: ConsensusAgent, recorder: Recorder, links: Links, spawn: Spawn
    ) -> None:
        """Carry out what ``agent.module`` decides."""
        self.alarms: dict[str, str] = {}
        self.founding_outcomes: list[Outcome] = []
        self.discard_outcomes: list[Outcome] = []
        self.transfer_outcomes: list[Outcome] = []
        self._agent = agent
        self._recorder = recorder
        self._links = links
        self._spawn = spawn
        self._role = Role.FOLLOWER
        self._halted = False

    def carry_out(self, effects: list[Effect]) -> None:
        """Do everything in order; persist effects of the call reach the writer as one batch.

        Messages leave before this member writes, so that the others work meanwhile.
        """
        batch: list[PersistEffect] = []
        for effect in effects:
            if self._halted:
                return
            match effect:
                case Send():
                    self._links.send(effect.seat, effect.message)
                case AppendToLog():
                    self._agent.metrics.log_frames += len(effect.frames)
                    batch.append(effect)
                case StoreNodeState() | TruncateLog():
                    batch.append(effect)
                case CommitTo():
                    self._agent.applier.commit_to(effect.position)
                case _:
                    self._carry_out_rare(effect)
        if self._halted:
            return
        self._links.flush()
        if batch:
            self._recorder.submit(batch)

    def _carry_out_rare(self, effect: Effect) -> None:
        agent = self._agent
        match effect:
            case Trace():
                self._log(event_named(effect.event), **dict(effect.fields))
            case RoleChanged():
                self._on_role(effect)
            case IngressChanged():
                self._log(Event.INGRESS_CHANGED, state=effect.state.name.lower())
                agent.on_ingress_state(effect.state)
            case ReadLog():
                # Here and not in the task: the office may end before that has its first turn.
                asked_by = (agent.module.term, agent.module.leading)
                self._spawn(self._read(effect, asked_by), f"read log for seat {effect.seat}")
            case CloseLink():
                self._log(Event.FRAME_REFUSED, seat=effect.seat, reason=effect.reason)
                self._links.close_link(effect.seat, effect.reason)
            case Alarm():
                self._on_alarm(effect)
            case TransferEnded() | FoundingEnded():
                self._on_outcome(effect)
            case ServiceDiverged():
                self._on_diverged(effect)
            case Halt():
                self.halt(effect.code, effect.detail)
            case _:
                self.halt(HaltCode.INVARIANT_BROKEN, f"no way to carry out {effect}")

    def halt(self, code: HaltCode, detail: str) -> None:
        """Carry out nothing more and end the process."""
        self._halted = True
        self._log(Event.MEMBER_HALTED, exit_code=int(code), detail=detail)
        self._agent.halt(code, detail)

    def _on_role(self, effect: RoleChanged) -> None:
        agent = self._agent
        self._log(
            Event.ROLE_CHANGED,
            role=effect.role.name.lower(),
            leader=effect.leader,
            reason=effect.reason,
        )
        self._links.set_role(effect.role, effect.leadership_term_id)
        if effect.role is Role.CANDIDATE:
            agent.metrics.elections += 1
        if effect.role is not self._role:
            self._role = effect.role
            if agent.diverged_at is None:
                agent.applier.container.set_role(effect.role)
        if effect.leader is not None:
            self.alarms.pop("waiting_for_quorum", None)
        agent.on_leader_changed()

    def _on_alarm(self, effect: Alarm) -> None:
        if not effect.raised:
            self.alarms.pop(effect.name, None)
            self._log(Event.ALARM_CLEARED, alarm=effect.name)
        elif self.alarms.get(effect.name) != effect.detail:
            self.alarms[effect.name] = effect.detail
            self._log(Event.ALARM_RAISED, alarm=effect.name, detail=effect.detail)
        self._agent.on_news()

    def _on_outcome(self, effect: TransferEnded | FoundingEnded) -> None:
        completed, reason = effect.completed, effect.reason
        if isinstance(effect, TransferEnded):
            self._log(Event.TRANSFER_ENDED, completed=completed, reason=reason)
            self._end(self.transfer_outcomes, completed, reason)
        else:
            self._log(Event.FOUNDING_ENDED, completed=completed, reason=reason)
            # A founding and a discard that wait here each end without success by the other.
            self._end(self.founding_outcomes, completed and not effect.discarded, reason)
            if completed:
                self._end(self.discard_outcomes, effect.discarded, reason)
        self._agent.on_news()

    @staticmethod
    def _end(waiting: list[Outcome], completed: bool, reason: str) -> None:  # noqa: FBT001
        outcomes = list(waiting)
        waiting.clear()
        for outcome in outcomes:
            outcome(completed, reason)

    def _on_diverged(self, effect: ServiceDiverged) -> None:
        """Stop applying and serving here; the log goes on being replicated."""
        agent = self._agent
        if agent.diverged_at is not None:
            return
        agent.diverged_at = effect.position
        detail = (
            f"at {effect.position} this member's service has digest {effect.own.hex()}, a "
            f"majority of voters {effect.majority.hex()}: it is rebuilt by a restart with the "
            "same code as theirs"
        )
        self._log(Event.SERVICE_DIVERGED, position=effect.position)
        self._on_alarm(Alarm("service_diverged", detail))
        if agent.module.role is Role.LEADER:
            agent.request_transfer(None)

    async def _read(
        self, effect: ReadLog, asked_by: tuple[LeadershipTermId, Leader | None]
    ) -> None:
        module = self._agent.module
        try:
            data = await self._recorder.read(effect.position, effect.bytes_max)
            await self._give_parts(effect.seat, data)
        except (CorruptRecord, RemoteProtocolError) as error:
            if (module.term, module.leading) != asked_by:
                # Asked for as leader of a term that is over: the tail may have been cut since.
                self._agent.on_log_read(effect.seat, ())
            elif isinstance(error, NoBoundary):
                self._agent.on_no_boundary(effect.seat, effect.position)
            else:
                raise

    async def _give_parts(self, seat: Seat, data: bytes) -> None:
        """Pass on what was read, each part in a turn of its own."""
        offset = 0
        while True:
            frames = tuple(decode_frames(data, offset, READ_PART_BYTES))
            offset += sum(len(frame.data) for frame in frames)
            more = offset < len(data)
            self._agent.on_log_read(seat, frames, more=more)
            if not more:
                return
            await asyncio.sleep(0)

    def _log(self, event: Event, **fields: object) -> None:
        module = self._agent.module
        log_event(
            LOGGER,
            event,
            **{
                "seat": module.core.seat,
                "leadership_term_id": module.term,
                "log_position": module.core.log.end.position,
                **fields,
            },
        )
