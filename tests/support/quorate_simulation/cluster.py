"""N consensus modules with model disks and a bag of messages: the state of the untimed walk.

Every method is one thing that can happen to one member; nothing happens by itself. Messages
wait in one bag for each receiver, and reach it only while it believes in the link that they
came by. A crash leaves any prefix of the pending writes on the disk.
"""

from __future__ import annotations

from random import Random

from quorate.config import ClusterSettings
from quorate.consensus.config import Identity, Recovered
from quorate.consensus.effects import (
    AppendToLog,
    CloseLink,
    CommitTo,
    Effect,
    FoundingEnded,
    Halt,
    ReadLog,
    RoleChanged,
    Send,
    ServiceDiverged,
    StoreNodeState,
    TransferEnded,
    TruncateLog,
)
from quorate.consensus.messages import Message
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import (
    ClusterId,
    Instant,
    LogFrame,
    PeerLife,
    RecoveringReason,
    Role,
    Seat,
    StartNonce,
)
from quorate_simulation.checkers import ConsensusChecker
from quorate_simulation.founding import constants_of, founding_frame, member_id_of, new_codec
from quorate_simulation.shadow import ShadowMember
from quorate_simulation.swarm import Swarm
from quorate_simulation.waits import check_waits

CLUSTER_ID = ClusterId(bytes(range(16)))
SETTINGS = ClusterSettings()
CONFIGURATION_HASH = bytes(16)
BAG_MAX = 32
"""Messages on their way to one seat; the oldest gives way, as if lost."""
CLOCK_START = 1_000_000_000_000

Packet = tuple[PeerLife, int, Message]
"""Sender's life, receiver's start nonce, message."""


class Node:
    """One seat: the directory in it, the process if one runs, and its clocks."""

    __slots__ = (
        "answers",
        "applied",
        "links",
        "machine",
        "member",
        "module",
        "name",
        "now",
        "peer",
        "reads",
        "seat",
    )

    def __init__(self, seat: int, member: ShadowMember) -> None:
        """Take the seat with an existing or blank directory; nothing runs yet."""
        self.seat = Seat(seat)
        self.name = f"m{seat}"
        self.member = member
        self.module: ConsensusModule | None = None
        self.peer = PeerLife(self.seat, member.member_id, StartNonce(0))
        self.links: dict[int, PeerLife] = {}
        """The links that this member believes in."""
        self.reads: list[tuple[int, ReadLog]] = []
        """The term of the leader that wants to read, and what."""
        self.answers: list[tuple[Seat, tuple[LogFrame, ...]]] = []
        """Read from the recording, not yet handed to the module."""
        self.now = Instant(CLOCK_START, CLOCK_START, CLOCK_START)
        self.applied = 0
        self.machine = 0


class Cluster:
    """All members, the network between them, and the checkers that watch."""

    def __init__(self, seed: int, swarm: Swarm) -> None:
        """Make the members as the swarm says and start their processes."""
        self.seed = seed
        self.swarm = swarm
        self.checker = ConsensusChecker()
        self.history = self.checker.history
        self.history.loss_allowed = swarm.replicated
        self.codec = new_codec(CLUSTER_ID, constants_of(swarm.config), SETTINGS)
        self.count = swarm.seats
        self.seats = tuple((Seat(seat), f"m{seat}") for seat in range(self.count))
        self.bags: list[list[Packet]] = [[] for _ in range(self.count)]
        """Receiver → messages on their way to it, oldest first."""
        self.bag_max = BAG_MAX
        self.group = [0] * self.count
        """Partition: only members of one group talk."""
        self.nonce = 0
        self.formatted = 0
        self.nodes = [Node(seat, self._format(seat)) for seat in range(self.count)]
        self._handlers = {
            StoreNodeState: self._store,
            AppendToLog: self._append,
            TruncateLog: self._truncate,
            Send: self._send,
            CommitTo: self._commit,
            RoleChanged: self._role,
            ReadLog: self._read,
            CloseLink: self._close_link,
            TransferEnded: self._transfer_ended,
            FoundingEnded: self._founding_ended,
            ServiceDiverged: self._diverged,
            Halt: self._halt,
        }
        if swarm.founded:
            self._found_at_once()
        for node in self.nodes:
            self.start(node)

    # -- directories --------------------------------------------------------------------------

    def _format(self, seat: int) -> ShadowMember:
        self.formatted += 1
        member = ShadowMember(member_id_of(seat, self.formatted), Seat(seat))
        self.history.members[member.member_id] = member
        return member

    def _found_at_once(self) -> None:
        members = tuple((n.seat, n.name, n.member.member_id) for n in self.nodes)
        frame = founding_frame(self.codec, members)
        self.history.founding = frame
        self.history.voters = tuple(n.member.member_id for n in self.nodes)
        for node in self.nodes:
            member = node.member
            member.disk_append(frame)
            member.synced_count = 1
            member.state = member.state._replace(founded=True)

    def wipe(self, node: Node) -> None:
        """Replace the directory of a stopped member by an empty one."""
        node.member.gone = True
        node.member = self._format(node.seat)

    # -- processes ----------------------------------------------------------------------------

    def start(self, node: Node) -> None:
        """Start the process on what its disk holds."""
        member = node.member
        self._recover_disk(member)
        member.start_life()
        self.nonce += 1
        node.peer = PeerLife(node.seat, member.member_id, StartNonce(self.nonce))
        node.links = {}
        node.reads = []
        node.answers = []
        node.applied = 0
        frames = member.disk.frames
        recovered = Recovered(
            node_state=member.state,
            terms=tuple(member.terms),
            end=member.disk.end,
            last_timestamp=frames[-1].timestamp if frames else 0,
            founding=member.founding,
        )
        identity = Identity(
            cluster_id=CLUSTER_ID,
            member_id=member.member_id,
            seat=node.seat,
            start_nonce=node.peer.start_nonce,
            epoch=0,
            seats=self.seats,
            configuration_hash=CONFIGURATION_HASH,
        )
        node.module = ConsensusModule(
            config=self.swarm.config,
            identity=identity,
            recovered=recovered,
            codec=self.codec,
            random=_chance(self.seed * 1_000_003 + self.nonce),
            now=node.now,
        )
        self.settle(node, node.module)

    def _recover_disk(self, member: ShadowMember) -> None:
        """What the archive does at start: all that is readable is written again and synced."""
        member.synced_count = len(member.disk.frames)
        if member.state.founded and not member.disk.frames:
            member.lose(0, RecoveringReason.DAMAGED)

    def crash(self, node: Node, effects: int, frames: int) -> None:
        """End the process; ``effects`` pending ones reach the disk, ``frames`` of the next."""
        member = node.member
        for _ in range(min(effects, len(member.pending))):
            self.checker.complete(member)
        if member.pending:
            following = member.pending[0]
            if isinstance(following, AppendToLog):
                for frame in following.frames[:frames]:
                    member.disk_append(frame)
        member.pending.clear()
        member.leading = 0
        node.module = None
        self.bags[node.seat].clear()

    def power_cut(self, node: Node, effects: int, frames: int, unsynced: int) -> None:
        """End the machine; in ``replicated`` only ``unsynced`` unsynced frames survive."""
        self.crash(node, effects, frames)
        member = node.member
        if not self.swarm.replicated:
            return
        kept = min(len(member.disk.frames), member.synced_count + unsynced)
        if kept < len(member.disk.frames):
            self.history.marks.add("unsynced tail lost")
        if member.state.founded:
            member.lose(kept, RecoveringReason.UNSYNCED)
        else:
            member.disk_cut(kept)

    def damage(self, node: Node, kept: int) -> None:
        """Rot a frame of a stopped member: only what lies before it can be used."""
        member = node.member
        if kept < len(member.disk.frames) and member.state.founded:
            member.lose(kept, RecoveringReason.DAMAGED)
            self.history.marks.add("damaged")

    # -- effects ------------------------------------------------------------------------------

    def settle(self, node: Node, module: ConsensusModule) -> None:
        """Carry out what the module asks for and check what it says of itself."""
        self.carry_out(node, module, module.drain())

    def carry_out(self, node: Node, module: ConsensusModule, effects: list[Effect]) -> None:
        """Carry out these effects of ``node`` in order; then check its module."""
        handlers = self._handlers
        for effect in effects:
            run = handlers.get(type(effect))
            if run is not None:
                run(node, effect)  # type: ignore[operator]
        if node.module is not None:
            self.checker.after_event(node.member, module.core)
            check_waits(self.history, module)

    def _store(self, node: Node, effect: StoreNodeState) -> None:
        self.checker.on_store(node.member, effect)

    def _append(self, node: Node, effect: AppendToLog) -> None:
        self.checker.on_append(node.member, effect)

    def _truncate(self, node: Node, effect: TruncateLog) -> None:
        self.checker.on_truncate(node.member, effect)

    def _send(self, node: Node, effect: Send) -> None:
        peer = node.links.get(effect.seat)
        if peer is None:
            return
        self.checker.on_send(node.member, peer.member_id, effect.message)
        bag = self.bags[effect.seat]
        if len(bag) >= self.bag_max:
            del bag[0]
        bag.append((node.peer, peer.start_nonce, effect.message))

    def can_arrive(self, receiver: int, packet: Packet) -> bool:
        """Tell whether this message may reach its receiver now."""
        life = packet[0]
        node = self.nodes[receiver]
        linked = node.links.get(life.seat) == life and node.peer.start_nonce == packet[1]
        return linked and self.group[life.seat] == self.group[receiver]

    def _commit(self, node: Node, effect: CommitTo) -> None:
        self.checker.on_commit(node.member, effect)

    def _role(self, node: Node, effect: RoleChanged) -> None:
        if effect.role is not Role.LEADER:
            if node.member.leading:
                self.history.marks.add("stepped down")
            node.member.leading = 0
            node.member.transferring = False

    def _read(self, node: Node, effect: ReadLog) -> None:
        node.reads.append((node.member.term, effect))

    def _close_link(self, node: Node, effect: CloseLink) -> None:
        self.history.marks.add("link closed")
        node.links.pop(effect.seat, None)

    def _transfer_ended(self, node: Node, effect: TransferEnded) -> None:
        self.checker.on_transfer_ended(node.member, effect)

    def _founding_ended(self, node: Node, effect: FoundingEnded) -> None:
        self.history.marks.add("founding " + ("completed" if effect.completed else "refused"))

    def _diverged(self, node: Node, effect: ServiceDiverged) -> None:
        odd = self.swarm.disagree and node.seat == 0
        self.history.require(odd, "digest", "a sound service was told to stop", effect)
        self.history.marks.add("divergence found")

    def _halt(self, node: Node, effect: Halt) -> None:
        self.checker.on_halt(node.member, effect)

    # -- queries that the walk asks ------------------------------------------------------------

    def connected(self, a: int, b: int) -> bool:
        """Tell whether a new connection between these seats would succeed."""
        alive = self.nodes[a].module is not None and self.nodes[b].module is not None
        return alive and self.group[a] == self.group[b]

    def read_frames(self, node: Node, term: int, request: ReadLog) -> tuple[LogFrame, ...]:
        """Return what the recording of ``node`` holds for this request of the leader of ``term``.

        Nothing once it is cut off, as it may be when that term is over.
        """
        disk = node.member.disk
        count = disk.marks.get(request.position)
        if count is None:
            in_time = node.member.leading == term
            self.history.require(not in_time, "I14", "reads at no boundary", request)
            return ()
        frames = disk.frames[count:]
        size = 0
        for index, frame in enumerate(frames):
            size += len(frame.data)
            if index and size > request.bytes_max:
                return tuple(frames[:index])
        return tuple(frames)


def _chance(seed: int):  # type: ignore[no-untyped-def] # noqa: ANN202
    """Return a seeded source of integers between inclusive bounds."""
    random = Random(seed).random

    def between(low: int, high: int) -> int:
        return low + int(random() * (high - low + 1))

    return between
