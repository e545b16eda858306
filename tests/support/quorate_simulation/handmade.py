"""Histories made by hand, step by step, good ones and bad ones: to show them to the checkers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from quorate.config import ClusterSettings
from quorate.consensus.config import ConsensusConfig
from quorate.consensus.effects import AppendToLog, CommitTo, StoreNodeState, TruncateLog
from quorate.consensus.messages import AppendReport, RequestVote, Vote
from quorate.consensus.types import (
    NO_MEMBER,
    NOT_RECOVERING,
    ClusterId,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    Member,
    Membership,
    Role,
    Seat,
)
from quorate_simulation.checkers import ConsensusChecker
from quorate_simulation.founding import constants_of, founding_frame, member_id_of, new_codec
from quorate_simulation.shadow import ShadowMember

FIRST_TERM = LeadershipTermId(1)
CONFIG = ConsensusConfig(frame_bytes_max=1024, segment_length=4096)


class World:
    """Three founded members and the checker that watches them."""

    def __init__(self) -> None:
        """Found the cluster."""
        self.codec = new_codec(ClusterId(bytes(16)), constants_of(CONFIG), ClusterSettings())
        self.checker = ConsensusChecker()
        self.history = self.checker.history
        self.members = [ShadowMember(member_id_of(seat, 1), Seat(seat)) for seat in range(3)]
        for member in self.members:
            self.history.members[member.member_id] = member
        rows = tuple((m.seat, f"m{m.seat}", m.member_id) for m in self.members)
        self.membership = Membership((tuple(Member(id_, seat, name) for seat, name, id_ in rows),))
        self.founding = founding_frame(self.codec, rows)
        self.history.founding = self.founding
        self.history.voters = tuple(m.member_id for m in self.members)
        for member in self.members:
            member.disk_append(self.founding)
            member.state = member.state._replace(founded=True)
            member.start_life()

    def frame(self, end: LogMark, term: LeadershipTermId, body: bytes = b"") -> LogFrame:
        """Return a frame of entries behind ``end``."""
        return self.codec.encode(
            end.position, term, 5, end.chain, FrameType.ENTRIES, body or bytes(8), 1
        )

    def term_frame(
        self, member: ShadowMember, term: LeadershipTermId, *, possible_loss: bool = False
    ) -> LogFrame:
        """Return the first frame of a term of this member."""
        end = member.log.end
        body = self.codec.term_body(
            self.founding,
            term,
            end.position,
            member.member_id,
            5,
            self.membership,
            possible_loss=possible_loss,
        )
        kind = FrameType.NEW_LEADERSHIP_TERM
        return self.codec.encode(end.position, term, 5, end.chain, kind, body)

    def store(self, member: ShadowMember, *, durable: bool = True, **changes: Any) -> None:  # noqa: ANN401
        """Change the node state."""
        state = member.asked_state._replace(**changes)
        self.checker.on_store(member, StoreNodeState(member.sequence + 1, state))
        if durable:
            self.complete(member)

    def append(self, member: ShadowMember, *frames: LogFrame, durable: bool = True) -> None:
        """Append frames."""
        self.checker.on_append(member, AppendToLog(member.sequence + 1, frames))
        if durable:
            self.complete(member)

    def truncate(self, member: ShadowMember, end: LogMark) -> None:
        """Cut the log."""
        self.checker.on_truncate(member, TruncateLog(member.sequence + 1, end))

    def complete(self, member: ShadowMember) -> None:
        """Make everything durable that was asked for."""
        while member.pending:
            self.checker.complete(member)

    def stand(self, member: ShadowMember, term: LeadershipTermId) -> None:
        """Durable candidacy and its request to everyone."""
        self.store(member, candidate_term_id=term, vote=member.member_id)
        for other in self.members:
            if other is not member:
                request = RequestVote(term, member.log.end, False, None)
                self.checker.on_send(member, other.member_id, request)

    def vote(
        self,
        voter: ShadowMember,
        candidate: ShadowMember,
        term: LeadershipTermId,
        **more: Any,  # noqa: ANN401
    ) -> None:
        """Vote durably and say so."""
        changes: dict[str, Any] = {"candidate_term_id": term, "vote": candidate.member_id} | more
        self.store(voter, **changes)
        self.send_vote(voter, candidate, term)

    def send_vote(
        self,
        voter: ShadowMember,
        candidate: ShadowMember,
        term: LeadershipTermId,
        *,
        unanimous: bool = False,
    ) -> None:
        """Say that a vote was given."""
        vote = Vote(term, True, unanimous, voter.log.end, 0)
        self.checker.on_send(voter, candidate.member_id, vote)

    def lead(
        self, member: ShadowMember, term: LeadershipTermId, *, possible_loss: bool = False
    ) -> LogFrame:
        """Begin a term, whoever voted."""
        frame = self.term_frame(member, term, possible_loss=possible_loss)
        self.append(member, frame, durable=False)
        self.look(member, role=Role.LEADER, term=term)
        return frame

    def elect(self, member: ShadowMember, term: LeadershipTermId) -> LogFrame:
        """Hold a whole election that this member wins with one other vote."""
        self.stand(member, term)
        voter = next(m for m in self.members if m is not member)
        self.vote(voter, member, term)
        return self.lead(member, term)

    def follow(self, member: ShadowMember, term: LeadershipTermId, *frames: LogFrame) -> None:
        """Adopt a term and append its frames."""
        if member.asked_state.candidate_term_id < term:
            self.store(member, candidate_term_id=term, vote=NO_MEMBER)
        self.append(member, *frames)

    def look(self, member: ShadowMember, **changes: Any) -> None:  # noqa: ANN401
        """Show the checker a module after an event, told otherwise where ``changes`` say so."""
        view = {
            "role": Role.LEADER if member.leading else Role.FOLLOWER,
            "term": member.asked_state.candidate_term_id,
            "commit_position": member.commit,
            "end": member.log.end,
            "terms": list(member.terms),
            "durable": member.disk.end.position,
        } | changes
        log = SimpleNamespace(end=view["end"], terms=view["terms"], durable=view["durable"])
        module: Any = SimpleNamespace(
            role=view["role"],
            term=view["term"],
            commit_position=view["commit_position"],
            log=log,
        )
        self.checker.after_event(member, module)

    def report(
        self,
        member: ShadowMember,
        to: ShadowMember,
        term: LeadershipTermId,
        **changes: Any,  # noqa: ANN401
    ) -> None:
        """Acknowledge the whole log, told otherwise where ``changes`` say so."""
        values: dict[str, Any] = {
            "leadership_term_id": term,
            "matched": True,
            "durable": member.disk.end.position,
            "checked": member.log.end.position,
            "end": member.log.end,
            "terms": (),
            "round": 1,
            "service_position": 0,
            "recovering": NOT_RECOVERING,
            "wall": 0,
        }
        report = AppendReport(**(values | changes))
        self.checker.on_send(member, to.member_id, report)

    def commit(self, member: ShadowMember, position: LogPosition, term: LeadershipTermId) -> None:
        """Commit."""
        self.checker.on_commit(member, CommitTo(position, term))

    def committed_term(self, term: LeadershipTermId = FIRST_TERM) -> LogFrame:
        """Elect seat 0 and commit its first frame with seat 1."""
        first, second, _ = self.members
        frame = self.elect(first, term)
        self.complete(first)
        self.follow(second, term, frame)
        self.report(second, first, term)
        self.commit(first, frame.end, term)
        return frame
