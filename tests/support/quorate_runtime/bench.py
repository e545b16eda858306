"""One member's agent among fakes that record, and complete only when told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import cast

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.config import ConsensusConfig, Identity, Recovered
from quorate.consensus.effects import AppendToLog, HaltCode
from quorate.consensus.messages import Message
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    LOG_START,
    ClusterId,
    Instant,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    MemberId,
    PeerLife,
    Role,
    Seat,
    StartNonce,
)
from quorate.control.metrics import Metrics
from quorate.protocol.entry_bodies import SessionOpenBody, encode_session_open
from quorate.protocol.frame_codec import LogFrameCodec
from quorate.protocol.log_codec import EntryType, encode_entry
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.applying import Applier
from quorate.runtime.effect_runner import EffectRunner, PersistEffect
from quorate.service.api import ClusteredService
from quorate.service.container import ServiceContainer
from quorate.service.outbox import Outbound, SessionOpened

CLUSTER = ClusterId(b"c" * 16)
MS = 1_000_000


class FakeClock:
    """Three clocks that move when told."""

    def __init__(self) -> None:
        """Begin at a second."""
        self.now = 1_000 * MS
        self.step = 0
        """Added with every reading: the work between two readings."""

    def monotonic(self) -> int:
        """Return the time, moving it on by ``step``."""
        self.now += self.step
        return self.now

    def boottime(self) -> int:
        """Return the same."""
        return self.now

    def wall(self) -> int:
        """Return Unix time."""
        return 1_700_000_000_000 * MS + self.now


class TimelessLoop:
    """The running loop without its timers: time passes by ``AgentBench.pass_time`` only."""

    def __init__(self, clock: FakeClock) -> None:
        """Wrap the running loop."""
        self.call_soon = asyncio.get_running_loop().call_soon
        self.delays_s: list[float] = []
        """What was asked for, latest last."""
        self.pending: list[TimelessHandle] = []
        """What would still be called."""
        self._clock = clock

    def call_later(self, delay: float, _callback: object) -> TimelessHandle:
        """Never call."""
        self.delays_s.append(delay)
        handle = TimelessHandle(self.pending, self._clock.now + round(delay * 1e9))
        self.pending.append(handle)
        return handle


class TimelessHandle:
    """Stands for a timer."""

    def __init__(self, pending: list[TimelessHandle], at_ns: int) -> None:
        """Be one of those that are pending."""
        self._pending = pending
        self.at_ns = at_ns

    def cancel(self) -> None:
        """Be called no more."""
        self._pending.remove(self)


class FakeRecorder:
    """Keeps what was submitted, and the log for reading."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.batches: list[Sequence[PersistEffect]] = []
        self.reads: list[LogPosition] = []
        self.frames: dict[LogPosition, bytes] = {}

    def submit(self, effects: Sequence[PersistEffect]) -> None:
        """Note a batch."""
        self.batches.append(effects)
        for effect in effects:
            if isinstance(effect, AppendToLog):
                self.frames.update({frame.position: frame.data for frame in effect.frames})

    async def read(self, position: LogPosition, bytes_max: int) -> bytes:
        """Return whole frames, at least one."""
        self.reads.append(position)
        data = b""
        while position in self.frames and (not data or len(data) < bytes_max):
            data += self.frames[position]
            position = LogPosition(position + len(self.frames[position]))
        return data


class FakeLinks:
    """Keeps what was sent and closed."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.sent: list[tuple[Seat, Message]] = []
        self.closed: list[tuple[Seat, str]] = []
        self.role: tuple[Role, LeadershipTermId] | None = None

    def send(self, seat: Seat, message: Message) -> bool:
        """Note a message."""
        self.sent.append((seat, message))
        return True

    def flush(self) -> None:
        """Nothing is queued here."""

    def set_role(self, role: Role, leadership_term_id: LeadershipTermId) -> None:
        """Note what handshakes would say."""
        self.role = (role, leadership_term_id)

    def close_link(self, seat: Seat, reason: str) -> None:
        """Note a close."""
        self.closed.append((seat, reason))


class FakeGateway:
    """Keeps what it was told."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.outbox: list[Outbound] = []
        self.turns: list[tuple[int, int, int]] = []
        self.calls: list[str] = []

    def on_outbox(self, outbox: list[Outbound]) -> None:
        """Note egress."""
        self.outbox.extend(outbox)

    def on_serving_changed(self) -> None:
        """Note the call."""
        self.calls.append("serving changed")

    def on_turn(self, now_ns: int, positions: tuple[int, int, int]) -> None:
        """Note the positions."""
        self.turns.append(positions)

    def on_rejected(self) -> None:
        """Note the call."""
        self.calls.append("rejected")

    def pause(self) -> None:
        """Note the call."""
        self.calls.append("pause")

    def resume(self) -> None:
        """Note the call."""
        self.calls.append("resume")

    def refuse_ingress(self) -> None:
        """Note the call."""
        self.calls.append("refuse ingress")

    def take_ingress(self) -> None:
        """Note the call."""
        self.calls.append("take ingress")


class AgentBench:
    """An agent in seat 0 of a cluster of ``size``, and all its neighbours as fakes."""

    def __init__(self, service: ClusteredService, size: int = 1, tail_bytes: int = 1 << 24) -> None:
        """Wire it; ``attach`` needs the loop."""
        seats = tuple((Seat(seat), f"member-{seat}") for seat in range(size))
        self.clock = FakeClock()
        self.module = ConsensusModule(
            config=ConsensusConfig(tail_bytes=tail_bytes),
            identity=Identity(CLUSTER, member_id(0), Seat(0), StartNonce(1), 0, seats, b"h" * 16),
            recovered=Recovered(BLANK_NODE_STATE, (), LOG_START, 0, None),
            codec=LogFrameCodec(CLUSTER, 0, ClusterSettings(), ClusterConstants()),
            random=lambda low, _high: low,
            now=Instant(0, self.clock.boottime(), self.clock.wall()),
        )
        self.recorder, self.links, self.gateway = FakeRecorder(), FakeLinks(), FakeGateway()
        self.metrics = Metrics()
        self.halts: list[tuple[HaltCode, str]] = []
        self.failures: list[object] = []
        self.errors: list[Exception] = []
        self.tasks: list[asyncio.Task[object]] = []
        self.loop: TimelessLoop
        container = ServiceContainer(service, self.failures.append)
        container.start(None)
        self.applier = Applier(
            container, self.module.core.log, self.clock, self.recorder.read, self.spawn, self.wake
        )
        self.agent = ConsensusAgent(
            self.module,
            self.applier,
            self.clock,
            self.metrics,
            ClusterConstants(),
            lambda code, detail: self.halts.append((code, detail)),
        )
        self.effects = EffectRunner(self.agent, self.recorder, self.links, self.spawn)

    def attach(self) -> None:
        """Begin, on the running loop."""
        self.loop = TimelessLoop(self.clock)
        asyncio.get_running_loop().set_exception_handler(self._on_unhandled)
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.agent.attach(loop, self.effects, self.gateway)

    def spawn(self, coroutine: Coroutine[object, object, None], name: str) -> None:
        """Run a task."""
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine, name=name))

    def wake(self) -> None:
        """Ask the agent for a turn."""
        self.agent.wake()

    async def turns(self, count: int = 3) -> None:
        """Let the loop go round; each round is at most one turn of the agent.

        Raises:
            Exception: What the agent has raised meanwhile, and would end its member.

        """
        for _ in range(count):
            await asyncio.sleep(0)
            if self.errors:
                raise self.errors.pop()

    def _on_unhandled(self, _: object, context: dict[str, object]) -> None:
        error = context.get("exception")
        assert isinstance(error, Exception), context
        self.errors.append(error)

    async def persist_all(self) -> None:
        """Complete everything that was submitted, and let the agent take it in."""
        while self.module.core.persisted < self.module.core.sequence:
            self.agent.on_persisted(self.module.core.sequence)
            await self.turns()

    async def lead(self) -> None:
        """Found the cluster of one and let it lead and serve."""
        self.attach()
        await self.turns()
        assert self.agent.request_found(discard=False) is None
        await self.turns()
        await self.persist_all()
        await self.pass_time(1)
        await self.persist_all()
        await self.turns()

    async def open_session(self) -> int:
        """Return a session's id, opened by the leader that this member is."""
        self.agent.append_entry(open_entry())
        await self.turns()
        await self.persist_all()
        *_, opened = (item for item in self.gateway.outbox if isinstance(item, SessionOpened))
        return opened.session_id

    async def pass_time(self, ms: int) -> None:
        """Let loop time pass, without a stall, and everything due happen."""
        while ms > 0:
            self.clock.now += min(ms, 50) * MS
            ms -= 50
            self.loop.pending.clear()
            self.agent.on_timer()
            await self.turns()


def member_id(seat: int) -> MemberId:
    """Return the id of the directory in a seat."""
    return MemberId(bytes([seat + 1]) * 16)


def life(seat: int) -> PeerLife:
    """Return the only life of the member in a seat."""
    return PeerLife(Seat(seat), member_id(seat), StartNonce(1))


def appended(bench: AgentBench) -> list[LogFrame]:
    """Return all frames submitted to the recorder, in order."""
    return [
        frame
        for batch in bench.recorder.batches
        for effect in batch
        if isinstance(effect, AppendToLog)
        for frame in effect.frames
    ]


def open_entry() -> bytes:
    """Return the entry that opens a session."""
    body = SessionOpenBody(
        key_hash=b"k" * 16, principal=b"", name="test", message_bytes_max=1 << 18
    )
    return encode_entry(EntryType.SESSION_OPEN, 0, encode_session_open(body))


def ingress(session_id: int, first_sequence: int, messages: Sequence[bytes]) -> bytes:
    """Return the entry of one batch of a session."""
    body = b"".join(len(message).to_bytes(4, "little") + message for message in messages)
    return encode_entry(
        EntryType.SESSION_INGRESS,
        session_id,
        body,
        first_sequence=first_sequence,
        message_count=len(messages),
    )
