"""The invariants of consensus, checked at each effect and after each event.

The numbers are those of the project's list of invariants. Every rule looks only at what the
event touched, so a walk of hundreds of steps costs little more than the module itself; and
every rule has a test with a bad history made by hand (``tests/simulation``).
"""

from __future__ import annotations

from typing import Protocol

from quorate.consensus.effects import (
    AppendToLog,
    CommitTo,
    Halt,
    StoreNodeState,
    TransferEnded,
    TruncateLog,
)
from quorate.consensus.log_view import LogView
from quorate.consensus.types import (
    NO_MEMBER,
    Chain,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    NodeState,
    Role,
)
from quorate.errors import RemoteProtocolError
from quorate.protocol.log_codec import decode_frame, follows, frame_body
from quorate.protocol.term_codec import TermBody, decode_founding
from quorate_simulation.founding import term_of
from quorate_simulation.history import ClusterHistory, InvariantViolation
from quorate_simulation.message_checks import MessageChecks
from quorate_simulation.shadow import ShadowMember, is_recovering


class CoreView(Protocol):
    """What the checkers read of a consensus module: its core."""

    @property
    def role(self) -> Role: ...
    @property
    def term(self) -> LeadershipTermId: ...
    @property
    def commit_position(self) -> LogPosition: ...
    @property
    def log(self) -> LogView: ...


class ConsensusChecker(MessageChecks):
    """Watches all members of one cluster; raises ``InvariantViolation`` at the first breach."""

    def __init__(self, history: ClusterHistory | None = None) -> None:
        """Watch a cluster of which nothing is known yet."""
        super().__init__(history or ClusterHistory())

    # -- persist effects, as they are asked for ---------------------------------------------

    def on_store(self, member: ShadowMember, effect: StoreNodeState) -> None:
        """I6: term and vote never go back; a vote is given once; the mark stays."""
        self._next_sequence(member, effect.sequence)
        old, new = member.asked_state, effect.state
        require = self.history.require
        require(new.candidate_term_id >= old.candidate_term_id, "I6", "term falls", old, new)
        if new.candidate_term_id == old.candidate_term_id:
            kept = old.vote in (NO_MEMBER, new.vote)
            require(kept, "I6", "vote changed in term", old, new)
        require(new.founded or not old.founded, "I6", "founded mark dropped", old, new)
        if is_recovering(new):
            require(is_recovering(old), "I6", "recovering out of nowhere", new)
        member.asked_state = new
        member.pending.append(effect)

    def on_append(self, member: ShadowMember, effect: AppendToLog) -> None:
        """I3, I13, I14: frames follow, and no two frames share a term and a position.

        Room: clients' messages are never appended where the disk has none for them.
        """
        self._next_sequence(member, effect.sequence)
        require = self.history.require
        require(effect.frames, "I14", "nothing to append")
        member.appended_in_transfer = member.transferring
        for frame in effect.frames:
            self._check_frame(member, frame)
            fits = frame.frame_type is not FrameType.ENTRIES or frame.end <= member.room_end
            require(fits, "room", "no room for", frame[:7], "up to", member.room_end)
            member.append(frame)
        if member.leading:
            marks = self.history.leader_marks[member.leading]
            for frame in effect.frames:
                marks[frame.end] = frame.chain
        member.pending.append(effect)

    def _check_frame(self, member: ShadowMember, frame: LogFrame) -> None:
        history = self.history
        frames = member.log.frames
        if frames:
            history.require(follows(frames[-1], frame), "I3", "does not follow", frame[:7])
        else:
            start = frame.position == 0 and frame.previous_chain == 0
            history.require(start, "I3", "log begins with", frame[:7])
        term = frame.leadership_term_id
        history.require(term <= member.asked_state.candidate_term_id, "I6", "frame ahead", term)
        if frame.frame_type is FrameType.FOUNDING:
            return
        known = history.frames.setdefault((term, frame.position), frame.chain)
        history.require(known == frame.chain, "I3", "two frames at", term, frame.position)
        if member.leading == term and frame.chain not in member.ever_durable:
            history.require(_is_intact(frame), "I3", "made a bad frame", frame[:7])

    def on_truncate(self, member: ShadowMember, effect: TruncateLog) -> None:
        """I2, I11, I14: a leader never cuts; nobody cuts what is committed."""
        self._next_sequence(member, effect.sequence)
        require = self.history.require
        position = effect.end.position
        chain = member.log.chain_at(position)
        require(chain == effect.end.chain, "I14", "cut at no boundary of ours", effect.end)
        require(not member.leading, "I2", "leader of", member.leading, "cuts its log")
        require(position >= member.commit, "I11", "cut below commit", position, member.commit)
        founding = self.history.founding
        for frame in member.truncate(member.log.marks[position]):
            lives = founding is not None and frame.chain == founding.chain
            lives = lives and not self.history.take_founding_back()
            require(not lives, "founding", "seat", member.seat, "drops what was founded with")
            if not is_recovering(member.asked_state):
                held = self.history.committed.holds(frame)
                require(not held, "I11", "cuts a committed frame at", frame.position)
        self.history.marks.add("conflict truncated")
        member.pending.append(effect)

    def _next_sequence(self, member: ShadowMember, sequence: int) -> None:
        expected = member.sequence + 1
        self.history.require(sequence == expected, "I10", "sequence", sequence, "not", expected)
        member.sequence = sequence

    # -- persist effects, as they complete ----------------------------------------------------

    def complete(self, member: ShadowMember) -> int:
        """Make the oldest pending effect durable; return its sequence."""
        effect = member.pending.popleft()
        before = member.state
        member.complete(effect)
        if isinstance(effect, StoreNodeState):
            self._check_completed_state(member, before, effect.state)
        return effect.sequence

    def _check_completed_state(
        self, member: ShadowMember, before: NodeState, after: NodeState
    ) -> None:
        if after.founded and not before.founded:
            self._check_founded(member)
        if is_recovering(before) and not is_recovering(after):
            self._check_cured(member)

    def _check_founded(self, member: ShadowMember) -> None:
        """One founding, and only when every seat's directory has stored it and kept it."""
        history = self.history
        founding = member.founding
        if founding is None:
            history.require(history.founding is not None, "founding", "mark without a frame")
            return
        if history.founding is None:
            body = decode_founding(frame_body(founding))
            voters = tuple(m.member_id for m in body.members)
            for voter in voters:
                holder = history.members.get(voter)
                stored = holder is not None and holder.disk.holds(founding)
                history.require(stored, "founding", "seat without the frame", voter.hex())
                drops = holder is not None and any(type(e) is TruncateLog for e in holder.pending)
                history.require(not drops, "founding", "seat that drops the frame", voter.hex())
            history.founding = founding
            history.voters = voters
            history.marks.add("founded")
        same = history.founding.chain == founding.chain
        history.require(same, "founding", "two clusters were founded")
        member_known = member.member_id in history.voters
        history.require(member_known, "founding", "mark for a directory not in the frame")

    def _check_cured(self, member: ShadowMember) -> None:
        """What was acknowledged, lost and is committed, is held again."""
        for position, chain in member.lost.items():
            if self.history.committed.chain_at(position) == chain:
                held = member.disk.chain_at(position) == chain
                self.history.require(held, "recovering", "cured without", position)
        if member.lost:
            self.history.marks.add("cure completed")
        member.cured()

    # -- commit and roles -----------------------------------------------------------------------

    def on_commit(self, member: ShadowMember, effect: CommitTo) -> None:
        """I5, I6, I7, I8, I14: equal committed prefixes, held by a quorum, own term only."""
        history = self.history
        position = effect.position
        count = member.log.marks.get(position)
        if count is None:
            raise InvariantViolation("I14", f"commit at no boundary: {position}")
        history.require(position > member.commit, "I6", "commit", position, member.commit)
        committed = history.committed.frames
        known = len(committed)
        for index in range(member.commit_count, count):
            frame = member.log.frames[index]
            if index < len(committed):
                same = committed[index] is frame or committed[index] == frame
                history.require(same, "I5", "committed two frames at", frame.position)
            else:
                self._extend(member, frame, effect)
        if member.leading:
            last = member.log.frames[count - 1].leadership_term_id
            history.require(last == member.leading, "I8", "commits a frame of term", last)
        if len(committed) > known:
            self._check_held(member, position)
        member.commit, member.commit_count = position, count

    def _extend(self, member: ShadowMember, frame: LogFrame, effect: CommitTo) -> None:
        leads = member.leading and member.leading == effect.leadership_term_id
        self.history.require(leads, "I7", "committed by no leader:", frame.position, effect)
        self.history.committed.append(frame)
        self.history.committed_by.append(member.leading)
        self.history.committed_in[member.leading] = len(self.history.committed.frames)

    def _check_held(self, member: ShadowMember, position: int) -> None:
        """I8 for what is committed first here; I4 for leaders of later terms."""
        history = self.history
        chain = history.committed.frames[-1].chain
        holders = sum(chain in history.members[v].ever_durable for v in history.voters)
        history.require(holders >= history.quorum, "I8", "commit at", position, "on", holders)
        for other in history.members.values():
            if other.leading > member.leading:
                held = other.log.chain_at(position) == chain
                history.require(held, "I4", "leader of", other.leading, "lacks", position)

    def on_transfer_ended(self, member: ShadowMember, effect: TransferEnded) -> None:
        """Appending is allowed again, from the frame on that voids the token."""
        member.transferring = False
        member.appended_in_transfer = False
        name = "transfer completed" if effect.completed else "transfer aborted"
        self.history.marks.add(name)

    def on_halt(self, member: ShadowMember, effect: Halt) -> None:
        """No member ever halts of its own accord while disks and peers tell the truth."""
        self.history.fail("halt", f"seat {member.seat}: {effect.code.name}: {effect.detail}")

    def on_applied(self, member: ShadowMember, position: int) -> None:
        """I7: apply reaches frame boundaries up to the commit position only."""
        require = self.history.require
        require(position <= member.commit, "I7", "applied", position, "above", member.commit)
        require(position in member.log.marks, "I14", "applied to no boundary:", position)

    def after_event(self, member: ShadowMember, core: CoreView) -> None:
        """I1, I2, I4, I6, I13: what the module says of itself after an event."""
        term, log, require = core.term, core.log, self.history.require
        if term != member.term:
            require(term > member.term, "I6", "term falls", member.term, term)
            member.term = term
        leads = term if core.role is Role.LEADER else 0
        if leads != member.leading:
            member.leading = leads
            member.transferring = False
            if leads:
                self._check_leader(member, leads)
        if member.log_changed:
            member.log_changed = False
            self._check_log(member, log)
            handing_over = member.appended_in_transfer
            require(not handing_over, "I2", "appends while handing over", member.log.end)
        durable = log.durable
        require(durable in member.disk.marks, "I10", "durable at no boundary on disk", durable)
        if member.published > self.history.committed.end.position:
            self.history.fail("I7", f"published {member.published} before it was committed")
        require(core.commit_position in member.log.marks, "I14", "commit", member.commit)

    def _check_log(self, member: ShadowMember, log: LogView) -> None:
        require = self.history.require
        require(log.end == member.log.end, "I14", "end", log.end, member.log.end)
        require(log.terms == member.terms, "I13", "term table", log.terms, member.terms)

    def _check_leader(self, member: ShadowMember, term: int) -> None:
        history = self.history
        me = (member.member_id, member.life)
        known = history.leaders.setdefault(term, me)
        history.require(known == me, "I1", "two leaders in term", term)
        history.require(member.member_id in history.voters, "I1", "leader is no voter")
        frames = member.log.frames
        first = next((f for f in reversed(frames) if f.frame_type is TERM_FRAME), None)
        if first is None or first.leadership_term_id != term:
            raise InvariantViolation("I8", f"leader of {term} has no term frame")
        body = term_of(first.data)
        self._check_elected(member, term, body)
        committed = history.committed_before(term)
        if committed:
            last = history.committed.frames[committed - 1]
            history.require(member.log.holds(last), "I4", "leader of", term, "lacks", last.end)
        history.leader_marks[term] = {
            end: frames[count - 1].chain if count else Chain(0)
            for end, count in member.log.marks.items()
        }
        history.marks.add("election won")

    def _check_elected(self, member: ShadowMember, term: int, body: TermBody) -> None:
        """I1: a majority voted; in a unanimous ballot everyone, and no quorum was sound."""
        history = self.history
        if member.votes.get(term) == member.member_id:
            history.votes.setdefault((member.member_id, term), (member.member_id, False))
        if not body.possible_loss:
            votes = history.vote_count(member.member_id, term, unanimous=False)
            history.require(votes >= history.quorum, "I1", "leader of", term, "with", votes)
            return
        history.require(history.loss_allowed, "recovering", "loss declared in term", term)
        votes = history.vote_count(member.member_id, term, unanimous=True)
        history.require(votes == len(history.voters), "I1", "unanimous with", votes)
        history.give_up(history.surviving())
        history.marks.add("unanimous ballot")


TERM_FRAME = FrameType.NEW_LEADERSHIP_TERM


def _is_intact(frame: LogFrame) -> bool:
    try:
        return decode_frame(frame.data) == frame
    except RemoteProtocolError:
        return False
