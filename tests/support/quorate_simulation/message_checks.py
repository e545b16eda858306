"""The invariants that concern what members say to each other: nothing before it is durable."""

from __future__ import annotations

from collections.abc import Callable

from quorate.consensus.messages import (
    AppendFrames,
    AppendReport,
    Canvass,
    CureTarget,
    Founded,
    FoundingStored,
    Hello,
    Message,
    RequestVote,
    StandNow,
    Vote,
)
from quorate.consensus.types import FoundingState, MemberId
from quorate_simulation.history import ClusterHistory
from quorate_simulation.shadow import ShadowMember

MessageCheck = Callable[[ShadowMember, MemberId, Message], None]


class MessageChecks:
    """Looks at every message when it leaves, against the sender's disk at that moment."""

    def __init__(self, history: ClusterHistory) -> None:
        """Check against ``history``."""
        self.history = history
        self._checks = {
            Vote: self._vote,
            RequestVote: self._request_vote,
            AppendReport: self._append_report,
            AppendFrames: self._append_frames,
            Canvass: self._canvass,
            StandNow: self._stand_now,
            CureTarget: self._cure_target,
            Hello: self._hello,
            FoundingStored: self._founding_stored,
            Founded: self._founded,
        }

    def on_send(self, member: ShadowMember, to: MemberId, message: Message) -> None:
        """Check one message that leaves ``member`` for the directory ``to``."""
        check = self._checks.get(type(message))
        if check is not None:
            check(member, to, message)  # type: ignore[operator]

    def _vote(self, member: ShadowMember, to: MemberId, message: Vote) -> None:
        """I9, I10: one durable vote a term, for a log that is not behind ours."""
        if not message.granted:
            return
        history, state = self.history, member.state
        term = message.candidate_term_id
        durable = member.votes.get(term) == to
        history.require(durable, "I10", "vote before it is durable", term, state)
        self._cast(member, to, term, unanimous=message.unanimous)
        sound = message.unanimous or not member.recovering
        history.require(sound, "recovering", "votes while recovering", term)
        stood = history.candidacies.get((to, term))
        history.require(stood is not None, "I9", "vote for who did not stand", term)
        own = (0, 0)
        for frame in reversed(member.disk.frames):
            if frame.leadership_term_id < term:
                own = (frame.leadership_term_id, frame.end)
                break
        history.require(stood is None or stood >= own, "I4", "vote for a log behind", stood, own)

    def _cast(self, member: ShadowMember, to: MemberId, term: int, *, unanimous: bool) -> None:
        history = self.history
        voter = member.member_id in history.voters and member.state.founded
        history.require(voter, "I9", "vote of a directory that is no voter")
        known = history.votes.setdefault((member.member_id, term), (to, unanimous))
        history.require(known[0] == to, "I9", "two votes in term", term)

    def _request_vote(self, member: ShadowMember, to: MemberId, message: RequestVote) -> None:
        """I10: the candidacy, which is a vote for oneself, is durable."""
        state, term = member.state, message.candidate_term_id
        durable = member.votes.get(term) == member.member_id
        self.history.require(durable, "I10", "candidacy before it is durable", term, state)
        sound = message.unanimous or not member.recovering
        self.history.require(sound, "recovering", "stands while recovering", term)
        self._cast(member, member.member_id, term, unanimous=message.unanimous)
        stood = (message.end.leadership_term_id, message.end.position)
        self.history.candidacies[member.member_id, term] = stood
        if message.token is not None:
            self.history.marks.add("stood with a token")

    def _append_report(self, member: ShadowMember, to: MemberId, message: AppendReport) -> None:
        """I10: what is acknowledged is durable and is the leader's log; so is the term."""
        history = self.history
        term = message.leadership_term_id
        known = term <= member.state.candidate_term_id
        history.require(known, "I10", "report of a term that is not durable", term)
        if not message.matched:
            history.marks.add("report without a match")
        durable = message.durable
        if not durable:
            return
        count = member.disk.marks.get(durable)
        if count is None:
            history.fail("I10", f"acknowledges {durable}, on disk to {member.disk.end}")
            return
        history.require(durable <= message.checked, "I7", "durable above checked", message)
        agreed = history.leader_marks.get(term, {}).get(durable)
        same = agreed == member.disk.frames[count - 1].chain
        history.require(same, "I7", "acknowledges another log than of term", term, durable)
        is_member = member.member_id in history.voters
        history.require(is_member, "I9", "acknowledgement of a directory that is no member")
        if not message.recovering.reason:
            sound = not member.recovering
            history.require(sound, "recovering", "acknowledges while recovering", durable)
            member.acknowledge(count)

    def _append_frames(self, member: ShadowMember, to: MemberId, message: AppendFrames) -> None:
        """I7, I14: a durable term; frames of our log behind one of its boundaries."""
        require = self.history.require
        term = message.leadership_term_id
        require(term <= member.state.candidate_term_id, "I10", "leads before durable", term)
        position = message.previous.position
        chain = member.log.chain_at(position)
        require(chain is not None, "I14", "frames behind no boundary", position)
        for frame in message.frames:
            require(frame.position == position, "I14", "frames with a gap", position)
            position = frame.end
            require(member.log.holds(frame), "I14", "sends what it does not hold", position)
        member.published = max(member.published, message.commit_position)

    def _canvass(self, member: ShadowMember, to: MemberId, message: Canvass) -> None:
        boundary = message.end.position in member.log.marks
        self.history.require(boundary, "I14", "canvasses with no boundary", message.end)

    def _stand_now(self, member: ShadowMember, to: MemberId, message: StandNow) -> None:
        """A token names the leader's term and the end of its log, and the log then rests."""
        token = message.token
        require = self.history.require
        require(token.leadership_term_id == member.leading, "transfer", "token of", token)
        end = member.log.end.position
        require(token.position == end, "transfer", "token at", token, "log ends at", end)
        member.transferring = True
        self.history.marks.add("token sent")

    def _cure_target(self, member: ShadowMember, to: MemberId, message: CureTarget) -> None:
        """A target is a boundary of the leader's log."""
        require = self.history.require
        require(message.leadership_term_id == member.leading, "recovering", "no leader", message)
        boundary = message.position in member.log.marks
        require(boundary, "I14", "cure target at no boundary", message.position)

    def _hello(self, member: ShadowMember, to: MemberId, message: Hello) -> None:
        """Who says that it is founded has the mark on its disk."""
        if message.founding is FoundingState.FOUNDED:
            self.history.require(member.state.founded, "I10", "founded before it is durable")

    def _founding_stored(self, member: ShadowMember, to: MemberId, message: FoundingStored) -> None:
        stored = message.chain in member.ever_durable
        self.history.require(stored, "I10", "founding frame reported before it is durable")

    def _founded(self, member: ShadowMember, to: MemberId, message: Founded) -> None:
        self.history.require(member.state.founded, "I10", "founded told before it is durable")
