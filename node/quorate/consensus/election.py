"""Finding a new leader: canvass, nominate, ballot.

One flag decides: ``core.leader_unheard``. While the leader is heard, canvasses and votes for
others are refused and their term is not adopted, so that one broken link changes nothing.
A canvass asks whether a majority would vote and raises nobody's term; only then is the next
term, with our own vote in it, made durable, and the ballot held.

A ballot is *unanimous* when too many voters have lost their unsynced tail for a sound majority
to exist: then every voter must be present and vote, and the greatest log wins.
"""

from __future__ import annotations

from enum import Enum

from quorate.consensus.core import LOST_REASONS, Core, Deadline
from quorate.consensus.messages import Canvass, CanvassAnswer, RequestVote, TransferToken, Vote
from quorate.consensus.quorum import can_reach_quorum, has_quorum, quorum_size
from quorate.consensus.types import (
    NO_MEMBER,
    ROOM_UNBOUNDED,
    LeadershipTermId,
    LogMark,
    LogPosition,
    PeerLife,
    RecoveringReason,
    Role,
    Seat,
)

WAITING_ALARM = "waiting_for_quorum"
TERM_FRAME_BYTES_MORE = 128
"""By how much the first frame of a term may be longer than the founding frame."""


class ElectionState(Enum):
    """Where a member that is not the leader stands."""

    IDLE = "idle"
    WAITING = "waiting"
    """The leader is unheard; the wait before our canvass runs."""
    CANVASS = "canvass"
    BALLOT = "ballot"


def log_order(end: LogMark) -> tuple[LeadershipTermId, LogPosition]:
    """Return what logs are compared by: last term first, then length."""
    return (end.leadership_term_id, end.position)


class Election:
    """The attempts of one member to become leader, and its answers to those of others."""

    def __init__(self, core: Core) -> None:
        """Start idle."""
        self._core = core
        self.state = ElectionState.IDLE
        self.unanimous = False
        self.won = False
        self._round = 0
        self._yes: set[Seat] = set()
        self._no: set[Seat] = set()
        self._failures = 0
        self._votes_granted = 0
        self._stand_not_before = 0
        self._ends_known: dict[Seat, LogMark] = {}
        self._vote_sequence = 0

    # -- when to stand --------------------------------------------------------------------

    def settle(self) -> None:
        """A leader is heard, or we lead: forget all attempts and waits."""
        self.state = ElectionState.IDLE
        self.won = False
        self._failures = 0
        self._votes_granted = 0
        self._stand_not_before = 0
        self._core.disarm(Deadline.STAND, Deadline.CAMPAIGN)
        self._core.end_alarm(WAITING_ALARM)

    def on_unheard(self, reason: str, *, fast: bool) -> None:
        """The leader is gone as far as we can tell: stand soon, or (time-out) now."""
        core = self._core
        if core.role is Role.LEADER or not core.node_state.founded:
            return
        if not core.leader_unheard or core.leader is not None:
            core.leader_unheard = True
            core.disarm(Deadline.ELECTION)
            core.set_role(core.role, None, reason)
        if self.state is ElectionState.IDLE:
            self.state = ElectionState.WAITING
            wait = 0
            if fast:
                wait = core.random(0, core.config.canvass_jitter_ns)
                wait += core.config.canvass_rank_ns * self._rank()
            is_late = core.service_stopped or core.serves_late(core.service_position)
            if core.room_end != ROOM_UNBOUNDED or is_late:
                # Behind all others: a leader elected here would hand over soon, or would serve
                # nobody before its service has applied what it lacks, seconds after a restart.
                voters = len(core.membership.voters)
                wait += core.config.canvass_jitter_ns + core.config.canvass_rank_ns * voters
            self._wait(wait)

    def _wait(self, wait_ns: int) -> None:
        core = self._core
        held_back = self._stand_not_before - core.now.loop
        core.arm(Deadline.STAND, max(wait_ns, held_back, 0))

    def _rank(self) -> int:
        """Return how many voters have a better claim: best log first, then lowest seat."""
        core = self._core
        own = (log_order(core.log.end), -core.seat)
        claims = [
            (log_order(self._ends_known.get(seat, core.log.end)), -seat)
            for seat in core.other_voters
            if core.reaches(seat)
        ]
        return sum(claim > own for claim in claims)

    def note_end(self, seat: Seat, end: LogMark) -> None:
        """Remember the log that a member has shown, for our rank."""
        self._ends_known[seat] = end

    def stand(self) -> None:
        """Canvass the voters, unless this member may not stand."""
        core = self._core
        core.disarm(Deadline.STAND)
        if core.role is Role.LEADER or not core.is_voter or not core.leader_unheard:
            self.state = ElectionState.IDLE
            return
        if core.storage_stalled:
            self._fail("the disk is stalled")
            return
        if not self._has_room():
            self._fail("the disk is full")
            return
        self.unanimous = self._needs_every_vote()
        self._say_whom_we_wait_for()
        if core.is_recovering and not self.unanimous:
            self._fail("recovering: may not stand")
            return
        self.state = ElectionState.CANVASS
        self._round += 1
        self._yes, self._no = {core.seat}, set()
        core.trace("canvass", round=self._round, unanimous=self.unanimous)
        core.arm(Deadline.CAMPAIGN, core.config.election_timeout_min_ns)
        for seat in core.other_voters:
            canvass = Canvass(core.term, core.log.end, self.unanimous, self._round)
            core.send(seat, canvass)
        self._count()

    def _has_room(self) -> bool:
        """Tell whether the first frame of a term fits into the log."""
        founding = self._core.log.founding
        # It has all that the founding frame has, and some numbers.
        length = TERM_FRAME_BYTES_MORE + (len(founding.data) if founding is not None else 0)
        return self._core.has_room(length)

    def _needs_every_vote(self) -> bool:
        """Tell whether all voters are here, and too few of them sound for a quorum."""
        core = self._core
        if not core.config.unanimous_election:
            return False
        recovering = int(core.is_recovering)
        for seat in core.other_voters:
            peer = core.links.get(seat)
            if peer is None or seat not in core.hellos or not core.knows(peer):
                return False
            recovering += self._lost(seat)
        voters = len(core.membership.voters)
        return voters - recovering < quorum_size(voters)

    def _say_whom_we_wait_for(self) -> None:
        """Raise the alarm where members that recover keep everybody from being elected."""
        core = self._core
        missing = [seat for seat in core.other_voters if not core.reaches(seat)]
        lost = [seat for seat in core.other_voters if seat not in missing and self._lost(seat)]
        voters = len(core.membership.voters)
        sound = voters - len(missing) - len(lost)
        if not self.unanimous and core.is_recovering:
            reason = core.node_state.recovering.reason.name.lower()
            waits = f"seats {missing} to connect" if missing else "a sound leader"
            said = f"recovering ({reason}): waiting for {waits}; if they are gone for good"
        elif not self.unanimous and lost and sound < quorum_size(voters):
            apart = f" and seats {missing} are not connected" if missing else ""
            said = f"too few sound voters: seats {lost} recover{apart}; if no other copy comes back"
        else:
            core.end_alarm(WAITING_ALARM)
            return
        core.alarm(WAITING_ALARM, f"{said}: quorate recover --accept-loss")

    def _lost(self, seat: Seat) -> bool:
        hello = self._core.hellos.get(seat)
        return hello is not None and hello.recovering.reason in LOST_REASONS

    # -- our own campaign -----------------------------------------------------------------

    def on_link_down(self) -> None:
        """One that we wait for may be gone."""
        if self.state in (ElectionState.CANVASS, ElectionState.BALLOT):
            self._count()

    def _count(self) -> None:
        """Move on when enough voters have said yes, give up when too few can still say it.

        A member without a link does not answer before the next attempt, which is much nearer than
        the end of this one's time: two members that both stand for a killed leader's office
        refuse each other, and would wait for the dead one's vote.
        """
        core = self._core
        unreachable = {seat for seat in core.other_voters if not core.reaches(seat)}
        lost = (self._no | unreachable) - self._yes
        if self.unanimous:
            everyone = {member.seat for member in core.membership.voters}
            enough, possible = self._yes >= everyone, not lost
        else:
            enough = has_quorum(core.membership, self._yes)
            possible = can_reach_quorum(core.membership, lost)
        if enough and self.state is ElectionState.CANVASS:
            self._nominate(None)
        elif enough and core.persisted >= self._vote_sequence:
            self.won = True
        elif not possible:
            self._fail("too few can say yes")

    def _nominate(self, token: TransferToken | None) -> None:
        """Make the next term and our vote in it durable, then ask for votes."""
        core = self._core
        self.state = ElectionState.BALLOT
        term = LeadershipTermId(core.term + 1)
        vote = core.identity.member_id
        core.store(core.node_state._replace(candidate_term_id=term, vote=vote))
        self._vote_sequence = core.sequence
        self._yes, self._no = {core.seat}, set()
        core.set_role(Role.CANDIDATE, None, "stands")
        core.arm(Deadline.CAMPAIGN, core.config.election_timeout_min_ns)
        core.disarm(Deadline.ELECTION, Deadline.STAND)
        for seat in core.other_voters:
            request = RequestVote(term, core.log.end, self.unanimous, token)
            core.send_durable(seat, request)
        self._count()

    def stand_with(self, token: TransferToken) -> None:
        """Stand at once: the leader asked us to, and its token says so to the voters."""
        core = self._core
        if core.is_recovering or not core.is_voter or core.storage_stalled:
            return
        if not self._has_room():
            return
        self.unanimous = False
        core.leader_unheard = True
        self._nominate(token)

    def on_persisted(self) -> None:
        """Our own vote may be what was missing."""
        if self.state is ElectionState.BALLOT:
            self._count()

    def on_campaign_over(self) -> None:
        """A canvass or ballot has had its time."""
        if self.state in (ElectionState.CANVASS, ElectionState.BALLOT):
            self._fail("no outcome in time")

    def _fail(self, reason: str) -> None:
        """Give up this attempt and wait, longer each time."""
        core = self._core
        core.trace("election_failed", reason=reason, failures=self._failures + 1)
        core.disarm(Deadline.CAMPAIGN)
        if core.role is Role.CANDIDATE:
            core.set_role(Role.FOLLOWER, None, reason)
        wait = core.random(core.config.retry_min_ns, core.config.retry_max_ns)
        wait <<= min(self._failures, 10)
        self._failures += 1
        self.state = ElectionState.WAITING
        self._wait(min(wait, core.config.election_timeout_min_ns))
        # What others must know of us to elect anybody was perhaps dropped from a full buffer.
        core.greet_all()

    def yield_to_higher_term(self) -> None:
        """A higher term exists, which is adopted now: stop this attempt."""
        core = self._core
        if self.state in (ElectionState.CANVASS, ElectionState.BALLOT):
            self.state = ElectionState.WAITING
            core.disarm(Deadline.CAMPAIGN)
            self._wait(core.random(core.config.retry_min_ns, core.config.retry_max_ns))

    def on_canvass_answer(self, peer: PeerLife, answer: CanvassAnswer) -> None:
        """Count an answer to our canvass; a higher term ends it."""
        core = self._core
        core.walls.report(core.now, peer.seat, answer.wall)
        self.note_end(peer.seat, answer.end)
        if answer.leadership_term_id > core.term:
            # Only one that canvasses adopts it: the exiled one and the rest meet again here.
            if self.state is ElectionState.CANVASS:
                core.adopt_term(answer.leadership_term_id)
                self.yield_to_higher_term()
            return
        if self.state is ElectionState.CANVASS and answer.round == self._round:
            (self._yes if answer.granted else self._no).add(peer.seat)
            self._count()

    def on_vote(self, peer: PeerLife, vote: Vote) -> None:
        """Count a vote of our ballot; a higher term ends it."""
        core = self._core
        core.walls.report(core.now, peer.seat, vote.wall)
        self.note_end(peer.seat, vote.end)
        if self.state is not ElectionState.BALLOT:
            return  # A late answer: whoever hears a leader does not leave it for a higher term.
        if vote.candidate_term_id > core.term:
            core.adopt_term(vote.candidate_term_id)
            self.yield_to_higher_term()
        elif not vote.granted:
            # Also from a lower term: one that hears a leader refuses without adopting ours.
            self._no.add(peer.seat)
            self._count()
        elif vote.candidate_term_id == core.term and (self.unanimous or not vote.unanimous):
            self._yes.add(peer.seat)
            self._count()

    # -- the campaigns of others ----------------------------------------------------------

    def on_canvass(self, peer: PeerLife, canvass: Canvass) -> None:
        """Say whether we would vote for this member; promise nothing."""
        core = self._core
        self.note_end(peer.seat, canvass.end)
        granted = (
            core.leader_unheard
            and core.role is not Role.LEADER
            and canvass.leadership_term_id >= core.term
            and self._may_vote(canvass.end, unanimous=canvass.unanimous)
        )
        answer = CanvassAnswer(
            leadership_term_id=core.term,
            round=canvass.round,
            granted=granted,
            end=core.log.end,
            recovering=core.node_state.recovering,
            wall=core.now.wall,
        )
        core.send_durable(peer.seat, answer, core.node_state_sequence)
        if granted and self._has_better_claim(peer.seat, canvass.end):
            self._give_way()

    def _has_better_claim(self, seat: Seat, end: LogMark) -> bool:
        core = self._core
        return (log_order(end), -seat) > (log_order(core.log.end), -core.seat)

    def _give_way(self) -> None:
        """Let one with a better claim finish its attempt before we begin, or repeat, ours.

        Two that canvass at the same time grant each other's canvass, and would then refuse each
        other's ballot. A canvass has promised nothing, so it may be dropped.
        """
        core = self._core
        if self.state not in (ElectionState.WAITING, ElectionState.CANVASS):
            return
        self.state = ElectionState.WAITING
        core.disarm(Deadline.CAMPAIGN)
        wait = core.deadlines.get(Deadline.STAND, core.now.loop) - core.now.loop
        self._wait(max(wait, core.config.granted_vote_wait_ns))

    def _may_vote(self, end: LogMark, *, unanimous: bool) -> bool:
        """Tell whether a log is no worse than ours, and whether we have a vote to give."""
        core = self._core
        if not core.is_voter or (core.is_recovering and not unanimous):
            return False
        return log_order(end) >= log_order(core.log.end)

    def on_request_vote(self, peer: PeerLife, request: RequestVote) -> None:
        """Give or refuse a vote; a granted one is durable before it leaves."""
        core = self._core
        self.note_end(peer.seat, request.end)
        term = request.candidate_term_id
        if term < core.term or not self.is_open_to(request):
            self._answer(peer, granted=False)
            return
        if term > core.term:
            core.adopt_term(term)
            self.yield_to_higher_term()
            # With a token the former leader may be heard until now, but it leads no more.
            self.on_unheard("its leader handed over", fast=True)
        free = core.node_state.vote in (NO_MEMBER, peer.member_id)
        granted = (
            free
            and core.role is Role.FOLLOWER
            and self._may_vote(request.end, unanimous=request.unanimous)
        )
        if granted and core.node_state.vote == NO_MEMBER:
            core.store(core.node_state._replace(vote=peer.member_id))
            core.trace("vote_granted", candidate=peer.seat, candidate_term_id=term)
        if granted:
            self._hold_back()
        self._answer(peer, granted=granted)

    def is_open_to(self, request: RequestVote) -> bool:
        """Tell whether we look for a leader, or this candidate shows a token to honour."""
        core = self._core
        token = request.token
        if token is not None:
            honoured = token.leadership_term_id == core.term and log_order(core.log.end) <= (
                token.leadership_term_id,
                token.position,
            )
            if honoured:
                return True
        return core.leader_unheard and core.role is not Role.LEADER

    def _hold_back(self) -> None:
        """Whoever has voted gives the candidate time before it stands itself."""
        core = self._core
        wait = core.config.granted_vote_wait_ns << min(self._votes_granted, 10)
        wait = min(wait, core.config.election_timeout_min_ns)
        self._votes_granted += 1
        self._stand_not_before = core.now.loop + wait
        self.state = ElectionState.WAITING
        core.disarm(Deadline.CAMPAIGN)
        self._wait(wait)

    def _answer(self, peer: PeerLife, *, granted: bool) -> None:
        core = self._core
        vote = Vote(
            candidate_term_id=core.term,
            granted=granted,
            unanimous=core.is_recovering,
            end=core.log.end,
            wall=core.now.wall,
        )
        core.send_durable(peer.seat, vote)

    def loss_possible(self) -> bool:
        """Tell whether the ballot just won counted a log that may lack what was acknowledged."""
        core = self._core
        if self.unanimous:
            return True
        accepted = RecoveringReason.LOSS_ACCEPTED
        if core.node_state.recovering.reason is accepted:
            return True
        return any(
            hello.recovering.reason is accepted
            for seat, hello in core.hellos.items()
            if seat in self._yes
        )
