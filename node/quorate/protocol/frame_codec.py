"""The codec that consensus is given: frames and term tables as the log has them."""

from __future__ import annotations

from dataclasses import dataclass

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.types import (
    Chain,
    ClusterId,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogPosition,
    Member,
    MemberId,
    Membership,
)
from quorate.protocol.log_codec import encode_frame, frame_body
from quorate.protocol.term_codec import (
    FoundingBody,
    TermBody,
    decode_founding,
    decode_term,
    encode_founding,
    encode_term,
)

FORMAT_VERSION = 1
"""Of everything in the log; the cluster runs at the lowest that all members support."""


@dataclass(frozen=True, slots=True)
class LogFrameCodec:
    """Implements ``quorate.consensus.codec.FrameCodec`` with the layouts of this package.

    ``settings`` and ``constants`` are this member's, and enter the log with a founding frame
    only; from then on those of the log are repeated in every term.
    """

    cluster_id: ClusterId
    epoch: int
    settings: ClusterSettings
    constants: ClusterConstants

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
        """Return the frame; see ``log_codec.encode_frame``."""
        return encode_frame(
            position, leadership_term_id, timestamp, previous_chain, frame_type, body, entry_count
        )

    def founding_body(self, members: tuple[Member, ...], attempt: int = 0) -> bytes:
        """Return the body of the founding frame that this member would make in this attempt."""
        return encode_founding(
            FoundingBody(
                self.cluster_id, self.epoch, members, self.settings, self.constants, attempt
            )
        )

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
        """Return the body of a term's first frame: membership and settings as in the log."""
        settings = decode_founding(frame_body(founding)).settings
        return encode_term(
            TermBody(
                epoch=self.epoch,
                leadership_term_id=leadership_term_id,
                base=base,
                leader=leader,
                log_time=log_time,
                format_version=FORMAT_VERSION,
                feature_activated=FORMAT_VERSION,
                feature_supported=FORMAT_VERSION,
                possible_loss=possible_loss,
                membership=membership,
                settings=settings,
            )
        )

    def membership_of(self, frame: LogFrame) -> Membership:
        """Return the membership that a founding or term frame states."""
        body = frame_body(frame)
        if frame.frame_type is FrameType.FOUNDING:
            return Membership(voter_sets=(decode_founding(body).members,))
        return decode_term(body).membership
