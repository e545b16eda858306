"""What is true of the whole cluster, whoever knows it: committed frames, leaders, votes.

The checkers compare every member against this. It only grows, except where the design allows
a loss and says so in the log (a leadership term with ``possible_loss``).
"""

from __future__ import annotations

from quorate.consensus.types import Chain, LogFrame, MemberId, NodeState
from quorate_simulation.shadow import ShadowLog, ShadowMember


class InvariantViolation(AssertionError):
    """A promise is broken; ``invariant`` is its number in the list of invariants."""

    def __init__(self, invariant: str, detail: str) -> None:
        """Keep the number apart: shrinking looks for the same one."""
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


class ClusterHistory:
    """Everything that has happened, as far as the checkers need it."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self.members: dict[MemberId, ShadowMember] = {}
        """Every directory there ever was."""
        self.voters: tuple[MemberId, ...] = ()
        """As the founding frame says, once a founded mark is durable anywhere."""
        self.founding: LogFrame | None = None
        self.frames: dict[tuple[int, int], Chain] = {}
        """(term, position) → chain, of every frame that any member ever appended."""
        self.committed = ShadowLog()
        self.committed_by: list[int] = []
        """Of each committed frame the term whose leader has committed it."""
        self.committed_in: dict[int, int] = {}
        """Term → how many frames were committed when its leader last committed."""
        self.leaders: dict[int, tuple[MemberId, int]] = {}
        """Term → who leads it, in which life."""
        self.leader_marks: dict[int, dict[int, Chain]] = {}
        """Term → boundaries of its leader's log, as far as it has grown."""
        self.votes: dict[tuple[MemberId, int], tuple[MemberId, bool]] = {}
        """(voter, term) → for whom a vote was sent, and whether for a unanimous ballot only."""
        self.candidacies: dict[tuple[MemberId, int], tuple[int, int]] = {}
        """(candidate, term) → last term and position that it stood with."""
        self.marks: set[str] = set()
        """Rare branches that were reached."""
        self.loss_allowed = False
        """``replicated``: a unanimous election may give up what no disk holds any more."""

    @property
    def quorum(self) -> int:
        """How many voters are a majority."""
        return len(self.voters) // 2 + 1

    def fail(self, invariant: str, detail: str) -> None:
        """Raise the violation."""
        raise InvariantViolation(invariant, detail)

    def require(self, holds: object, invariant: str, *detail: object) -> None:
        """Raise the violation unless ``holds``."""
        if not holds:
            raise InvariantViolation(invariant, " ".join(map(str, detail)))

    def take_founding_back(self) -> bool:
        """Forget a founding whose mark has gone with the directories that had it; tell whether.

        A cluster of which nobody knows any more has committed nothing: that takes a quorum with the
        mark. Then the operator's discard is all that those can do who hold the frame.
        """
        marked = any(self.members[voter].is_marked for voter in self.voters)
        if marked or self.committed.frames:
            return False
        self.founding, self.voters = None, ()
        self.marks.add("founding gone with its mark")
        return True

    def committed_before(self, term: int) -> int:
        """Return how many frames the leaders of terms before ``term`` have committed."""
        return max((count for by, count in self.committed_in.items() if by < term), default=0)

    def give_up(self, count: int) -> None:
        """Take back all but the first ``count`` committed frames: no disk holds them."""
        self.committed.cut(count)
        del self.committed_by[count:]
        for term, held in self.committed_in.items():
            self.committed_in[term] = min(held, count)

    def surviving(self) -> int:
        """Return how many committed frames the disks of present voters still hold, and prove.

        The greatest log is one with all up to a frame that was committed by its own term's leader:
        whoever led a later term had that. One that a later term has committed with its own frames
        may have lost its proof with those: of an uncommitted tail of a term between the two
        nobody can tell any more that it is worth less.
        """
        frames, by = self.committed.frames, self.committed_by
        best = 0
        for member_id in self.voters:
            member = self.members[member_id]
            count = len(frames)
            while count > best and not (
                frames[count - 1].leadership_term_id == by[count - 1]
                and member.disk.holds(frames[count - 1])
            ):
                count -= 1
            best = max(best, count)
        return best

    def vote_count(self, candidate: MemberId, term: int, *, unanimous: bool) -> int:
        """Return how many voters sent their vote of ``term`` to ``candidate``."""
        count = 0
        for voter in self.voters:
            chosen = self.votes.get((voter, term))
            if chosen is not None and chosen[0] == candidate:
                count += unanimous or not chosen[1]
        return count


def durable_term(state: NodeState) -> int:
    """Return the highest term that this node state has adopted."""
    return state.candidate_term_id
