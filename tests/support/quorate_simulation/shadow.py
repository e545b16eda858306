"""What an outside observer knows of one member: its disk, and what it believes is on it.

A shadow belongs to one member id: it survives restarts and ends when the directory is wiped.
In the untimed walk it *is* the disk; in the timed simulation it follows the archive.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from quorate.consensus.effects import AppendToLog, StoreNodeState, TruncateLog
from quorate.consensus.types import (
    BLANK_NODE_STATE,
    LOG_START,
    NOT_RECOVERING,
    ROOM_UNBOUNDED,
    Chain,
    FrameType,
    LogFrame,
    LogMark,
    MemberId,
    NodeState,
    Recovering,
    RecoveringReason,
    Seat,
    TermRecord,
)

Persist = StoreNodeState | AppendToLog | TruncateLog


class ShadowLog:
    """Frames in order, with the boundaries between them."""

    __slots__ = ("frames", "marks")

    def __init__(self) -> None:
        """Start empty; position 0 is a boundary."""
        self.frames: list[LogFrame] = []
        self.marks: dict[int, int] = {0: 0}
        """Boundary → how many frames end at or before it."""

    @property
    def end(self) -> LogMark:
        """The boundary behind the last frame."""
        if not self.frames:
            return LOG_START
        last = self.frames[-1]
        return LogMark(last.end, last.leadership_term_id, last.chain)

    def append(self, frame: LogFrame) -> None:
        """Add a frame; the caller has checked that it follows."""
        self.frames.append(frame)
        self.marks[frame.position + len(frame.data)] = len(self.frames)

    def cut(self, count: int) -> list[LogFrame]:
        """Keep the first ``count`` frames and return the others."""
        dropped = self.frames[count:]
        del self.frames[count:]
        for frame in dropped:
            del self.marks[frame.end]
        return dropped

    def chain_at(self, position: int) -> Chain | None:
        """Return the chain of the frame that ends at ``position``; None if none does."""
        count = self.marks.get(position)
        if count is None:
            return None
        return self.frames[count - 1].chain if count else Chain(0)

    def holds(self, frame: LogFrame) -> bool:
        """Tell whether exactly this frame is in the log."""
        return self.chain_at(frame.end) == frame.chain

    def copy_from(self, other: ShadowLog) -> None:
        """Become equal to ``other``."""
        self.frames = list(other.frames)
        self.marks = dict(other.marks)


class Leadership(NamedTuple):
    """A member leads in this term, in this life of it."""

    leadership_term_id: int
    life: int


class ShadowMember:
    """One member id: what is durable, what is on its way, what it has said."""

    __slots__ = (
        "acked",
        "acked_count",
        "appended_in_transfer",
        "asked",
        "asked_state",
        "commit",
        "commit_count",
        "disk",
        "ever_durable",
        "gone",
        "leading",
        "life",
        "log",
        "log_changed",
        "lost",
        "member_id",
        "pending",
        "published",
        "room_end",
        "seat",
        "sequence",
        "state",
        "synced_count",
        "term",
        "terms",
        "transferring",
        "votes",
    )

    def __init__(self, member_id: MemberId, seat: Seat) -> None:
        """Start as a freshly formatted directory."""
        self.member_id = member_id
        self.seat = seat
        self.gone = False
        """The directory was wiped: nothing of it comes back."""
        self.life = 0
        self.state: NodeState = BLANK_NODE_STATE
        """Durable."""
        self.asked_state: NodeState = BLANK_NODE_STATE
        """The last that was asked to be made durable."""
        self.log = ShadowLog()
        """What the module believes its log is: what is on its way to the disk included."""
        self.disk = ShadowLog()
        """What counts as durable here."""
        self.synced_count = 0
        """Frames that a power cut cannot take; below the end only in ``replicated``."""
        self.terms: list[TermRecord] = []
        self.pending: deque[Persist] = deque()
        self.sequence = 0
        self.ever_durable: set[Chain] = set()
        self.votes: dict[int, MemberId] = {}
        """Term → vote, of every node state that was ever durable, or was asked for before one
        that is: writes may be grouped."""
        self.acked: set[Chain] = set()
        self.acked_count = 0
        self.lost: dict[int, Chain] = {}
        """Boundaries that were acknowledged and then lost by the disk."""
        self.log_changed = True
        self.asked = 0
        self.start_life()

    def start_life(self) -> None:
        """Begin a new life with what is on the disk."""
        self.life += 1
        self.pending.clear()
        self.log.copy_from(self.disk)
        self.asked_state = self.state
        self.terms = term_table(self.log.frames)
        self.commit = 0
        self.commit_count = 0
        self.published = 0
        self.room_end = ROOM_UNBOUNDED
        """How far the log can grow, as this life was told last."""
        self.term = self.state.candidate_term_id
        self.leading = 0
        self.sequence = 0
        self.transferring = False
        self.appended_in_transfer = False
        self.log_changed = True

    @property
    def recovering(self) -> bool:
        """Tell whether this member may have lost what it acknowledged, as its disk says."""
        return is_recovering(self.state)

    @property
    def is_marked(self) -> bool:
        """Tell whether the founded mark is here, or on its way to the disk."""
        asked = (e.state.founded for e in self.pending if isinstance(e, StoreNodeState))
        return not self.gone and (self.state.founded or any(asked))

    def append(self, frame: LogFrame) -> None:
        """Take in that the module has appended ``frame``."""
        if not self.terms or self.terms[-1].leadership_term_id < frame.leadership_term_id:
            record = TermRecord(frame.leadership_term_id, frame.position, frame.previous_chain)
            self.terms.append(record)
        self.log.append(frame)
        self.log_changed = True

    def truncate(self, count: int) -> list[LogFrame]:
        """Take in that the module has cut its log behind ``count`` frames."""
        dropped = self.log.cut(count)
        end = self.log.end.position
        while self.terms and self.terms[-1].base >= end:
            self.terms.pop()
        self.log_changed = True
        return dropped

    def complete(self, effect: Persist) -> None:
        """Make one persist effect durable."""
        match effect:
            case StoreNodeState(state=state):
                self.state = state
                self.votes[state.candidate_term_id] = state.vote
            case AppendToLog(frames=frames):
                for frame in frames:
                    self.disk_append(frame)
            case TruncateLog(end=end):
                self.disk_cut(self.disk.marks[end.position])

    def disk_append(self, frame: LogFrame) -> None:
        """Make one frame durable."""
        self.disk.append(frame)
        self.ever_durable.add(frame.chain)
        # The founding frame never goes without a sync, whatever the durability is.
        self.synced_count = max(self.synced_count, 1)

    def disk_cut(self, count: int) -> None:
        """Drop all frames behind the first ``count`` from the disk, on purpose."""
        self.disk.cut(count)
        self.acked_count = min(self.acked_count, count)
        self.synced_count = min(self.synced_count, count)

    def acknowledge(self, count: int) -> None:
        """Note that the first ``count`` durable frames have been acknowledged to a leader."""
        for index in range(self.acked_count, count):
            self.acked.add(self.disk.frames[index].chain)
        self.acked_count = max(self.acked_count, count)

    def lose(self, count: int, reason: RecoveringReason) -> None:
        """The disk has lost all but the first ``count`` frames: come back as recovering."""
        end = self.disk.end
        for index, frame in enumerate(self.disk.frames[count:], count):
            if index < self.acked_count:
                self.lost[frame.end] = frame.chain
        self.disk_cut(count)
        if not self.recovering:
            mark = Recovering(reason, end.leadership_term_id, end.position)
            self.state = self.state._replace(recovering=mark)

    def cured(self) -> None:
        """Forget what was lost: it is held again, or never counted."""
        self.lost.clear()

    @property
    def founding(self) -> LogFrame | None:
        """The founding frame on the disk."""
        frames = self.disk.frames
        return frames[0] if frames and frames[0].frame_type is FrameType.FOUNDING else None


def is_recovering(state: NodeState) -> bool:
    """Tell whether a node state forbids voting and acknowledging."""
    reason = state.recovering.reason
    return reason not in (NOT_RECOVERING.reason, RecoveringReason.LOSS_ACCEPTED)


def term_table(frames: list[LogFrame]) -> list[TermRecord]:
    """Return the term table that these frames imply."""
    terms: list[TermRecord] = []
    for frame in frames:
        if not terms or terms[-1].leadership_term_id < frame.leadership_term_id:
            terms.append(TermRecord(frame.leadership_term_id, frame.position, frame.previous_chain))
    return terms
