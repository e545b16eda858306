"""Handing leadership over on purpose, without a gap that clients would notice.

While it lasts the leader appends nothing at all; when the target holds everything, a token
lets it stand at once. A late token is void: the leader appends a frame after an abort, and
begins no new transfer before that frame has committed.
"""

from __future__ import annotations

from quorate.consensus.core import Core, Deadline
from quorate.consensus.effects import IngressState, TransferEnded
from quorate.consensus.leader import Leader
from quorate.consensus.messages import StandNow, TransferToken
from quorate.consensus.types import FrameType, LogPosition, Seat


class Transfer:
    """The hand-over of one leadership term; lives and ends with its ``Leader``."""

    def __init__(self, core: Core, leader: Leader) -> None:
        """No transfer is going on."""
        self._core = core
        self._leader = leader
        self.target: Seat | None = None
        self.token: TransferToken | None = None
        self._not_before = LogPosition(0)

    @property
    def is_running(self) -> bool:
        """Whether ingress is paused because leadership is being handed over."""
        return self.target is not None

    def request(self, target: Seat | None) -> str | None:
        """Begin a transfer; return why not, or None when it has begun."""
        core = self._core
        if self.is_running:
            return f"a transfer to seat {self.target} is going on"
        if core.commit_position < max(self._not_before, self._leader.term_frame_end):
            return "the first frame of this term, or after the last transfer, is not committed"
        if target == core.seat:
            return f"seat {target} leads already"
        chosen = self._leader.best_successor() if target is None else target
        if chosen is None:
            return "no other voter is connected, sound and heard, with room for the log"
        if not self._leader.may_succeed(chosen):
            return f"seat {chosen} is not a connected, sound voter with room for the log"
        self.target = chosen
        core.arm(Deadline.TRANSFER, core.config.election_timeout_min_ns)
        core.set_ingress(IngressState.PAUSED)
        self.maybe_hand_over()
        return None

    def maybe_hand_over(self) -> None:
        """Send the token as soon as the target durably holds our whole log."""
        if self.target is None or self.token is not None:
            return
        core = self._core
        end = core.log.end
        if self._leader.progress[self.target].match >= end.position:
            self.token = TransferToken(core.term, end.position)
            core.send(self.target, StandNow(self.token))

    def abort(self, reason: str) -> None:
        """Give up: void the token by a frame behind it, and take ingress again."""
        target = self.target
        if target is None:
            return
        self._end()
        core = self._core
        self._leader.append(FrameType.EMPTY, b"", 0)
        self._not_before = core.log.end.position
        core.effects.append(TransferEnded(completed=False, target=target, reason=reason))
        core.set_ingress(IngressState.OPEN)

    def succeeded(self, successor_term: int) -> None:
        """Note that somebody stands with our token: our own term is over."""
        target = self.target
        if target is not None:
            self._end()
            reason = f"stood for term {successor_term}"
            self._core.effects.append(TransferEnded(True, target, reason))

    def lost(self, reason: str) -> None:
        """Note that leadership ended otherwise while a transfer was going on."""
        target = self.target
        if target is not None:
            self._end()
            self._core.effects.append(TransferEnded(False, target, reason))

    def _end(self) -> None:
        self.target = None
        self.token = None
        self._core.disarm(Deadline.TRANSFER)
