"""One member under virtual time: production module, container and archive, and a small agent.

The agent does what the production one does in a turn (inputs first, then effects, then a
slice of applying, then timers), without sockets, threads or a loop. The disk is one worker
that takes whatever has come in while it was busy, like the archive's writer thread.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import Protocol

from quorate.archive.archive import Archive
from quorate.clock import LoopTime
from quorate.config import ClusterConstants, Durability
from quorate.consensus.config import ConsensusConfig, Identity, Recovered
from quorate.consensus.effects import (
    AppendToLog,
    CloseLink,
    CommitTo,
    Effect,
    Halt,
    IngressChanged,
    IngressState,
    ReadLog,
    RoleChanged,
    Send,
    ServiceDiverged,
    StoreNodeState,
    TransferEnded,
    TruncateLog,
)
from quorate.consensus.messages import AppendReport, Message
from quorate.consensus.module import ConsensusModule, Rejection
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    ClusterId,
    Instant,
    LogFrame,
    LogPosition,
    MemberId,
    PeerLife,
    Role,
    Seat,
    StartNonce,
)
from quorate.errors import DiskFull
from quorate.protocol.log_codec import decode_frames
from quorate.service.container import ServiceContainer
from quorate_simulation.checkers import ConsensusChecker
from quorate_simulation.disk import SimulatedCrash, SimulatedDisk
from quorate_simulation.founding import CachingCodec
from quorate_simulation.reopening import take_up
from quorate_simulation.shadow import Persist, ShadowMember
from quorate_simulation.timed_clock import MS, SECOND, MachineClock, Schedule
from quorate_simulation.timed_gateway import TimedGateway
from quorate_simulation.timed_network import Network
from quorate_simulation.timed_pause import Pause
from quorate_simulation.timed_service import RecordingService
from quorate_simulation.waits import check_waits

TICK_MAX = 50 * MS
STALL_ROUNDS = 2
IDLE_INTERVAL = 250 * MS
FULL_RETRY = 250 * MS


class Setting(Protocol):
    """What all members of a simulated cluster have in common."""

    schedule: Schedule
    random: Random
    checker: ConsensusChecker
    config: ConsensusConfig
    constants: ClusterConstants
    codec: CachingCodec
    cluster_id: ClusterId
    durability: Durability
    seats: tuple[tuple[Seat, str], ...]
    network: Network
    frames_per_slice: int
    digests: dict[tuple[int, int | None], bytes]
    """Position and chain there → digest of the service, whoever was first."""

    def next_nonce(self) -> int:
        """Return a number that no life has had."""

    def codec_member(self, seat: int) -> MemberId:
        """Return the member id of the directory in a seat."""


class TimedMember:
    """One seat: a machine with a disk and clocks, and the process on it if it runs."""

    def __init__(self, setting: Setting, seat: int, disk: SimulatedDisk) -> None:
        """Take the seat; nothing runs yet."""
        self.setting = setting
        self.seat = Seat(seat)
        self.disk = disk
        self.clock = MachineClock(setting.schedule, setting.random)
        self.shadow: ShadowMember
        self.peer = PeerLife(self.seat, setting.codec_member(seat), StartNonce(0))
        self.is_powered = True
        self.boot = 0
        self.pause = Pause(setting.schedule)
        self.disk_latency = (MS // 10, MS)
        self.turn_cost = 0
        self.module: ConsensusModule | None = None
        self.container: ServiceContainer
        self.service: RecordingService
        self.archive: Archive
        self.gateway: TimedGateway
        self._life = 0

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.module is not None

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process on what the disk holds."""
        setting = self.setting
        self._life += 1
        self.is_powered = True
        self.archive = Archive.open(
            self.disk,
            cluster_id=setting.cluster_id,
            constants=setting.constants,
            durability=setting.durability,
            boot_id=b"%016d" % self.boot,
            new_member_id=self.peer.member_id,
        )
        recovered = self.archive.recovered
        take_up(setting.checker.history, self.shadow, self.archive)
        self.shadow.start_life()
        self.peer = PeerLife(self.seat, self.archive.member_id, StartNonce(setting.next_nonce()))
        identity = Identity(
            cluster_id=setting.cluster_id,
            member_id=self.archive.member_id,
            seat=self.seat,
            start_nonce=self.peer.start_nonce,
            epoch=0,
            seats=setting.seats,
            configuration_hash=bytes(16),
        )
        self._loop_time = LoopTime(self.clock.monotonic())
        self._instant, _ = self.clock.instant(self._loop_time)
        self._in_turn = False
        self._stall_rounds = 0
        self._timer_at = 1 << 62
        self._pending: list[Persist] = []
        self._writing: list[Persist] = []
        self._write_began = 0
        self._commit = LogPosition(0)
        self._current: LogFrame | None = None
        self._file_frames: list[LogFrame] = []
        self._proposals: list[bytes] = []
        self.diverged = False
        self.service = RecordingService()
        self.container = ServiceContainer(self.service, lambda failure: None)
        self.container.start(None)
        seed = setting.random.getrandbits(48)
        self.module = ConsensusModule(
            config=setting.config,
            identity=identity,
            recovered=Recovered(
                recovered.node_state,
                recovered.terms,
                recovered.end,
                recovered.last_timestamp,
                recovered.founding,
            ),
            codec=setting.codec,
            random=Random(seed).randint,
            now=self._instant,
        )
        self.gateway = TimedGateway(self)
        self._idle(self._life)
        self._later(0, self.wake)

    def kill(self, *, power: bool) -> None:
        """End the process, or the machine, in the middle of whatever it is writing."""
        setting = self.setting
        if self._writing:
            self.disk.crash_at = self.disk.operations + 1 + setting.random.randrange(14)
            with suppress(SimulatedCrash, DiskFull):
                self.archive.persist(self._writing)
        self._life += 1
        self.module = None
        self.shadow.leading = 0
        self.gateway.close()
        if power:
            self.disk.power_cut(setting.random)
            self.boot += 1
            self.is_powered = False
        else:
            self.disk.crash_process()
        self.pause.end()
        setting.network.on_process_end(self.seat, powered=not power)

    def stop(self) -> None:
        """End the process in good order."""
        assert self.module is not None
        batch = self._writing + self._pending
        if batch:
            try:
                self.archive.persist(batch)
            except DiskFull:
                # Waits for space until its patience ends, and is no clean end then.
                self.kill(power=False)
                return
            self._complete(batch)
        self.archive.close_clean()
        self._life += 1
        self.module = None
        self.shadow.leading = 0
        self.gateway.close()
        self.disk.crash_process()
        self.setting.network.on_process_end(self.seat, powered=True)

    # -- turns ----------------------------------------------------------------------------------

    def _later(self, delay: int, event: Callable[[], None]) -> None:
        """Have something happen in this life, after a pause if there is one."""
        life = self._life

        def happen() -> None:
            if self._life == life and self.module is not None:
                self.pause.when_over(event)

        self.setting.schedule.after(delay, happen)

    def _input(self, give: Callable[[ConsensusModule, Instant], object]) -> None:
        """Give the module an input now, or when a pause is over."""

        def take() -> None:
            assert self.module is not None
            give(self.module, self.begin_turn())

        self.pause.when_over(take)

    def _glance(self, give: Callable[[ConsensusModule, Instant], object]) -> None:
        """Give the module an input that begins a turn only if it leaves something to do."""

        def take() -> None:
            module = self.module
            assert module is not None
            if not self._in_turn:
                self._read_clocks()
            give(module, self._instant)
            if not self._in_turn and (module.core.has_news or self._stall_rounds):
                self._open_turn()

        self.pause.when_over(take)

    def begin_turn(self) -> Instant:
        """Return the clocks of the present turn, beginning one if none is under way."""
        if not self._in_turn:
            self._read_clocks()
            self._open_turn()
        return self._instant

    def _read_clocks(self) -> None:
        self._instant, stalled = self.clock.instant(self._loop_time)
        if stalled:
            self._stall_rounds = STALL_ROUNDS

    def _open_turn(self) -> None:
        self._in_turn = True
        self._later(self.turn_cost, self._end_turn)

    def wake(self) -> None:
        """Ask for a turn."""
        self.begin_turn()

    def _end_turn(self) -> None:
        assert self.module is not None
        self._append_entries()
        self._carry_out()
        self._apply()
        self._fire_timers()
        if not self._stall_rounds:
            self.gateway.on_turn()
            self._append_entries()
        self._carry_out()
        self._in_turn = False
        if self._can_apply():
            self._later(0, self.wake)
        self._arm(self._next_delay())

    def _next_delay(self) -> int:
        assert self.module is not None
        if self._stall_rounds:
            return MS
        delay = min(self.module.next_deadline - self._instant.loop, TICK_MAX)
        due = self._timer_due_in()
        return max(0, delay if due is None else min(delay, due))

    def _arm(self, local_delay: int) -> None:
        delay = self.clock.real(local_delay) + 1
        at = self.setting.schedule.now + delay
        if at < self._timer_at:
            self._timer_at = at
            self._later(delay, lambda: self._on_timer(at))

    def _on_timer(self, at: int) -> None:
        if at != self._timer_at:
            return
        self._timer_at = 1 << 62
        assert self.module is not None
        now = self.begin_turn()
        if self._stall_rounds:
            self._stall_rounds -= 1
            return
        busy = self.setting.schedule.now - self._write_began if self._writing else 0
        patience = self.setting.config.election_timeout_min_ns // 2
        self.module.on_storage_stalled(now, stalled=busy > patience)
        room_end = self.archive.room_end
        if room_end != ROOM_UNBOUNDED:
            self.setting.checker.history.marks.add("disk nearly full")
        self.module.on_room(now, room_end)
        self.module.on_tick(now)

    # -- effects --------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        module = self.module
        assert module is not None
        effects = module.drain()
        if not effects:
            return
        checker, member = self.setting.checker, self.shadow
        batch: list[Persist] = []
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case StoreNodeState():
                    checker.on_store(member, effect)
                    batch.append(effect)
                case AppendToLog():
                    checker.on_append(member, effect)
                    batch.append(effect)
                case TruncateLog():
                    checker.on_truncate(member, effect)
                    batch.append(effect)
                case CommitTo():
                    checker.on_commit(member, effect)
                    self._commit = effect.position
                case _:
                    self._carry_out_rare(effect)
        checker.after_event(member, module.core)
        check_waits(checker.history, module)
        if batch:
            self._pending.extend(batch)
            self._begin_write()

    def _carry_out_rare(self, effect: Effect) -> None:
        checker, member = self.setting.checker, self.shadow
        match effect:
            case RoleChanged():
                if effect.role is not Role.LEADER:
                    if member.leading:
                        checker.history.marks.add("stepped down")
                    member.leading = 0
                    member.transferring = False
                    self.gateway.on_leadership_lost()
                self.container.set_role(effect.role)
            case IngressChanged():
                self._on_ingress_changed(effect.state)
            case ReadLog():
                self._later(
                    self._latency(),
                    partial(self._read_for, effect.seat, effect.position, effect.bytes_max),
                )
            case CloseLink():
                self.setting.network.close_by(self.seat, effect.seat)
            case TransferEnded():
                checker.on_transfer_ended(member, effect)
            case ServiceDiverged():
                checker.history.fail("digest", f"seat {self.seat}: {effect}")
            case Halt():
                checker.on_halt(member, effect)
            case _:
                pass

    def _on_ingress_changed(self, state: IngressState) -> None:
        if state is IngressState.STORAGE_FULL:
            self.setting.checker.history.marks.add("log full")
            self.gateway.refuse_ingress()
        elif state is not IngressState.PAUSED:
            if state is IngressState.CLOSED:
                self._proposals.clear()
            self.gateway.take_ingress()

    def _send(self, effect: Send) -> None:
        network = self.setting.network
        link = network.links[self.seat].get(effect.seat)
        if link is not None:
            to = link.lives[effect.seat].member_id
            self.setting.checker.on_send(self.shadow, to, effect.message)
            network.send(self, effect.seat, effect.message)

    # -- disk -----------------------------------------------------------------------------------

    def _latency(self) -> int:
        low, high = self.disk_latency
        return self.setting.random.randrange(low, high)

    def _begin_write(self) -> None:
        if self._writing or not self._pending:
            return
        self._writing, self._pending = self._pending, []
        self._write_began = self.setting.schedule.now
        self._later(self._latency(), self._end_write)

    def _end_write(self) -> None:
        batch = self._writing
        try:
            sequence = self.archive.persist(batch)
        except DiskFull:
            self.setting.checker.history.marks.add("writer waited for space")
            self._later(FULL_RETRY, self._end_write)
            return
        self._writing = []
        self._complete(batch)
        self._begin_write()
        self._glance(lambda module, now: module.on_persisted(now, sequence))

    def _complete(self, batch: list[Persist]) -> None:
        checker, member = self.setting.checker, self.shadow
        for _ in batch:
            checker.complete(member)
        member.synced_count = member.disk.marks[self.archive.synced.position]

    def _read_for(self, seat: Seat, position: LogPosition, bytes_max: int) -> None:
        frames = tuple(decode_frames(self.archive.read(position, bytes_max)))
        self._input(lambda module, now: module.on_log_read(now, seat, frames))

    def _idle(self, life: int) -> None:
        """Do what the archive's threads do by themselves."""
        if self._life != life:
            return
        if not self._writing:
            self.archive.idle(self.clock.monotonic() / SECOND)
            self.archive.sync_if_due(self.clock.monotonic() / SECOND)
            self.shadow.synced_count = self.shadow.disk.marks[self.archive.synced.position]
        while self.archive.prepare_spare():
            pass
        self._later(IDLE_INTERVAL, lambda: self._idle(life))

    # -- applying -------------------------------------------------------------------------------

    def _can_apply(self) -> bool:
        return not self.diverged and self.container.position < self._commit

    def _apply(self) -> None:
        module, container = self.module, self.container
        assert module is not None
        before = container.position
        for _ in range(self.setting.frames_per_slice):
            if not self._can_apply():
                break
            if self._current is None:
                self._current = self._next_frame()
                container.begin(self._current)
            if container.step(self.setting.random.randrange(1, 64)):
                self._current = None
                self._check_digest()
        outbox = container.take_outbox()
        if container.position != before:
            self.setting.checker.on_applied(self.shadow, container.position)
            module.on_service_position(self._instant, container.position)
            for position, digest in container.take_digests():
                module.on_digest(self._instant, position, digest)
        if module.role is Role.LEADER:
            self.gateway.on_outbox(outbox)

    def _next_frame(self) -> LogFrame:
        assert self.module is not None
        position = self.container.position
        frame = self.module.core.log.frame_at(position)
        if frame is not None:
            return frame
        while self._file_frames and self._file_frames[0].position < position:
            self._file_frames.pop(0)
        if not self._file_frames:
            read = decode_frames(self.archive.read(position, 1 << 16))
            # What is not committed yet may be another frame by the time it is, and what is not
            # durable yet is another frame in the file where the tail is about to be cut.
            known = min(self._commit, self.module.core.log.durable)
            self._file_frames = [frame for frame in read if frame.end <= known]
        return self._file_frames.pop(0)

    def _check_digest(self) -> None:
        """I5: the same service state at the same position, everywhere and in every life."""
        position, digest = self.container.position, self.container.digest
        chain = self.shadow.log.chain_at(position)
        known = self.setting.digests.setdefault((position, chain), digest)
        self.setting.checker.history.require(
            known == digest, "I5", "services differ at", position, "seat", self.seat
        )

    def _timer_due_in(self) -> int | None:
        module = self.module
        assert module is not None
        deadline = self.container.next_timer_deadline
        if deadline is None or module.leading is None:
            return None
        if module.transfer_target is not None or module.core.storage_full:
            return None
        log = module.core.log
        if log.end.position > self.container.position and log.last_timestamp >= deadline:
            return None
        log_time = module.log_time(self._instant)
        return None if log_time is None else max(0, deadline - log_time)

    def _fire_timers(self) -> None:
        if self._timer_due_in() == 0:
            assert self.module is not None
            self.module.propose_empty(self._instant)

    # -- ingress --------------------------------------------------------------------------------

    def append_entry(self, entry: bytes) -> None:
        """Put one entry into this turn's frame."""
        self.begin_turn()
        self._proposals.append(entry)

    def _append_entries(self) -> None:
        assert self.module is not None
        entries, self._proposals = self._proposals, []
        limit = self.setting.constants.frame_bytes_max - 64
        first, size = 0, 0
        for index, entry in enumerate(entries):
            if size and size + len(entry) > limit:
                if not self._propose(entries[first:index]):
                    break
                first, size = index, 0
            size += len(entry)
        else:
            if not entries or self._propose(entries[first:]):
                return
        self._proposals = entries[first:]

    def _propose(self, entries: list[bytes]) -> bool:
        assert self.module is not None
        outcome = self.module.propose(self._instant, b"".join(entries), len(entries))
        if isinstance(outcome, Rejection):
            self.setting.checker.history.marks.add(f"refused: {outcome.name.lower()}")
        return outcome is not Rejection.STORAGE_FULL

    @property
    def serving(self) -> bool:
        """Whether clients are answered here."""
        module = self.module
        return (
            module is not None
            and module.leading is not None
            and self.container.position >= module.leading.term_frame_end
            and module.transfer_target is None
            and not self.diverged
            and not module.is_undecided
        )

    # -- what the network says ------------------------------------------------------------------

    def link_up(self, peer: PeerLife) -> None:
        """Pass on."""
        self._input(lambda module, now: module.on_link_up(now, peer))

    def link_down(self, peer: PeerLife) -> None:
        """Pass on."""
        self._input(lambda module, now: module.on_link_down(now, peer))

    def refused(self, seat: Seat) -> None:
        """Pass on."""
        self._input(lambda module, now: module.on_reconnect_refused(now, seat))

    def receive(self, peer: PeerLife, message: Message) -> None:
        """Pass on; as in production, a report that changes nothing has no turn of its own."""
        take = self._glance if isinstance(message, AppendReport) else self._input
        take(lambda module, now: module.on_message(now, peer, message))
