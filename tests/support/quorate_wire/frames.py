"""Frames for tests: cut out of a stream in one go, and the padding that a leader makes."""

from __future__ import annotations

from collections.abc import Iterator

from quorate.consensus.types import Chain, FrameType, LeadershipTermId, LogFrame, LogPosition
from quorate.protocol.framing import FrameDecoder, WireFrame
from quorate.protocol.log_codec import FRAME_HEADER_LENGTH, encode_frame


def cut(decoder: FrameDecoder, data: bytes) -> Iterator[WireFrame]:
    """Let ``decoder`` take what arrived, and return an iterator over what is whole now."""
    decoder.add(data)
    return iter(decoder.next_frame, None)


def padding(
    position: LogPosition,
    leadership_term_id: LeadershipTermId,
    timestamp: int,
    previous_chain: Chain,
    length: int,
) -> LogFrame:
    """Return the frame that fills ``length`` bytes of a segment, its header included."""
    body = bytes(length - FRAME_HEADER_LENGTH)
    return encode_frame(
        position, leadership_term_id, timestamp, previous_chain, FrameType.PADDING, body
    )
