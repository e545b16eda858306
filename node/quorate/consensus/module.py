"""The consensus module: inputs in, effects out; it decides and does nothing.

It owns the state of one member and routes each input to the role that must judge it. No
clock, no random source, no file, socket, log line or thread: time comes with each input,
randomness from an injected function, and everything to be done leaves through ``drain``.

::

    on_message, on_link_up/down ─┐                 ┌─▶ StoreNodeState, AppendToLog, TruncateLog
    on_tick / on_deadline ───────┤ ConsensusModule ├─▶ Send, CloseLink, ReadLog
    on_persisted, on_log_read ───┤                 ├─▶ CommitTo, RoleChanged, IngressChanged
    propose, request_… ──────────┘                 └─▶ Alarm, Trace, Halt

A broken invariant is an AssertionError that carries the numbers; the process must end then.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from quorate.consensus.codec import FrameCodec
from quorate.consensus.config import ConsensusConfig, Identity, Recovered
from quorate.consensus.core import Core, Deadline
from quorate.consensus.digests import DigestComparison
from quorate.consensus.effects import (
    Effect,
    IngressState,
)
from quorate.consensus.election import Election, log_order
from quorate.consensus.follower import Follower
from quorate.consensus.founding import Founding
from quorate.consensus.leader import LOSS_ALARM, OFFICE_ALARMS, Leader
from quorate.consensus.messages import (
    AppendFrames,
    AppendReport,
    Canvass,
    CanvassAnswer,
    CureTarget,
    DigestReport,
    DigestVerdict,
    Founded,
    FoundingDiscard,
    FoundingFrame,
    FoundingStored,
    FoundRequest,
    Hello,
    Message,
    Refusal,
    RequestVote,
    RoomReport,
    StandNow,
    Vote,
)
from quorate.consensus.observed import Observed
from quorate.consensus.room import FULL_ALARM, LOW_ALARM, LeaderRoom
from quorate.consensus.transfer import Transfer
from quorate.consensus.types import (
    NO_MEMBERSHIP,
    ROOM_UNBOUNDED,
    FoundingState,
    FrameType,
    Instant,
    LogFrame,
    LogPosition,
    PeerLife,
    Role,
    Seat,
)

NEVER = 1 << 62


class Rejection(Enum):
    """Why nothing was appended."""

    NOT_LEADER = "not leader"
    PAUSED = "leadership is being handed over"
    DIVERGED = "the members' services disagree and no majority can tell who is right"
    STORAGE_FULL = "storage-full"
    """Leadership goes on: offer the same again when there is some."""
    HALTED = "this member has stopped"


class ConsensusModule(Observed):
    """One member's Raft: see the module's text, and ``effects`` for what must be carried out."""

    def __init__(
        self,
        *,
        config: ConsensusConfig,
        identity: Identity,
        recovered: Recovered,
        codec: FrameCodec,
        random: Callable[[int, int], int],
        now: Instant,
    ) -> None:
        """Take over what the disk held.

        Args:
            config: Time-outs and limits, already validated.
            identity: Who this member is in this life.
            recovered: What the archive found, all of it durable.
            codec: Builds frames.
            random: Returns an integer between two bounds, both included.
            now: The clocks at start.

        """
        core = Core(config, identity, recovered, codec, random, now)
        last_term = recovered.end.leadership_term_id
        assert core.term >= last_term, (core.term, last_term)
        self._core = core
        self._election = Election(core)
        self._follower = Follower(core)
        self._founding = Founding(core)
        self._leader: Leader | None = None
        self._transfer: Transfer | None = None
        self._room: LeaderRoom | None = None
        self._digests = DigestComparison(core)
        self._halted = False
        if core.node_state.founded:
            self._await_leader()

    # -- time, disk, links ----------------------------------------------------------------

    @property
    def next_deadline(self) -> int:
        """Loop time in nanoseconds at which ``on_tick`` is wanted."""
        return min(self._core.deadlines.values(), default=NEVER)

    def deadlines(self) -> dict[Deadline, int]:
        """Return every deadline set, by name."""
        return dict(self._core.deadlines)

    def on_tick(self, now: Instant) -> None:
        """Fire every deadline that is due."""
        due = [d for d, at in self._core.deadlines.items() if at <= now.loop]
        for deadline in due:
            if self._core.deadlines.get(deadline, NEVER) <= now.loop:
                self.on_deadline(now, deadline)

    def on_deadline(self, now: Instant, deadline: Deadline) -> None:
        """Fire one deadline; one that fires early costs liveness only, never safety."""
        if not self._begin(now):
            return
        core = self._core
        core.disarm(deadline)
        match deadline:
            case Deadline.ELECTION:
                self._unheard("the leader is silent", fast=False)
            case Deadline.STAND:
                self._election.stand()
            case Deadline.CAMPAIGN:
                self._election.on_campaign_over()
            case Deadline.HEARTBEAT if self._leader is not None:
                self._leader.heartbeat()
                self._leave_to_who_serves()
            case Deadline.PUBLISH if self._leader is not None:
                self._leader.publish()
            case Deadline.CHECK_QUORUM if self._leader is not None:
                if not self._leader.check_quorum():
                    self._leave_office("no majority was heard within an election timeout")
            case Deadline.TRANSFER:
                self._abort_transfer("not done within an election timeout")
            case _:
                pass
        self._settle_outcome()

    def on_persisted(self, now: Instant, sequence: int) -> None:
        """Everything asked for up to ``sequence`` is durable (``replicated``: written)."""
        if not self._begin(now):
            return
        core = self._core
        core.on_persisted(sequence)
        if self._founding.on_persisted() and core.leader is None:
            core.leader_unheard = True
            self._unheard("the cluster has just been founded", fast=True)
        if self._leader is not None:
            self._leader.on_persisted()
            self._hand_over()
        else:
            self._follower.on_persisted()
        self._election.on_persisted()
        self._settle_outcome()

    def on_storage_stalled(self, now: Instant, *, stalled: bool) -> None:
        """Take note that a write has been running for too long, or that it has ended.

        A leader that cannot write hands over, or steps down where nobody can take over; until
        its disk moves again it does not stand.
        """
        if not self._begin(now) or stalled == self._core.storage_stalled:
            return
        self._core.storage_stalled = stalled
        if stalled and self._transfer is not None and self._core.other_voters:
            refusal = self._transfer.request(None)
            if refusal is not None and not self._transfer.is_running:
                self._leave_office(f"the disk is stalled, and no hand-over: {refusal}")

    def on_room(self, now: Instant, room_end: LogPosition) -> None:
        """Take note how far the log can grow on this disk.

        Args:
            now: The clocks.
            room_end: End of the segments that are there or ready to be used, where the disk has
                no space for another one; else ``ROOM_UNBOUNDED``.

        """
        core = self._core
        if not self._begin(now) or room_end == core.room_end:
            return
        core.room_end = room_end
        if room_end == ROOM_UNBOUNDED:
            core.end_alarm(LOW_ALARM)
        else:
            detail = f"the disk has no space for another segment: the log can grow to {room_end}"
            core.alarm(LOW_ALARM, detail)
        if self._leader is None:
            self._follower.report_room()

    def on_log_read(
        self, now: Instant, seat: Seat, frames: tuple[LogFrame, ...], *, more: bool = False
    ) -> None:
        """Take the answer to ``ReadLog``, or a part of it and ``more`` will follow."""
        if self._begin(now) and self._leader is not None:
            self._leader.on_log_read(seat, frames, more=more)

    def on_no_boundary(self, now: Instant, seat: Seat, position: LogPosition) -> None:
        """Take as answer to ``ReadLog`` that a sound frame of ours goes on at ``position``."""
        if self._begin(now) and self._leader is not None:
            self._leader.on_no_boundary(seat, position)

    def on_service_position(self, now: Instant, position: LogPosition) -> None:
        """Note how far the service has applied; told to the leader with the next report."""
        if self._begin(now):
            assert position <= self._core.commit_position, (position, self._core.commit_position)
            self._core.service_position = position

    def on_link_up(self, now: Instant, peer: PeerLife) -> None:
        """A link to this life of a member is up; one to an earlier life is gone with that."""
        if not self._begin(now):
            return
        core = self._core
        previous = core.links.get(peer.seat)
        core.links[peer.seat] = peer
        if previous != peer:
            core.hellos.pop(peer.seat, None)
            core.refused_by.pop(peer.seat, None)
        core.send_durable(peer.seat, core.hello(), core.node_state_sequence)
        if core.leader == peer.seat and self._leader is None and not self._follower.is_of(peer):
            self._unheard("the leader's process was replaced", fast=True)
        if self._leader is not None:
            self._leader.on_link_up(peer)
        self._settle_outcome()

    def on_link_down(self, now: Instant, peer: PeerLife) -> None:
        """The link to this life of a member is gone."""
        if not self._begin(now) or self._core.links.get(peer.seat) != peer:
            return
        del self._core.links[peer.seat]
        self._election.on_link_down()
        if self._leader is not None:
            self._leader.on_link_down(peer)
            if self._transfer is not None and self._transfer.target == peer.seat:
                self._abort_transfer("the link to the target broke")

    def on_reconnect_refused(self, now: Instant, seat: Seat) -> None:
        """The link to ``seat`` broke and nobody answers at its address."""
        if self._begin(now) and seat == self._core.leader and seat not in self._core.links:
            self._unheard("the leader's address refuses connections", fast=True)
            self._settle_outcome()

    # -- requests of this member ----------------------------------------------------------

    def propose(self, now: Instant, body: bytes, entry_count: int) -> LogPosition | Rejection:
        """Append one frame of entries, if this member leads.

        Args:
            now: The clocks.
            body: Whole entries, at most the frame limit less its header.
            entry_count: How many.

        Returns:
            The position of the frame, or why nothing was appended.

        """
        return self._append(now, FrameType.ENTRIES, body, entry_count)

    def propose_empty(self, now: Instant) -> LogPosition | Rejection:
        """Append a frame that carries nothing but the log's time, for a timer that is due."""
        return self._append(now, FrameType.EMPTY, b"", 0)

    def _append(
        self, now: Instant, frame_type: FrameType, body: bytes, entry_count: int
    ) -> LogPosition | Rejection:
        if not self._begin(now):
            return Rejection.HALTED
        if self._leader is None or self._transfer is None:
            return Rejection.NOT_LEADER
        if self._transfer.is_running:
            return Rejection.PAUSED
        if self._digests.undecided and frame_type is FrameType.ENTRIES:
            return Rejection.DIVERGED
        assert self._room is not None, "every leader watches the room"
        if not self._room.may_append(frame_type, len(body)):
            return Rejection.STORAGE_FULL
        return self._leader.append(frame_type, body, entry_count)

    def log_time(self, now: Instant) -> int | None:
        """Return the log's time in nanoseconds, or None where this member does not lead."""
        if self._begin(now) and self._leader is not None:
            return self._leader.log_time()
        return None

    def request_found(self, now: Instant, *, discard: bool = False) -> str | None:
        """Found the cluster, or discard an unfinished founding; return the refusal, if any."""
        if not self._begin(now):
            return Rejection.HALTED.value
        refusal = self._founding.request(discard=discard)
        self._settle_outcome()
        return refusal

    def request_transfer(self, now: Instant, target: Seat | None) -> str | None:
        """Hand leadership to ``target``, or to the best voter; return the refusal, if any."""
        if not self._begin(now):
            return Rejection.HALTED.value
        if self._transfer is None:
            return f"not the leader; seat {self._core.leader} is"
        return self._transfer.request(target)

    def publish_commit(self, now: Instant) -> None:
        """Tell followers the commit position now: this member is about to end."""
        if self._begin(now) and self._leader is not None:
            self._leader.publish()

    def on_digest(self, now: Instant, position: LogPosition, digest: bytes) -> None:
        """Take our own service's digest at a position that all members compare."""
        if self._begin(now):
            self._digests.on_own(position, digest)

    def _abort_transfer(self, reason: str) -> None:
        """Lead on, unless the disk is why leadership was to be handed over."""
        if self._transfer is None:
            return
        if self._core.storage_stalled:
            self._leave_office(f"the disk is stalled, and the hand-over failed: {reason}")
        else:
            self._transfer.abort(reason)

    # -- messages -------------------------------------------------------------------------

    def on_message(self, now: Instant, peer: PeerLife, message: Message) -> None:
        """Take one message; one of a life that no link is up with is dropped."""
        if not self._begin(now) or self._core.links.get(peer.seat) != peer:
            return
        # The two of every frame first.
        if isinstance(message, AppendFrames):
            if self._is_heard(peer, message):
                self._on_append(peer, message)
        elif isinstance(message, AppendReport):
            if self._is_heard(peer, message):
                self._on_report(peer, message)
        elif not self._on_founding_message(peer, message) and self._is_heard(peer, message):
            self._dispatch(peer, message)
        if self._election.won:
            self._settle_outcome()

    def _is_heard(self, peer: PeerLife, message: Message) -> bool:
        """Only members of a founded cluster speak; who lost its log listens to any leader."""
        core = self._core
        if not core.node_state.founded:
            return False
        if not core.membership.members:
            return isinstance(message, AppendFrames)
        return core.knows(peer)

    def _on_founding_message(self, peer: PeerLife, message: Message) -> bool:
        """Take what may be said before the cluster exists; tell whether it was that."""
        match message:
            case Hello():
                self._on_hello(peer, message)
            case FoundRequest():
                self._founding.on_request(peer, message)
            case FoundingFrame():
                self._founding.on_frame(peer, message)
            case FoundingStored():
                self._founding.on_stored(peer, message)
            case Founded():
                self._founding.on_founded(peer, message)
            case FoundingDiscard():
                self._founding.on_discard(peer, message)
            case _:
                return False
        return True

    def _dispatch(self, peer: PeerLife, message: Message) -> None:  # noqa: C901, PLR0912 (a flat table)
        core = self._core
        match message:
            case Canvass():
                self._election.on_canvass(peer, message)
            case CanvassAnswer():
                self._election.on_canvass_answer(peer, message)
            case RequestVote():
                self._on_request_vote(peer, message)
            case Vote() if self._leader is None:
                self._election.on_vote(peer, message)
            case CureTarget():
                self._follower.on_cure_target(peer, message)
            case StandNow():
                self._on_stand_now(peer, message)
            case RoomReport() if self._room is not None:
                if message.leadership_term_id == core.term:
                    self._room.on_report(peer.seat, message)
            case DigestReport() if self._leader is not None:
                self._digests.judge(peer.seat, message.position, message.digest)
            case DigestVerdict() if core.leader == peer.seat:
                self._digests.on_verdict(message)
            case _:
                pass  # Overtaken: meant for a role or a leader that is no more.

    def _on_hello(self, peer: PeerLife, hello: Hello) -> None:
        core = self._core
        core.hellos[peer.seat] = hello
        self._election.note_end(peer.seat, hello.end)
        if hello.refusal:
            core.refused_by[peer.seat] = hello.refusal
            core.trace("refused_by_member", seat=peer.seat, reason=hello.refusal.name)
        self._founding.on_hello(peer, hello)
        if not core.node_state.founded or core.membership == NO_MEMBERSHIP:
            return
        if not core.knows(peer):
            blank = hello.founding is FoundingState.BLANK
            refusal = Refusal.VOLUME_LOST if blank else Refusal.NOT_A_MEMBER
            core.trace("refused_member", seat=peer.seat, reason=refusal.name)
            if not hello.refusal:  # Two that refuse each other would go on for ever.
                core.send_durable(peer.seat, core.hello(refusal), core.node_state_sequence)
            return
        leads_no_more = hello.role is not Role.LEADER or hello.leadership_term_id != core.term
        if peer.seat == core.leader and self._leader is None and leads_no_more:
            self._unheard("the leader leads no more", fast=True)

    def _on_append(self, peer: PeerLife, message: AppendFrames) -> None:
        if message.leadership_term_id > self._core.term:
            if self._transfer is not None and self._transfer.target == peer.seat:
                self._transfer.succeeded(message.leadership_term_id)
            self._leave_office("a leader of a higher term is heard")
        self._follower.on_append(peer, message)
        if self._core.leader == peer.seat and not self._core.leader_unheard:
            self._election.settle()
            self._digests.repeat()

    def _on_report(self, peer: PeerLife, report: AppendReport) -> None:
        core = self._core
        if self._leader is None:
            return
        if report.leadership_term_id > core.term:
            self._leave_office("a follower is in a higher term")
            core.adopt_term(report.leadership_term_id)
        elif report.leadership_term_id == core.term:
            self._leader.on_report(peer, report)
            self._hand_over()

    def _on_request_vote(self, peer: PeerLife, request: RequestVote) -> None:
        core = self._core
        higher = request.candidate_term_id > core.term
        if higher and self._leader is not None and self._election.is_open_to(request):
            assert self._transfer is not None, "every leader has its transfer"
            self._transfer.succeeded(request.candidate_term_id)
            self._leave_office("handed over")
        self._election.on_request_vote(peer, request)

    def _on_stand_now(self, peer: PeerLife, message: StandNow) -> None:
        core = self._core
        token = message.token
        in_time = token.leadership_term_id == core.term and core.leader == peer.seat
        # A longer log shows that the leader has given up and appended since.
        current = log_order(core.log.end) == (token.leadership_term_id, token.position)
        if in_time and current and self._leader is None:
            self._election.stand_with(token)

    # -- transitions ----------------------------------------------------------------------

    def _begin(self, now: Instant) -> bool:
        """Take the time of this input; tell whether the module still runs."""
        self._core.now = now
        return not self._halted

    def _await_leader(self) -> None:
        """Give a leader an election timeout to be heard; alone there is none to wait for."""
        core = self._core
        if len(core.membership.voters) == 1:
            core.leader_unheard = True
            self._unheard("the only voter", fast=False)
        else:
            core.arm(Deadline.ELECTION, core.election_timeout())

    def _unheard(self, reason: str, *, fast: bool) -> None:
        if self._leader is None:
            self._election.on_unheard(reason, fast=fast)

    def _settle_outcome(self) -> None:
        """Take office if the ballot is won."""
        if self._election.won and self._leader is None:
            core = self._core
            assert core.role is Role.CANDIDATE, core.role
            possible_loss = self._election.loss_possible()
            self._election.settle()
            self._follower.forget()
            core.leader_unheard = False
            core.set_role(Role.LEADER, core.seat, "elected")
            self._digests.begin_term()
            self._leader = Leader(core, possible_loss=possible_loss)
            self._transfer = Transfer(core, self._leader)
            self._room = LeaderRoom(core, self._leader, self._transfer)
            core.set_ingress(IngressState.OPEN)
            if possible_loss:
                detail = f"term {core.term} began without all that may have been acknowledged"
                core.alarm(LOSS_ALARM, detail)
            self._digests.repeat()

    def _leave_office(self, reason: str) -> None:
        """Stop leading or standing; term and vote stay as they are."""
        core = self._core
        if self._leader is None:
            self._election.yield_to_higher_term()
            return
        assert self._transfer is not None, "every leader has its transfer"
        core.tell_commit()  # What this leader has committed is told as its own, and before.
        self._transfer.lost(reason)
        self._leader = None
        self._transfer = None
        self._room = None
        core.storage_full = False
        for name in (FULL_ALARM, *OFFICE_ALARMS):
            core.end_alarm(name)
        self._digests.end_term()
        core.disarm(Deadline.HEARTBEAT, Deadline.PUBLISH, Deadline.CHECK_QUORUM, Deadline.TRANSFER)
        core.set_role(Role.FOLLOWER, None, reason)
        core.set_ingress(IngressState.CLOSED)
        core.greet_all()
        self._unheard(reason, fast=True)

    def _leave_to_who_serves(self) -> None:
        """A leader whose service has stopped serves nobody: hand over as soon as that can be."""
        if self._core.service_stopped and self._transfer is not None:
            self._transfer.request(None)  # Refused while one goes on, or nobody can take over.

    def _hand_over(self) -> None:
        assert self._transfer is not None, "every leader has its transfer"
        if self._transfer.is_running:
            self._transfer.maybe_hand_over()

    # -- output ---------------------------------------------------------------------------

    def drain(self) -> list[Effect]:
        """Return what is to be done since the last call, in order.

        What was appended meanwhile is sent to the followers in one go here.
        """
        core = self._core
        if self._leader is not None and not self._halted:
            assert self._room is not None, "every leader watches the room"
            self._room.judge()
            self._leader.flush()
        core.tell_commit()
        effects, core.effects = core.effects, []
        self._halted = core.is_halting
        return effects
