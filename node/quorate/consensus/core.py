"""What every role of a member shares: its log, its term and vote, its links, its effects.

The roles (``election``, ``leader``, ``follower``, ``founding``) hold only what ends with them.
Here lie the two rules that none of them may break: nothing that depends on a write leaves
before that write is durable, and a term is adopted durably before anything is said in it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from quorate.consensus.cluster_time import WallClocks
from quorate.consensus.codec import FrameCodec
from quorate.consensus.config import ConsensusConfig, Identity, Recovered
from quorate.consensus.effects import (
    Alarm,
    AppendToLog,
    CommitTo,
    Effect,
    Halt,
    HaltCode,
    IngressChanged,
    IngressState,
    RoleChanged,
    Send,
    StoreNodeState,
    Trace,
    TruncateLog,
)
from quorate.consensus.log_view import LogView
from quorate.consensus.messages import Hello, Message, Refusal
from quorate.consensus.types import (
    NO_MEMBER,
    NO_MEMBERSHIP,
    NOT_RECOVERING,
    ROOM_UNBOUNDED,
    FoundingState,
    FrameType,
    Instant,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    MemberId,
    Membership,
    NodeState,
    PeerLife,
    RecoveringReason,
    Role,
    Seat,
)


class Deadline(Enum):
    """Everything that happens because time has passed; each can be fired by itself."""

    ELECTION = "election"
    """The leader has been silent for an election timeout."""
    STAND = "stand"
    """The wait before a canvass is over."""
    CAMPAIGN = "campaign"
    """A canvass or ballot has had an election timeout without an outcome."""
    HEARTBEAT = "heartbeat"
    PUBLISH = "publish"
    """Followers have waited long enough for a frame to bring them the commit position."""
    CHECK_QUORUM = "check_quorum"
    TRANSFER = "transfer"

    __hash__ = object.__hash__
    """As good for members of an Enum as its own, which is Python code and called per message."""


LOST_REASONS = frozenset({RecoveringReason.DAMAGED, RecoveringReason.UNSYNCED})


class Core:
    """State common to all roles, and the only place that makes persist effects."""

    service_stopped: bool = False
    """A majority's services have computed something else: ours applies nothing any more."""

    def __init__(
        self,
        config: ConsensusConfig,
        identity: Identity,
        recovered: Recovered,
        codec: FrameCodec,
        random: Callable[[int, int], int],
        now: Instant,
    ) -> None:
        """Take over what the disk held; see ``ConsensusModule``."""
        self.config = config
        self.identity = identity
        self.codec = codec
        self.random = random
        self.now = now
        self.seat = identity.seat
        """Our own place in the configured list."""
        self.node_state = recovered.node_state
        self.term = recovered.node_state.candidate_term_id
        """The highest term adopted here."""
        self.log = LogView(
            recovered.terms,
            recovered.end,
            recovered.last_timestamp,
            recovered.founding,
            config.tail_bytes,
        )
        self.membership = NO_MEMBERSHIP
        self._member_ids: dict[Seat, MemberId] = {}
        if recovered.founding is not None:
            self._use(codec.membership_of(recovered.founding))
        self.role = Role.FOLLOWER
        self.leader: Seat | None = None
        self.leader_unheard = False
        self.storage_stalled = False
        self.room_end = ROOM_UNBOUNDED
        self.storage_full = False
        self.ingress = IngressState.CLOSED
        self.commit_position = LogPosition(0)
        self.service_position = LogPosition(0)
        self.links: dict[Seat, PeerLife] = {}
        self.hellos: dict[Seat, Hello] = {}
        self.refused_by: dict[Seat, Refusal] = {}
        self.founding_broken = ""
        self.deadlines: dict[Deadline, int] = {}
        self.walls = WallClocks()
        self.effects: list[Effect] = []
        self.sequence = 0
        self.persisted = 0
        self.node_state_sequence = 0
        self._gated: list[tuple[int, PeerLife, Message]] = []
        self.is_halting = False
        self._commit_told = LogPosition(0)
        self._alarms: dict[str, str] = {}
        self._role_told: tuple[Role, LeadershipTermId, Seat | None] | None = None

    # -- who we are ---------------------------------------------------------------------

    @property
    def is_recovering(self) -> bool:
        """Whether this member may have lost what it acknowledged: no vote, no acknowledgement."""
        return self.node_state.recovering.reason in LOST_REASONS

    @property
    def is_voter(self) -> bool:
        """Whether this very directory is a voter of a founded cluster."""
        return self.node_state.founded and any(
            member.member_id == self.identity.member_id for member in self.membership.voters
        )

    @property
    def founding_state(self) -> FoundingState:
        """How far the birth of the cluster has come here."""
        if self.node_state.founded:
            return FoundingState.FOUNDED
        if self.founding_broken:
            return FoundingState.BROKEN
        return FoundingState.FOUNDING if self.log.end.position else FoundingState.BLANK

    def serves_late(self, service_position: LogPosition) -> bool:
        """Tell whether a service that has got so far is long behind the end of our log."""
        return self.log.end.position - service_position > self.config.service_lag_bytes

    @property
    def other_voters(self) -> list[Seat]:
        """Seats of all voters but ourselves, in order."""
        return [m.seat for m in self.membership.voters if m.seat != self.seat]

    def member_id_of(self, seat: Seat) -> MemberId:
        """Return the member id that the log knows in this seat; ``NO_MEMBER`` for none."""
        return self._member_ids.get(seat, NO_MEMBER)

    def knows(self, peer: PeerLife) -> bool:
        """Tell whether the log has this very directory in that seat."""
        return self._member_ids.get(peer.seat) == peer.member_id != NO_MEMBER

    def reaches(self, seat: Seat) -> bool:
        """Tell whether the member that the log knows in this seat is linked.

        Another directory that sits there now, a wiped one, is linked too and answers nothing.
        """
        peer = self.links.get(seat)
        return peer is not None and self.knows(peer)

    def _use(self, membership: Membership) -> None:
        self.membership = membership
        self._member_ids = {member.seat: member.member_id for member in membership.members}

    # -- persistence --------------------------------------------------------------------

    def store(self, node_state: NodeState) -> None:
        """Change the node state and have it made durable."""
        self.node_state = node_state
        self.term = node_state.candidate_term_id
        self.sequence += 1
        self.node_state_sequence = self.sequence
        self.effects.append(StoreNodeState(self.sequence, self.node_state))

    def adopt_term(self, term: LeadershipTermId) -> None:
        """Raise our term, with its vote not yet given and its leader not yet known."""
        assert term > self.term, (term, self.term)
        assert self.role is not Role.LEADER, "a leader leaves office first"
        self.store(self.node_state._replace(candidate_term_id=term, vote=NO_MEMBER))
        self.set_role(Role.FOLLOWER, None, "adopted a higher term")

    def append(self, frames: tuple[LogFrame, ...]) -> None:
        """Put frames behind the end of the log and have them made durable."""
        for frame in frames:
            assert frame.leadership_term_id <= self.term, (frame.leadership_term_id, self.term)
            self.log.append(frame)
            if frame.frame_type in (FrameType.FOUNDING, FrameType.NEW_LEADERSHIP_TERM):
                self._use(self.codec.membership_of(frame))
        self.sequence += 1
        self.effects.append(AppendToLog(self.sequence, frames))
        self.log.appended(self.sequence)

    def has_room(self, length: int, reserve: int = 0) -> bool:
        """Tell whether a frame of ``length`` bytes fits, and leaves ``reserve`` bytes behind it.

        Args:
            length: Header and body, without filler.
            reserve: Bytes of log.

        """
        if self.room_end == ROOM_UNBOUNDED:
            return True
        padding, length = self._place(length)
        return self.log.end.position + padding + length + reserve <= self.room_end

    def _place(self, length: int) -> tuple[int, int]:
        """Return how much padding the next frame needs before it, and how long it is with filler.

        Args:
            length: Header and body, without filler.

        """
        length = (length + 63) // 64 * 64
        room = self.config.segment_length - self.log.end.position % self.config.segment_length
        return (room if length > room else 0), length

    def truncate(self, end: LogMark) -> None:
        """Drop a suffix of the log that conflicts with the leader's."""
        assert end.position >= self.commit_position, (end, self.commit_position)
        self.trace("log_truncated", position=end.position, was=self.log.end.position)
        self.log.truncate(end)
        self.sequence += 1
        self.effects.append(TruncateLog(self.sequence, end))
        if self.log.founding is None:
            self._use(NO_MEMBERSHIP)

    def on_persisted(self, sequence: int) -> bool:
        """Release what waited for ``sequence``; tell whether the durable position moved."""
        assert self.persisted <= sequence <= self.sequence, (sequence, self.sequence)
        self.persisted = sequence
        moved = self.log.persisted(sequence)
        waiting = self._gated
        if waiting:
            self._gated = [gated for gated in waiting if gated[0] > sequence]
            for gate, peer, message in waiting:
                if gate <= sequence and self.links.get(peer.seat) == peer:
                    self.effects.append(Send(peer.seat, message))
        return moved

    # -- talking ------------------------------------------------------------------------

    def send(self, seat: Seat, message: Message) -> None:
        """Send at once; for what promises nothing about our disk."""
        if seat in self.links:
            self.effects.append(Send(seat, message))

    def send_durable(self, seat: Seat, message: Message, sequence: int | None = None) -> None:
        """Send when everything asked for up to ``sequence`` (default: all) is durable."""
        gate = self.sequence if sequence is None else sequence
        peer = self.links.get(seat)
        if peer is None:
            return
        if gate <= self.persisted:
            self.effects.append(Send(seat, message))
        else:
            self._gated.append((gate, peer, message))

    def hello(self, refusal: Refusal = Refusal.NONE) -> Hello:
        """Say what we are."""
        founding = self.log.founding
        unfinished = founding if not self.node_state.founded else None
        return Hello(
            founding=self.founding_state,
            configuration_hash=self.identity.configuration_hash,
            founding_frame=unfinished,
            founding_chain=founding.chain if founding is not None else 0,
            role=self.role,
            leadership_term_id=self.term,
            end=self.log.end,
            recovering=self.node_state.recovering,
            refusal=refusal,
        )

    def greet_all(self) -> None:
        """Tell every linked member what we have become."""
        for seat in self.links:
            self.send_durable(seat, self.hello(), self.node_state_sequence)

    def alarm(self, name: str, detail: str) -> None:
        """Tell a human; the same detail only once."""
        if self._alarms.get(name) != detail:
            self._alarms[name] = detail
            self.effects.append(Alarm(name, detail))

    def end_alarm(self, name: str) -> None:
        """Take an alarm back, if it was raised."""
        if self._alarms.pop(name, None) is not None:
            self.effects.append(Alarm(name, "", raised=False))

    def halt(self, code: HaltCode, detail: str) -> None:
        """End the process; nothing that is decided after this is carried out."""
        self.is_halting = True
        self.effects.append(Halt(code, detail))

    def trace(self, event: str, **fields: object) -> None:
        """Leave a line for the log of this member."""
        self.effects.append(Trace(event, tuple(fields.items())))

    # -- role, commit, time -------------------------------------------------------------

    def set_role(self, role: Role, leader: Seat | None, reason: str) -> None:
        """Change role or leader, and tell the outside if that is news."""
        self.role = role
        self.leader = leader
        if (role, self.term, leader) != self._role_told:
            self._role_told = (role, self.term, leader)
            self.effects.append(RoleChanged(role, self.term, leader, reason))

    def set_ingress(self, state: IngressState) -> None:
        """Have clients' messages taken or not, if that is news; a full log takes none."""
        if state is IngressState.OPEN and self.storage_full:
            state = IngressState.STORAGE_FULL
        if state is not self.ingress:
            self.ingress = state
            self.effects.append(IngressChanged(state))

    def commit(self, position: LogPosition) -> None:
        """Raise the commit position; it never falls within a life."""
        assert position <= self.log.end.position, (position, self.log.end)
        self.commit_position = max(self.commit_position, position)

    @property
    def has_news(self) -> bool:
        """Whether the outside has something to do: what is asked of it, or a new commit.

        What a leader has appended and not sent yet is asked of it: to write that.
        """
        return bool(self.effects) or self.commit_position > self._commit_told

    def tell_commit(self) -> None:
        """Let the outside apply up to the commit position."""
        if self.commit_position > self._commit_told:
            self._commit_told = self.commit_position
            self.effects.append(CommitTo(self.commit_position, self.term))

    def election_timeout(self) -> int:
        """Draw an election timeout in nanoseconds."""
        return self.random(self.config.election_timeout_min_ns, self.config.election_timeout_max_ns)

    def arm(self, deadline: Deadline, after_ns: int) -> None:
        """Set a deadline that many nanoseconds of loop time ahead."""
        self.deadlines[deadline] = self.now.loop + after_ns

    def disarm(self, *deadlines: Deadline) -> None:
        """Forget these deadlines."""
        for deadline in deadlines:
            self.deadlines.pop(deadline, None)

    def clear_recovering(self) -> None:
        """Count again: what may have been lost is durable here once more."""
        self.trace("recovering_ended", position=self.log.durable)
        self.store(self.node_state._replace(recovering=NOT_RECOVERING))
        self.greet_all()

    def make_frame(
        self, frame_type: FrameType, timestamp: int, body: bytes = b"", entry_count: int = 0
    ) -> tuple[LogFrame, ...]:
        """Build the next frame of our term, behind padding where the segment has no room."""
        position, chain = self.log.end.position, self.log.end.chain
        timestamp = max(timestamp, self.log.last_timestamp)
        room_left, _ = self._place(64 + len(body))
        if not room_left:
            return (
                self.codec.encode(
                    position, self.term, timestamp, chain, frame_type, body, entry_count
                ),
            )
        padding = self.codec.encode(
            position, self.term, timestamp, chain, FrameType.PADDING, bytes(room_left - 64)
        )
        frame = self.codec.encode(
            padding.end, self.term, timestamp, padding.chain, frame_type, body, entry_count
        )
        return (padding, frame)
