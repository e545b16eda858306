"""Clusters as they are right after their birth, without going through it."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.config import ConsensusConfig
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
    Seat,
)
from quorate.protocol.frame_codec import LogFrameCodec
from quorate.protocol.log_codec import decode_frame, frame_body
from quorate.protocol.term_codec import TermBody, decode_term


@lru_cache(maxsize=1024)
def member_id_of(seat: int, formatting: int) -> MemberId:
    """Return the member id of the n-th directory that is formatted in a simulation."""
    return MemberId(hashlib.sha256(b"%d/%d" % (seat, formatting)).digest()[:16])


class CachingCodec:
    """The production codec, which remembers what it has read: a walk asks for the same often."""

    def __init__(self, codec: LogFrameCodec) -> None:
        """Read and write as ``codec`` does."""
        self.encode = codec.encode
        self.founding_body = codec.founding_body
        self.term_body = codec.term_body
        self._codec = codec
        self._foundings: dict[bytes, Membership] = {}

    def membership_of(self, frame: LogFrame) -> Membership:
        """Return the membership that a founding or term frame states."""
        if frame.frame_type is FrameType.NEW_LEADERSHIP_TERM:
            return term_of(frame.data).membership
        known = self._foundings.get(frame.data)
        if known is None:
            known = self._foundings[frame.data] = self._codec.membership_of(frame)
        return known


@lru_cache(maxsize=256)
def term_of(data: bytes) -> TermBody:
    """Return what the first frame of a term says; ``data`` is the frame with its header."""
    return decode_term(frame_body(decode_frame(data)))


@lru_cache(maxsize=64)
def new_codec(
    cluster_id: ClusterId, constants: ClusterConstants, settings: ClusterSettings
) -> CachingCodec:
    """Return the production codec for a cluster with these limits."""
    return CachingCodec(LogFrameCodec(cluster_id, 0, settings, constants))


def constants_of(config: ConsensusConfig) -> ClusterConstants:
    """Return the constants of a cluster whose modules have these limits."""
    return ClusterConstants(
        segment_length=config.segment_length, frame_bytes_max=config.frame_bytes_max
    )


@lru_cache(maxsize=256)
def founding_frame(
    codec: CachingCodec, members: tuple[tuple[Seat, str, MemberId], ...]
) -> LogFrame:
    """Return the founding frame of a cluster with these seats, names and directories."""
    body = codec.founding_body(tuple(Member(id_, seat, name) for seat, name, id_ in members))
    return codec.encode(LogPosition(0), LeadershipTermId(0), 0, Chain(0), FrameType.FOUNDING, body)
