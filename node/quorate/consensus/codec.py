"""What consensus needs of the byte layouts, declared by the consumer.

The module decides what is appended and where; how a frame looks is the protocol's business
(``quorate.protocol.frame_codec``), and it may not import that package.
"""

from __future__ import annotations

from typing import Protocol

from quorate.consensus.types import (
    Chain,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    Member,
    MemberId,
    Membership,
)


class FrameCodec(Protocol):
    """Builds log frames, and reads the membership that a founding or term frame states."""

    def encode(  # noqa: PLR0913, PLR0917 (the fields of the header)
        self,
        position: LogPosition,
        leadership_term_id: LeadershipTermId,
        timestamp: int,
        previous_chain: Chain,
        frame_type: FrameType,
        body: bytes = b"",
        entry_count: int = 0,
    ) -> LogFrame:
        """Return the frame; its length in bytes is a multiple of 64."""
        ...

    def founding_body(self, members: tuple[Member, ...], attempt: int) -> bytes:
        """Return the body of a founding frame for these members, settings as configured.

        Another ``attempt``, 1 to 2**64 - 1, makes another frame.
        """
        ...

    def term_body(  # noqa: PLR0913 (the fields of the header)
        self,
        founding: LogFrame,
        leadership_term_id: LeadershipTermId,
        base: LogPosition,
        leader: MemberId,
        log_time: int,
        membership: Membership,
        *,
        possible_loss: bool,
    ) -> bytes:
        """Return the body of a new-leadership-term frame, settings as in the log."""
        ...

    def membership_of(self, frame: LogFrame) -> Membership:
        """Return the membership that a FOUNDING or NEW_LEADERSHIP_TERM frame states."""
        ...
