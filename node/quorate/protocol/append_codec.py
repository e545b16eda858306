"""The two messages of every frame, AppendFrames and AppendReport, written out by hand.

Their layouts stand in the table of ``consensus_codec`` like all others, and are tested to give
the same bytes. A layout goes through its fields one by one, which took 8 us a message; here it
is one ``struct`` call, and a member encodes or decodes some of these for each frame.
"""

from __future__ import annotations

import struct
from typing import Final

from quorate.consensus.messages import AppendFrames, AppendReport
from quorate.consensus.types import (
    NOT_RECOVERING,
    LogMark,
    LogPosition,
    Recovering,
    RecoveringReason,
    TermRecord,
)
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.framing import (
    MEMBER_HEADER,
    MESSAGE_VERSION,
    PAYLOAD_BYTES_MAX,
    WireFrame,
)
from quorate.protocol.log_codec import decode_frames

FRAMES_TYPE: Final = 26
REPORT_TYPE: Final = 27

_FRAMES_FIELDS: Final = "QQIQQQ"
_REPORT_FIELDS: Final = "BQQQQIQQBQQq"
_FRAMES_WHOLE = struct.Struct(MEMBER_HEADER.format + _FRAMES_FIELDS)
_FRAMES = struct.Struct("<" + _FRAMES_FIELDS)
_REPORT_WHOLE = struct.Struct(MEMBER_HEADER.format + _REPORT_FIELDS)
_REPORT = struct.Struct("<" + _REPORT_FIELDS)
_REASONS: Final = {int(reason): reason for reason in RecoveringReason}


def encode_append_frames(message: AppendFrames) -> list[bytes]:
    """Return the buffers of a message; the frames among them are not copied.

    Raises:
        LocalProtocolError: A value does not fit its field, or the message is too long.

    """
    term, previous, frames, commit, round_number, end = (
        message.leadership_term_id,
        message.previous,
        message.frames,
        message.commit_position,
        message.round,
        message.end_position,
    )
    buffers = [frame.data for frame in frames]
    length = _FRAMES_WHOLE.size + sum(map(len, buffers))
    if length > MEMBER_HEADER.size + PAYLOAD_BYTES_MAX:
        raise LocalProtocolError(f"AppendFrames of {length} bytes exceeds {PAYLOAD_BYTES_MAX}")
    try:
        header = _FRAMES_WHOLE.pack(
            length, FRAMES_TYPE, MESSAGE_VERSION, 0, term, *previous, commit, round_number, end
        )
    except struct.error as error:
        raise LocalProtocolError(f"{message!r} does not fit its layout: {error}") from error
    return [header, *buffers]


def decode_append_frames(frame: WireFrame) -> AppendFrames:
    """Return the message in a frame of its type; its log frames are checked, one and all.

    Raises:
        RemoteProtocolError: Cut short, or a log frame is bad or does not stand behind the one
            before it.

    """
    payload, size = frame.payload, _FRAMES.size
    if len(payload) < size:
        raise RemoteProtocolError(
            f"AppendFrames has a payload of {len(payload)} bytes, not {size} or more"
        )
    position, term, chain, commit, round_number, end = _FRAMES.unpack_from(payload)
    frames = tuple(decode_frames(payload, size)) if len(payload) > size else ()
    if frames:
        first = frames[0]
        follows = first.position == position and first.previous_chain == chain
        if not follows or first.leadership_term_id < term:
            raise RemoteProtocolError(
                f"log frame at {first.position} does not stand behind {position}"
            )
    previous = LogMark(position, term, chain)
    return AppendFrames(frame.term, previous, frames, commit, round_number, end)  # type: ignore[arg-type] # a new type from a struct


def encode_append_report(message: AppendReport) -> list[bytes] | None:
    """Return the buffers of a report without terms; None for one with terms, a rare one."""
    if message.terms:
        return None
    try:
        whole = _REPORT_WHOLE.pack(
            _REPORT_WHOLE.size,
            REPORT_TYPE,
            MESSAGE_VERSION,
            0,
            message.leadership_term_id,
            message.matched,
            message.durable,
            message.checked,
            *message.end,
            message.round,
            message.service_position,
            *message.recovering,
            message.wall,
        )
    except struct.error as error:
        raise LocalProtocolError(f"{message!r} does not fit its layout: {error}") from error
    return [whole]


def decode_append_report(frame: WireFrame) -> AppendReport | None:
    """Return the report in a frame of its type; None for one with terms, or a malformed one."""
    payload = frame.payload
    if len(payload) != _REPORT.size:
        return None
    (matched, durable, checked, *end, round_number, service, reason, term, position, wall) = (
        _REPORT.unpack(payload)
    )
    known = _REASONS.get(reason)
    if matched > 1 or known is None:
        return None
    recovering = NOT_RECOVERING
    if reason or term or position:
        recovering = Recovering(known, term, position)
    return AppendReport(
        frame.term,  # type: ignore[arg-type] # new types from a struct
        matched == 1,
        durable,
        checked,
        LogMark(*end),
        _NO_TERMS,
        round_number,
        LogPosition(service),
        recovering,
        wall,
    )


_NO_TERMS: Final[tuple[TermRecord, ...]] = ()
