"""The timed simulation: a whole cluster with clients under virtual time, from one seed.

    python -m quorate_simulation timed --seed N       repeat one seed
    python -m quorate_simulation timed --first N --seconds S

A seed has two phases. In the first everything may go wrong, and nothing that was promised may
break. Then all is put right, and within bounded time there is a leader, every pending answer
comes, and all members hold and have applied the same.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from quorate.archive.archive import Archive
from quorate.config import ClusterSettings, Durability
from quorate.consensus.config import ConsensusConfig
from quorate.consensus.effects import AppendToLog, StoreNodeState
from quorate.consensus.types import BLANK_NODE_STATE, ClusterId, MemberId, Seat
from quorate_simulation.checkers import ConsensusChecker
from quorate_simulation.disk import SimulatedDisk
from quorate_simulation.founding import (
    CachingCodec,
    constants_of,
    founding_frame,
    member_id_of,
    new_codec,
)
from quorate_simulation.history import InvariantViolation
from quorate_simulation.linearizability import Operation, is_linearizable
from quorate_simulation.shadow import ShadowMember
from quorate_simulation.timed_client import Connection, TimedClient
from quorate_simulation.timed_clock import MS, SECOND, Schedule
from quorate_simulation.timed_faults import Faults
from quorate_simulation.timed_member import TimedMember
from quorate_simulation.timed_messages import Ingress, Open
from quorate_simulation.timed_network import Network

CLUSTER_ID = ClusterId(bytes(range(16)))
FAULTS_UNTIL = 14 * SECOND
HEAL_BOUND = 30 * SECOND


@dataclass(slots=True)
class TimedResult:
    """How one seed went."""

    seed: int
    failure: BaseException | None = None
    marks: set[str] = field(default_factory=set)
    digest: int = 0
    virtual: float = 0.0
    """Simulated seconds."""
    faults: int = 0
    events: int = 0
    answered: int = 0

    @property
    def kind(self) -> str:
        """What failed."""
        failure = self.failure
        if isinstance(failure, InvariantViolation):
            return failure.invariant
        return type(failure).__name__

    def command(self) -> str:
        """Return the line that repeats this seed."""
        return f"python -m quorate_simulation timed --seed {self.seed}"


class World:
    """One seed's cluster, network, clients and faults."""

    def __init__(self, seed: int, *, seats: int = 0, durability: Durability | None = None) -> None:
        """Draw everything that the seed decides and the caller does not, and start."""
        self.random = Random(seed * 6007 + 11)
        random = self.random
        self.schedule = Schedule()
        self.checker = ConsensusChecker()
        self.history = self.checker.history
        drawn = random.choice((Durability.FSYNC, Durability.FSYNC, Durability.REPLICATED))
        self.durability = drawn if durability is None else durability
        replicated = self.durability is Durability.REPLICATED
        self.history.loss_allowed = replicated
        self.config = _draw_config(random, replicated=replicated)
        self.constants = constants_of(self.config)
        self.cluster_id = CLUSTER_ID
        settings = ClusterSettings(digest_interval_bytes=random.choice((4096, 65536)))
        self.codec: CachingCodec = new_codec(CLUSTER_ID, self.constants, settings)
        self.frames_per_slice = random.choice((1, 4, 64))
        self.client_delay = random.choice((MS // 5, 5 * MS))
        self.digests: dict[tuple[int, int | None], bytes] = {}
        self.quiet = False
        self._nonce = 0
        count = seats or random.choice((3, 3, 3, 5, 1))
        self.seats = tuple((Seat(seat), f"m{seat}") for seat in range(count))
        self.members = [
            TimedMember(self, seat, SimulatedDisk(Random(random.getrandbits(48))))
            for seat in range(count)
        ]
        self.network = Network(self.schedule, random, list(self.members))
        self._found()
        self.clients = [TimedClient(self, number) for number in range(random.choice((1, 2, 4)))]
        self.faults = Faults(self)
        for member in self.members:
            member.start()
        self.network.start()
        for client in self.clients:
            client.start()

    def next_nonce(self) -> int:
        """Return a number that no life has had."""
        self._nonce += 1
        return self._nonce

    def codec_member(self, seat: int) -> MemberId:
        """Return the member id of the directory in a seat."""
        return member_id_of(seat, 1)

    def _found(self) -> None:
        """Write the founding frame and the mark into every directory."""
        rows = tuple((seat, name, member_id_of(seat, 1)) for seat, name in self.seats)
        frame = founding_frame(self.codec, rows)
        self.history.founding = frame
        self.history.voters = tuple(member_id for _, _, member_id in rows)
        for member in self.members:
            member.shadow = ShadowMember(member_id_of(member.seat, 1), member.seat)
            self.history.members[member.shadow.member_id] = member.shadow
            member.shadow.disk_append(frame)
            member.shadow.state = BLANK_NODE_STATE._replace(founded=True)
            archive = Archive.open(
                member.disk,
                cluster_id=CLUSTER_ID,
                constants=self.constants,
                durability=self.durability,
                boot_id=b"%016d" % 0,
                new_member_id=member.shadow.member_id,
            )
            archive.persist([AppendToLog(1, (frame,)), StoreNodeState(2, member.shadow.state)])
            archive.close_clean()

    def deliver(self, connection: Connection, message: Open | Ingress) -> None:
        """Hand a client's message to the life of the member that it is connected to."""
        member = self.members[connection.seat]
        if not member.is_up or member.peer.start_nonce != connection.life:
            connection.client.on_broken(connection)
        elif isinstance(message, Open):
            member.pause.when_over(lambda: member.gateway.on_open(connection, message))
        else:
            member.pause.when_over(lambda: member.gateway.on_ingress(connection, message))

    @property
    def is_lossy(self) -> bool:
        """Whether members had to give up committed frames, which ``replicated`` allows."""
        return "unanimous ballot" in self.history.marks

    # -- the phases -----------------------------------------------------------------------------

    def run(self) -> None:
        """Run both phases and judge."""
        self.faults.start()
        self.schedule.run_until(FAULTS_UNTIL)
        self.finish()

    def finish(self) -> None:
        """Put everything right, wait until all is as it should be, and judge."""
        self.faults.heal()
        healed_at = max(self.schedule.now, *(member.pause.until for member in self.members), 0)
        bound = 10 * self.config.election_timeout_max_ns * 4 // 3 + SECOND
        if not self.schedule.run_until(healed_at + bound, self._has_leader):
            raise InvariantViolation("I23", f"no leader within {bound // MS} ms of healing")
        self.schedule.run_until(self.schedule.now + 2 * SECOND)
        self.quiet = True
        if not self.schedule.run_until(self.schedule.now + HEAL_BOUND, self._has_converged):
            raise InvariantViolation("I23", f"not converged: {self._state()}")
        self._judge()

    def _has_leader(self) -> bool:
        return any(member.serving for member in self.members)

    def _has_converged(self) -> bool:
        leaders = [member for member in self.members if member.serving]
        if len(leaders) != 1:
            return False
        position = leaders[0].shadow.log.end.position
        same = all(
            member.container.position == position and not member.shadow.recovering
            for member in self.members
        )
        answered = all(
            client.closed is not None or client.answered == len(client.operations)
            for client in self.clients
        )
        return same and (answered or self.is_lossy)

    def _state(self) -> str:
        members = [
            (m.seat, m.shadow.term, m.shadow.leading, m.shadow.log.end.position, m.shadow.commit,
             m.container.position, m.shadow.recovering)
            for m in self.members
        ]  # fmt: skip
        clients = [(c.number, c.answered, len(c.operations), c.closed) for c in self.clients]
        return f"members {members} clients {clients} marks {sorted(self.history.marks)}"

    # -- for directed schedules -----------------------------------------------------------------

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, without any fault but those that the caller makes."""
        self.schedule.run_until(self.schedule.now + milliseconds * MS)

    def await_leader(self) -> TimedMember:
        """Let time pass until a member serves, and return it."""
        found = self.schedule.run_until(self.schedule.now + 20 * SECOND, self._has_leader)
        self.history.require(found, "I23", "no leader:", self._state())
        return next(member for member in self.members if member.serving)

    # -- judging --------------------------------------------------------------------------------

    def _judge(self) -> None:
        require = self.history.require
        first = self.members[0].service
        for member in self.members:
            service = member.service
            require(not service.problems, "I17", service.problems)
            require(service.applied == first.applied, "I5", "writes differ at", member.seat)
            require(service.fired == first.fired, "I17", "timers differ at", member.seat)
        if self.is_lossy:
            return
        self._judge_writes(first.applied)
        self._judge_timers()
        self._judge_registers()

    def _judge_writes(self, applied: list[tuple[int, bytes]]) -> None:
        """I16, I18: what was acknowledged is there once, in the order of its session."""
        by_client: dict[int, list[int]] = defaultdict(list)
        for _, value in applied:
            number, sequence = value.split(b".")
            by_client[int(number)].append(int(sequence))
        for client in self.clients:
            present = by_client[client.number]
            self.history.require(
                present == sorted(set(present)), "I16", "not once, in order:", client.number
            )
            wanted = {
                index
                for index, operation in enumerate(client.operations[: client.answered], 1)
                if operation.kind in "ws"
            }
            missing = wanted - set(present)
            self.history.require(not missing, "I18", "acknowledged and gone:", missing)

    def _judge_timers(self) -> None:
        service = self.members[0].service
        fired = [timer for timer, _, _ in service.fired]
        self.history.require(len(fired) == len(set(fired)), "I17", "a timer fired twice")
        overdue = [t for t, deadline in service.timers.items() if deadline < self._log_time()]
        self.history.require(not overdue, "I17", "timers overdue:", overdue)

    def _log_time(self) -> int:
        """Return a log time that the last frame has certainly reached."""
        return self.members[0].container.time

    def _judge_registers(self) -> None:
        by_key: dict[bytes, list[Operation]] = defaultdict(list)
        for client in self.clients:
            for operation in client.operations:
                if operation.kind in "wr":
                    by_key[operation.key].append(operation)
        for key, operations in by_key.items():
            verdict = is_linearizable(operations)
            if verdict is None:
                self.history.marks.add("linearizability undecided")
            self.history.require(verdict is not False, "I19", "not linearizable:", key)


def _draw_config(random: Random, *, replicated: bool) -> ConsensusConfig:
    scale = random.choice((1, 1, 3))
    segment = random.choice((4096, 16384, 262_144))
    frame_max = min(segment // 4, 16384)
    return ConsensusConfig(
        election_timeout_min_ns=500 * MS // scale,
        election_timeout_max_ns=800 * MS // scale,
        heartbeat_interval_ns=random.choice((50, 50, 100)) * MS // scale,
        frame_bytes_max=frame_max,
        segment_length=segment,
        service_lag_bytes=segment // 4,
        append_bytes_max=random.choice((frame_max, 1 << 20)),
        read_bytes_max=random.choice((frame_max, 1 << 22)),
        window_bytes=random.choice((1 << 20, 1 << 23)),
        tail_bytes=random.choice((0, 8192, 1 << 24)),
        terms_reported_max=random.choice((1, 4, 64)),
        unanimous_election=replicated,
    )


def run_timed(seed: int) -> TimedResult:
    """Run one seed."""
    result = TimedResult(seed)
    world: World | None = None
    try:
        world = World(seed)
        world.run()
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is the result
        result.failure = failure
    if world is not None:
        result.marks = world.history.marks
        result.virtual = world.schedule.now / SECOND
        result.faults = world.faults.count
        result.events = world.schedule.events
        result.answered = sum(client.answered for client in world.clients)
        state = [(m.seat, m.shadow.term, m.shadow.disk.end, m.shadow.commit) for m in world.members]
        text = f"{state} {world.schedule.events} {result.answered} {world.network.sent}"
        result.digest = zlib.crc32(text.encode())
    return result
