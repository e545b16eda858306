"""The birth of a cluster: one explicit act that can be interrupted anywhere and repeated.

The member in the lowest seat makes the founding frame; when all seats hold it durably, the
founded mark is made durable there first, then everywhere. Without the mark a member takes no
part. A founding frame that is held is never replaced by another.
"""

from __future__ import annotations

from quorate.consensus.core import Core
from quorate.consensus.effects import FoundingEnded
from quorate.consensus.messages import (
    Founded,
    FoundingDiscard,
    FoundingFrame,
    FoundingStored,
    FoundRequest,
    Hello,
    Refusal,
)
from quorate.consensus.types import (
    LOG_START,
    FoundingState,
    FrameType,
    LeadershipTermId,
    LogFrame,
    Member,
    Membership,
    PeerLife,
    Seat,
)

DISCARDED = "the unfinished founding was discarded"
ATTEMPT_MAX = (1 << 63) - 1


def _how_to_end(reason: str) -> str:
    return f"founding-broken: {reason}; end it with: quorate found --discard"


class Founding:
    """The part of one member in founding its cluster."""

    def __init__(self, core: Core) -> None:
        """Nothing asked for yet."""
        self._core = core
        self._asked = False
        self._forwarded = False
        """The lowest seat was asked to found, and has not said yet how that ended."""
        self._stored: set[Seat] = set()
        self._discarded: set[int] = set()
        """Chains of the frames that this life has discarded: what is said of them is old."""
        self._marking = 0

    @property
    def _maker(self) -> Seat:
        return min(seat for seat, _ in self._core.identity.seats)

    @property
    def _other_seats(self) -> list[Seat]:
        return [seat for seat, _ in self._core.identity.seats if seat != self._core.seat]

    # -- asking ---------------------------------------------------------------------------

    def request(self, *, discard: bool) -> str | None:
        """Found the cluster, or forget an unfinished founding; return why not.

        Returns:
            None when it has begun (its end comes as ``FoundingEnded``), else the refusal.

        """
        core = self._core
        if core.node_state.founded:
            if discard:
                return "this cluster is founded: nothing is discarded"
            for seat in self._other_seats:
                self._tell(seat)
            core.effects.append(FoundingEnded(True, "the cluster is founded already"))
            return None
        if Refusal.VOLUME_LOST in core.refused_by.values():
            return "volume-lost: a cluster exists and does not know this directory"
        if core.seat != self._maker:
            return self._forward(discard=discard)
        return self._discard() if discard else self._make()

    def _forward(self, *, discard: bool) -> str | None:
        """Ask the lowest seat, unless what we see ourselves already says that it must refuse.

        Its refusal would not come back, and whoever has asked would wait out the time.
        """
        core = self._core
        if self._maker not in core.links:
            return f"seat {self._maker}, which founds, is not connected"
        refusal = self._refusal()
        if refusal is None and not discard:
            refusal = self._broken()
        if refusal is not None:
            return refusal
        core.send(self._maker, FoundRequest(discard))
        self._asked = True
        self._forwarded = not discard
        return None

    def on_request(self, peer: PeerLife, message: FoundRequest) -> None:
        """Another member forwards its request; only the lowest seat acts on it.

        Who still asks when the cluster is founded has not heard of it.
        """
        core = self._core
        if core.seat == self._maker and core.node_state.founded:
            self._tell(peer.seat)
        elif core.seat == self._maker:
            refusal = self._discard() if message.discard else self._make()
            if refusal is not None:
                core.trace("founding_refused", seat=peer.seat, reason=refusal)

    def _tell(self, seat: Seat) -> None:
        """Say, as far as it is durable, that the cluster is founded."""
        core = self._core
        if core.log.founding is not None:
            message = Founded(core.log.founding.chain)
            core.send_durable(seat, message, core.node_state_sequence)

    def _refusal(self) -> str | None:
        """Return why the cluster cannot be founded now, naming the seat; None when it can."""
        core = self._core
        for seat in self._other_seats:
            hello = core.hellos.get(seat)
            if seat not in core.links or hello is None:
                return f"seat {seat} is not connected"
            if hello.configuration_hash != core.identity.configuration_hash:
                return f"seat {seat} has another configuration (cluster id, seats, settings)"
            if hello.founding is FoundingState.FOUNDED:
                return f"seat {seat} belongs to a founded cluster"
        return None

    def _broken(self) -> str | None:
        """Return which seat says that only a discard can end this founding; None for none."""
        core = self._core
        if core.founding_broken:
            return _how_to_end(core.founding_broken)
        for seat in self._other_seats:
            if core.hellos[seat].founding is FoundingState.BROKEN:
                return _how_to_end(f"seat {seat} cannot go on with its founding frame")
        return None

    def _make(self) -> str | None:
        """Make the founding frame, or take up the one that a member already holds."""
        core = self._core
        refusal = self._refusal() or self._broken()
        if refusal is not None:
            return refusal
        held = {hello.founding_chain: hello.founding_frame for hello in self._hellos()}
        if core.log.founding is not None:
            held[core.log.founding.chain] = core.log.founding
        known = {0} | self._discarded
        frames = [frame for chain, frame in held.items() if frame and chain not in known]
        if len(frames) > 1:
            return self._break("two founding frames are held")
        frame = frames[0] if frames else self._new_frame()
        stranger = self._stranger(core.codec.membership_of(frame))
        if stranger is not None:
            return self._break(f"the founding frame does not list the directory of {stranger}")
        self._asked = True
        self._stored = set()
        if core.log.founding is None:
            core.append((frame,))
        for seat in self._other_seats:
            chain = core.hellos[seat].founding_chain
            if chain in self._discarded:
                core.send(seat, FoundingDiscard(chain))  # The first one may not have arrived.
            core.send(seat, FoundingFrame(frame))
        self.on_progress()
        return None

    def _hellos(self) -> list[Hello]:
        return [self._core.hellos[seat] for seat in self._other_seats]

    def _new_frame(self) -> LogFrame:
        core = self._core
        members = tuple(
            Member(
                core.identity.member_id if seat == core.seat else core.links[seat].member_id,
                seat,
                name,
            )
            for seat, name in core.identity.seats
        )
        # The same directories may found again after a discard: what was said of the frame that
        # was dropped, and is still on its way, must not count for the new one.
        body = core.codec.founding_body(members, core.random(1, ATTEMPT_MAX))
        term = LeadershipTermId(0)
        position, chain = LOG_START.position, LOG_START.chain
        return core.codec.encode(position, term, 0, chain, FrameType.FOUNDING, body)

    def _stranger(self, membership: Membership) -> str | None:
        """Return the seat whose present directory the frame does not list, if any."""
        core = self._core
        listed = {member.seat: member.member_id for member in membership.members}
        if listed.get(core.seat) != core.identity.member_id:
            return f"seat {core.seat}"
        for seat in self._other_seats:
            peer = core.links.get(seat)
            if peer is not None and listed.get(seat) != peer.member_id:
                return f"seat {seat}"
        return None

    def _break(self, reason: str) -> str:
        core = self._core
        if core.founding_broken != reason:
            core.founding_broken = reason
            core.trace("founding_broken", reason=reason)
            core.greet_all()
        return _how_to_end(reason)

    def _discard(self) -> str | None:
        """Forget the founding frame everywhere; only while nobody carries the mark."""
        core = self._core
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        own: set[int] = set() if core.log.founding is None else {core.log.founding.chain}
        self._discarded |= {hello.founding_chain for hello in self._hellos()} - {0} | own
        self._drop()
        for seat in self._other_seats:
            # What it has told us that it holds, or none, or what we have sent it since.
            for chain in sorted({core.hellos[seat].founding_chain} | own):
                core.send(seat, FoundingDiscard(chain))
        core.effects.append(FoundingEnded(True, DISCARDED, discarded=True))
        return None

    def _drop(self) -> None:
        core = self._core
        core.trace("founding_discarded", position=core.log.end.position)
        core.founding_broken = ""
        self._asked = False
        self._forwarded = False
        self._stored = set()
        if core.log.end.position:
            core.truncate(LOG_START)
        core.greet_all()

    # -- answering ------------------------------------------------------------------------

    def on_frame(self, peer: PeerLife, message: FoundingFrame) -> None:
        """Store the founding frame that the lowest seat has made."""
        core = self._core
        if core.node_state.founded or peer.seat != self._maker:
            return
        held = core.log.founding
        if held is None:
            membership = core.codec.membership_of(message.frame)
            listed = {member.seat: member.member_id for member in membership.members}
            if listed.get(core.seat) != core.identity.member_id:
                self._break(f"the founding frame does not list the directory of seat {core.seat}")
                return
            core.append((message.frame,))
        elif held.chain != message.frame.chain:
            self._break("two founding frames are held")
            return
        self.on_progress()

    def on_discard(self, peer: PeerLife, message: FoundingDiscard) -> None:
        """Forget an unfinished founding, as the lowest seat says; not one that came after it.

        Where we hold another frame, or none, it has not heard of that, and would refuse to found
        for what we were: it is told again.
        """
        core = self._core
        if core.node_state.founded or peer.seat != self._maker:
            return
        held = core.log.founding.chain if core.log.founding is not None else 0
        if message.chain != held:
            core.send_durable(peer.seat, core.hello(), core.node_state_sequence)
        else:
            asked = self._asked
            self._drop()
            if asked:
                core.effects.append(FoundingEnded(True, DISCARDED, discarded=True))

    def on_stored(self, peer: PeerLife, message: FoundingStored) -> None:
        """Count a seat that durably holds our frame."""
        core = self._core
        founding = core.log.founding
        if founding is None or not core.knows(peer) or message.chain != founding.chain:
            return
        self._stored.add(peer.seat)
        self.on_progress()

    def on_founded(self, peer: PeerLife, message: Founded) -> None:
        """The lowest seat says that all hold the frame: take the mark."""
        founding = self._core.log.founding
        if founding is not None and self._core.knows(peer) and founding.chain == message.chain:
            self._mark()

    def on_hello(self, peer: PeerLife, hello: Hello) -> None:
        """Learn what a member is; a marked one that our frame lists gives us the mark."""
        core = self._core
        if core.node_state.founded:
            return
        is_broken = hello.founding is FoundingState.BROKEN
        if self._forwarded and is_broken and peer.seat == self._maker:
            self._asked = self._forwarded = False
            reason = _how_to_end(f"seat {peer.seat} cannot go on with what members hold")
            core.effects.append(FoundingEnded(False, reason))
        if core.log.founding is None:
            return
        if not core.knows(peer):
            if hello.founding is not FoundingState.FOUNDED:
                self._break(f"the founding frame does not list the directory of seat {peer.seat}")
            return
        marked = hello.founding is FoundingState.FOUNDED
        if marked and hello.founding_chain == core.log.founding.chain:
            self._mark()

    def _mark(self) -> None:
        core = self._core
        if not core.node_state.founded:
            core.founding_broken = ""
            core.store(core.node_state._replace(founded=True))
            self._marking = core.sequence

    def on_progress(self) -> None:
        """Go on when something of the founding has become durable."""
        core = self._core
        founding = core.log.founding
        if core.node_state.founded or founding is None or core.log.durable < founding.end:
            return
        if core.founding_broken:
            return
        if core.seat != self._maker:
            core.send_durable(self._maker, FoundingStored(founding.chain))
        elif self._asked and self._stored >= set(self._other_seats):
            self._mark()

    def on_persisted(self) -> bool:
        """Go on after a sync; tell whether this member has just been founded."""
        core = self._core
        if self._marking and core.persisted >= self._marking:
            self._marking = 0
            assert core.log.founding is not None, "the mark follows the frame"
            for seat in self._other_seats:
                self._tell(seat)
            core.greet_all()
            core.trace("founded", members=len(core.membership.members))
            core.effects.append(FoundingEnded(True, "founded"))
            return True
        if not core.node_state.founded:
            self.on_progress()
        return False
