"""One consensus module whose disk, clock and links are in the hands of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from quorate.consensus.config import MS, ConsensusConfig, Identity, Recovered
from quorate.consensus.core import Core, Deadline
from quorate.consensus.effects import (
    AppendToLog,
    Effect,
    Halt,
    Send,
    StoreNodeState,
    TruncateLog,
)
from quorate.consensus.leader import Leader
from quorate.consensus.messages import (
    AppendFrames,
    AppendReport,
    Canvass,
    CanvassAnswer,
    Hello,
    Message,
    Refusal,
    RequestVote,
    Vote,
)
from quorate.consensus.module import ConsensusModule
from quorate.consensus.types import (
    LOG_START,
    NOT_RECOVERING,
    Chain,
    FoundingState,
    Instant,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    MemberId,
    NodeState,
    PeerLife,
    Recovering,
    Role,
    Seat,
    StartNonce,
    TermRecord,
)
from quorate_consensus.logs import CLUSTER_ID, CODEC, HandLog, member_id, node_state

CONFIGURATION_HASH = bytes(16)
WALL = 1_700_000_000_000_000_000
_Kind = TypeVar("_Kind")


def lowest(low: int, _high: int) -> int:
    """Draw the lower bound."""
    return low


class Driven:
    """A module and what it has asked for; see ``written`` for when its disk completes."""

    def __init__(
        self,
        log: HandLog | None = None,
        seat: int = 0,
        *,
        state: NodeState | None = None,
        seats: int = 3,
        config: ConsensusConfig | None = None,
        random: Callable[[int, int], int] = lowest,
        formatting: int = 0,
        by_hand: bool = False,
    ) -> None:
        """Start a member of a cluster whose disk holds ``log`` and ``state``.

        Args:
            log: What the disk holds; by default the founding frame of ``seats`` voters.
            seat: Its own seat.
            state: Its node state; by default founded, in the last term of the log.
            seats: How many seats are configured.
            config: Time-outs and limits.
            random: What it draws.
            formatting: Which directory is in the seat.
            by_hand: Nothing is durable before the test calls ``persist``.

        """
        held = HandLog(seats) if log is None else log
        last = held.end.leadership_term_id
        self.seat = seat
        self.seats = seats
        self.by_hand = by_hand
        self.now = Instant(1_000_000 * MS, 5_000_000 * MS, WALL)
        self.lives: dict[int, PeerLife] = {}
        self.effects: list[Effect] = []
        self.sequence = 0
        self.halted = False
        self.life = PeerLife(Seat(seat), member_id(seat, formatting), StartNonce(100 + seat))
        self.module = ConsensusModule(
            config=config or ConsensusConfig(),
            identity=Identity(
                cluster_id=CLUSTER_ID,
                member_id=self.life.member_id,
                seat=Seat(seat),
                start_nonce=self.life.start_nonce,
                epoch=0,
                seats=tuple((Seat(s), f"m{s}") for s in range(seats)),
                configuration_hash=CONFIGURATION_HASH,
            ),
            recovered=Recovered(
                node_state=node_state(last) if state is None else state,
                terms=held.terms,
                end=held.end,
                last_timestamp=held.frames[-1].timestamp if held.frames else 0,
                founding=held.frames[0] if held.frames else None,
            ),
            codec=CODEC,
            random=random,
            now=self.now,
        )
        self.drain()

    @property
    def core(self) -> Core:
        """What all roles share."""
        return self.module.core

    @property
    def leader(self) -> Leader:
        """The leadership of this member, which it must have."""
        leading = self.module.leading
        assert leading is not None
        return leading

    # Methods, since a type checker takes the value of a property to stay.

    def has_role(self, role: Role) -> bool:
        """Tell whether this is its role now."""
        return self.module.role is role

    def hears_a_leader(self) -> bool:
        """Tell whether the leader is not unheard now."""
        return not self.module.leader_unheard

    def founding(self) -> FoundingState:
        """Return how far its founding has come now."""
        return self.module.founding_state

    # -- effects --------------------------------------------------------------------------

    def drain(self) -> None:
        """Take the effects, and unless the disk is driven by hand complete what is written."""
        while True:
            effects = self.module.drain()
            self.effects += effects
            for effect in effects:
                if isinstance(effect, StoreNodeState | AppendToLog | TruncateLog):
                    self.sequence = effect.sequence
            self.halted = self.halted or any(isinstance(effect, Halt) for effect in effects)
            if self.by_hand or self.halted or self.core.persisted == self.sequence:
                return
            self.module.on_persisted(self.now, self.sequence)

    def persist(self, sequence: int | None = None) -> None:
        """Complete the writes up to ``sequence``, or all."""
        self.module.on_persisted(self.now, self.sequence if sequence is None else sequence)
        self.drain()

    def clear(self) -> None:
        """Forget the effects so far."""
        self.effects.clear()

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """Return the effects of this kind since the last ``clear``."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def sent(self, kind: type[_Kind], seat: int | None = None) -> list[_Kind]:
        """Return the messages of this kind sent (to ``seat``) since the last ``clear``."""
        return [
            send.message
            for send in self.of(Send)
            if isinstance(send.message, kind) and seat in (None, send.seat)
        ]

    # -- inputs ---------------------------------------------------------------------------

    def wait(self, milliseconds: float) -> None:
        """Let time pass; nothing fires by itself."""
        ns = int(milliseconds * MS)
        self.now = Instant(self.now.loop + ns, self.now.boottime + ns, self.now.wall + ns)

    def tick(self, milliseconds: float) -> None:
        """Let time pass and fire what is due then."""
        self.wait(milliseconds)
        self.module.on_tick(self.now)
        self.drain()

    def fire(self, deadline: Deadline) -> None:
        """Fire one deadline, due or not."""
        self.module.on_deadline(self.now, deadline)
        self.drain()

    def link(self, *seats: int, life: int = 1, formatting: int = 0) -> None:
        """Link the n-th life of the directory in each of these seats."""
        for seat in seats:
            nonce = StartNonce(seat * 1000 + life)
            self.link_to(PeerLife(Seat(seat), member_id(seat, formatting), nonce))

    def link_to(self, peer: PeerLife) -> None:
        """Link this life of a member."""
        self.lives[peer.seat] = peer
        self.module.on_link_up(self.now, peer)
        self.drain()

    def unlink(self, *seats: int) -> None:
        """Break the links to these seats."""
        for seat in seats:
            self.module.on_link_down(self.now, self.lives[seat])
            self.drain()

    def refuse(self, seat: int) -> None:
        """Let the address of a seat refuse connections after its link broke."""
        self.unlink(seat)
        self.module.on_reconnect_refused(self.now, Seat(seat))
        self.drain()

    def receive(self, seat: int, *messages: Message) -> None:
        """Take messages from the present life in a seat."""
        for message in messages:
            self.module.on_message(self.now, self.lives[seat], message)
            self.drain()

    def propose(self, size: int = 0) -> LogPosition:
        """Append a frame of entries as leader."""
        position = self.module.propose(self.now, bytes(size), 0)
        assert isinstance(position, int), position
        self.drain()
        return position

    # -- whole stretches ------------------------------------------------------------------

    def canvass(self) -> Canvass:
        """Let the election timeout pass, and return what is asked of the others."""
        self.fire(Deadline.ELECTION)
        self.fire(Deadline.STAND)
        return self.sent(Canvass)[-1]

    def nominate(self, *willing: int) -> RequestVote:
        """Canvass with these seats in favour, and return what the ballot asks."""
        asked = self.canvass()
        for seat in willing:
            self.receive(seat, canvass_answer(asked, term=self.module.term))
        return self.sent(RequestVote)[-1]

    def be_elected(self, *voters: int) -> None:
        """Link everybody and win an election with the votes of these seats."""
        self.link(*(s for s in range(self.seats) if s != self.seat and s not in self.lives))
        self.nominate(*voters)
        for seat in voters:
            self.receive(seat, vote(self.module.term))
        assert self.has_role(Role.LEADER)

    def follow(self, seat: int, log: HandLog, term: int | None = None) -> None:
        """Hear the leader in ``seat``, whose log is ``log``, up to its end."""
        if seat not in self.lives:
            self.link(seat)
        self.receive(seat, append(log.end.leadership_term_id if term is None else term, log.end))

    def accept(self, *seats: int) -> None:
        """As leader hear from these seats that they hold durably all there is."""
        for seat in seats:
            self.receive(seat, report(self))


def append(
    term: int,
    previous: LogMark = LOG_START,
    frames: Iterable[LogFrame] = (),
    *,
    commit: int = 0,
    round_number: int = 1,
) -> AppendFrames:
    """Return what a leader sends."""
    sent = tuple(frames)
    end = sent[-1].end if sent else previous.position
    position = LogPosition(commit)
    return AppendFrames(LeadershipTermId(term), previous, sent, position, round_number, end)


def report(
    leader: Driven,
    *,
    term: int | None = None,
    matched: bool = True,
    durable: int | None = None,
    checked: int | None = None,
    end: LogMark | None = None,
    terms: tuple[TermRecord, ...] = (),
    round_number: int | None = None,
    recovering: Recovering = NOT_RECOVERING,
) -> AppendReport:
    """Return what a follower answers: by default that it has all there is."""
    log = leader.core.log
    held = log.end.position if checked is None else LogPosition(checked)
    own_end = LogMark(held, log.term_before(held), log.chain_before(held) or Chain(0))
    return AppendReport(
        leadership_term_id=LeadershipTermId(leader.module.term if term is None else term),
        matched=matched,
        durable=held if durable is None else LogPosition(durable),
        checked=held,
        end=own_end if end is None else end,
        terms=terms,
        round=leader.leader._round if round_number is None else round_number,
        service_position=LogPosition(0),
        recovering=recovering,
        wall=WALL,
    )


def canvass_answer(
    asked: Canvass, *, term: int, granted: bool = True, end: LogMark | None = None
) -> CanvassAnswer:
    """Return an answer to a canvass, from a member without recovering."""
    shown = asked.end if end is None else end
    return CanvassAnswer(LeadershipTermId(term), asked.round, granted, shown, NOT_RECOVERING, WALL)


def vote(term: int, *, granted: bool = True, unanimous: bool = False) -> Vote:
    """Return a vote, or its refusal."""
    return Vote(LeadershipTermId(term), granted, unanimous, LOG_START, WALL)


def hello(
    founding: FoundingState = FoundingState.FOUNDED,
    *,
    role: Role = Role.FOLLOWER,
    term: int = 0,
    end: LogMark = LOG_START,
    frame: LogFrame | None = None,
    chain: int = 0,
    recovering: Recovering = NOT_RECOVERING,
    refusal: Refusal = Refusal.NONE,
    configuration_hash: bytes = CONFIGURATION_HASH,
) -> Hello:
    """Return a greeting."""
    return Hello(
        founding=founding,
        configuration_hash=configuration_hash,
        founding_frame=frame,
        founding_chain=frame.chain if frame is not None else chain,
        role=role,
        leadership_term_id=LeadershipTermId(term),
        end=end,
        recovering=recovering,
        refusal=refusal,
    )


def request_vote(
    term: int, end: LogMark, *, unanimous: bool = False, token: object = None
) -> RequestVote:
    """Return what a candidate asks."""
    return RequestVote(LeadershipTermId(term), end, unanimous, token)  # type: ignore[arg-type]


def id_of(seat: int) -> MemberId:
    """Return the member id that the founding frame has in this seat."""
    return member_id(seat)
