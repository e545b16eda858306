"""Following a leader: check what it sends, resolve conflicts, report, follow its commit.

``checked`` is the end of what is known to equal the log of this term's leader, because it
came from it or was compared with it frame by frame. Only what is durable *and* below it is
reported; only what is committed *and* below it is applied. A raw log end promises nothing.
"""

from __future__ import annotations

from quorate.consensus.core import Core, Deadline
from quorate.consensus.effects import CloseLink, HaltCode
from quorate.consensus.messages import AppendFrames, AppendReport, CureTarget, RoomReport
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    START_POSITION,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    PeerLife,
    Role,
    TermRecord,
)


class Follower:
    """What a member knows of the leader it follows; starts afresh with each term."""

    def __init__(self, core: Core) -> None:
        """Follow nobody yet."""
        self._core = core
        self._leader: PeerLife | None = None
        self._leader_term = LeadershipTermId(0)
        self.checked = LogPosition(0)
        self.leader_end = LogPosition(0)
        self._round = 0
        self._reported = LogPosition(0)
        self._cure_position: LogPosition | None = None
        self._patience = 0
        """The election timeout in nanoseconds, drawn once for each leader that is followed."""

    @property
    def durable(self) -> LogPosition:
        """End of what is durable here and checked against the leader that we follow."""
        return min(self.checked, self._core.log.durable)

    @property
    def _follows_this_term(self) -> bool:
        """Whether ``checked`` and ``_round`` speak of the present term, not of one before it."""
        return self._leader_term == self._core.term

    @property
    def caught_up_lag(self) -> int:
        """Bytes between the leader's end as last heard and what is checked here."""
        return max(0, self.leader_end - self.checked)

    def is_of(self, peer: PeerLife) -> bool:
        """Tell whether this very life of a member is the leader that we follow."""
        return self._leader == peer

    def forget(self) -> None:
        """Follow nobody: what was checked against a former leader is checked no longer."""
        self._leader = None
        self.checked = LogPosition(0)
        self._reported = LogPosition(0)
        self._round = 0
        self._cure_position = None

    def on_append(self, peer: PeerLife, message: AppendFrames) -> None:
        """Take frames or a heartbeat from whoever says it leads this term."""
        core = self._core
        if message.leadership_term_id < core.term:
            self._report(peer, matched=True)
            return
        if message.leadership_term_id > core.term:
            core.adopt_term(message.leadership_term_id)
        assert core.role is not Role.LEADER, (core.term, peer)
        self._hear(peer)
        self.leader_end = message.end_position
        if message.round > self._round:
            self._round = message.round
            if core.room_end != ROOM_UNBOUNDED:
                self.report_room()
        if not self._matches(message.previous):
            self._report(peer, matched=False, probed=message.previous.position)
            return
        self.checked = max(self.checked, message.previous.position)
        before = core.sequence
        if self._take(peer, message.frames):
            self._follow_commit(message.commit_position)
            if core.sequence == before:
                self._report(peer, matched=True)

    def _hear(self, peer: PeerLife) -> None:
        """Note a valid message of this term's leader."""
        core = self._core
        core.leader_unheard = False
        if self._leader == peer and self._leader_term == core.term and core.leader == peer.seat:
            core.deadlines[Deadline.ELECTION] = core.now.loop + self._patience
            return
        core.disarm(Deadline.STAND, Deadline.CAMPAIGN)
        self._patience = core.election_timeout()
        core.arm(Deadline.ELECTION, self._patience)
        if self._leader_term == core.term and self._leader is not None:
            assert self._leader == peer, f"two leaders in term {core.term}: {self._leader}, {peer}"
        else:
            self.forget()
        self._leader = peer
        self._leader_term = core.term
        core.set_role(Role.FOLLOWER, peer.seat, "follows the leader of the term")

    def _matches(self, previous: LogMark) -> bool:
        """Tell whether our log has this boundary of the leader's."""
        log = self._core.log
        if previous.position <= self.checked:
            return True
        if previous.position > log.end.position:
            return False
        if log.term_before(previous.position) != previous.leadership_term_id:
            return False
        chain = log.chain_before(previous.position)
        return chain is None or chain == previous.chain

    def _take(self, peer: PeerLife, frames: tuple[LogFrame, ...]) -> bool:
        """Skip the frames that we hold, cut where ours differ, append the rest."""
        log = self._core.log
        for index, frame in enumerate(frames):
            if frame.end <= self.checked:
                continue
            held_term = log.term_before(LogPosition(frame.position + 1))
            held = self.checked == frame.position < log.end.position
            if not held or held_term != frame.leadership_term_id:
                return self._extend(peer, frames[index:])
            if not self._same_as_ours(frame):
                return False
            self.checked = frame.end
        return True

    def _same_as_ours(self, frame: LogFrame) -> bool:
        """Equal term and position mean equal frames; anything else is damage on one side."""
        core = self._core
        own = core.log.frame_at(frame.position)
        if frame.end <= core.log.end.position and (own is None or own.chain == frame.chain):
            return True
        detail = (
            f"the frame at {frame.position} of term {frame.leadership_term_id} is not the "
            "leader's: one of the two recordings is damaged; run `quorate verify` on both"
        )
        core.halt(HaltCode.DAMAGED, detail)
        return False

    def _extend(self, peer: PeerLife, frames: tuple[LogFrame, ...]) -> bool:
        """Put frames behind what is checked, instead of what conflicts, as far as there is room.

        What has no room the leader sends again, as whatever was lost on its way.
        """
        core = self._core
        log = core.log
        position, term = self.checked, log.term_before(self.checked)
        known = log.chain_before(position)
        chain = frames[0].previous_chain if known is None else known
        cut = LogMark(position, term, chain)
        for frame in frames:
            bad = (
                frame.position != position
                or frame.previous_chain != chain
                or not term <= frame.leadership_term_id <= core.term
            )
            if bad:
                core.effects.append(CloseLink(peer.seat, "frame does not follow our log"))
                return False
            position, term, chain = frame.end, frame.leadership_term_id, frame.chain
        if cut.position < log.end.position:
            core.truncate(cut)
        if frames[-1].end > core.room_end:
            frames = tuple(frame for frame in frames if frame.end <= core.room_end)
        if frames:
            core.append(frames)
        self.checked = core.log.end.position
        return True

    def _follow_commit(self, leader_commit: LogPosition) -> None:
        """Commit what the leader has, as far as our log is known to be the leader's."""
        core = self._core
        position = min(leader_commit, self.checked)
        if position > core.commit_position:
            core.commit(position)

    def on_persisted(self) -> None:
        """Report progress to the leader, and end recovering when the target is reached."""
        core = self._core
        if self._leader is None or core.leader != self._leader.seat:
            return
        if self.durable > self._reported:
            self._report(self._leader, matched=True)
        self._maybe_cured()

    def report_room(self) -> None:
        """Tell the leader how far the log can grow here."""
        core = self._core
        if self._leader is not None and core.leader == self._leader.seat:
            core.send(self._leader.seat, RoomReport(core.term, core.room_end))

    def on_cure_target(self, peer: PeerLife, message: CureTarget) -> None:
        """Learn up to where the log must be durable before this member counts again."""
        in_term = self._follows_this_term and message.leadership_term_id == self._core.term
        if peer == self._leader and in_term:
            self._cure_position = message.position
            self._maybe_cured()

    def _maybe_cured(self) -> None:
        core = self._core
        reached = self._cure_position is not None and self.durable >= self._cure_position
        if reached and core.node_state.recovering.reason:
            self._cure_position = None
            core.clear_recovering()

    def _report(
        self, peer: PeerLife, *, matched: bool, probed: LogPosition = START_POSITION
    ) -> None:
        """Tell the leader where we stand; our term and recovering are durable before."""
        core = self._core
        end = core.log.end
        terms: tuple[TermRecord, ...] = ()
        if not matched:
            end, terms = self._terms_shown(probed)
        # What was checked against the leader of another term must not count in this one.
        counts = self._follows_this_term
        durable = self.durable if counts else START_POSITION
        if peer == self._leader:
            self._reported = durable
        report = AppendReport(
            core.term,
            matched,
            durable,
            self.checked if counts else START_POSITION,
            end,
            terms,
            self._round if counts else 0,
            core.service_position,
            core.node_state.recovering,
            core.now.wall,
        )
        core.send_durable(peer.seat, report, core.node_state_sequence)

    def _terms_shown(self, probed: LogPosition) -> tuple[LogMark, tuple[TermRecord, ...]]:
        """Return rows of the term table around ``probed`` and the end of what they cover."""
        core = self._core
        terms = core.log.terms
        rows_max = core.config.terms_reported_max
        below = sum(1 for row in reversed(terms) if row.base >= probed)
        if below < rows_max:
            return core.log.end, tuple(terms[-rows_max:])
        stop = len(terms) - below
        row = terms[stop]
        mark = LogMark(row.base, core.log.term_before(row.base), row.chain)
        return mark, tuple(terms[max(0, stop - rows_max) : stop])
