"""What members say to each other, as bytes: one layout for each message of ``consensus``.

The term that a message is about travels in the header. Log frames travel exactly as they lie
on disk and are not copied when sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from quorate.consensus.messages import (
    AppendFrames,
    AppendReport,
    Canvass,
    CanvassAnswer,
    CureTarget,
    DigestReport,
    DigestVerdict,
    Founded,
    FoundingDiscard,
    FoundingFrame,
    FoundingStored,
    FoundRequest,
    Hello,
    Message,
    Refusal,
    RequestVote,
    RoomReport,
    StandNow,
    TransferToken,
    Vote,
)
from quorate.consensus.types import (
    FoundingState,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    Recovering,
    RecoveringReason,
    Role,
    TermRecord,
)
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.append_codec import (
    FRAMES_TYPE,
    REPORT_TYPE,
    decode_append_frames,
    decode_append_report,
    encode_append_frames,
    encode_append_report,
)
from quorate.protocol.framing import WireFrame
from quorate.protocol.layouts import (
    BYTES16,
    FLAG,
    I64,
    U32,
    U64,
    Kind,
    Layout,
    Tail,
    enumeration,
    optional,
)
from quorate.protocol.log_codec import decode_frames

TERMS_MAX = 4096
"""Rows of a term table in one message."""


def encode_message(message: Message) -> list[bytes]:
    """Return the buffers of a message, to be written one behind the other.

    The frames of the log among them are their own ``data``, not copies.

    Raises:
        LocalProtocolError: A value does not fit its field, or the message is longer than
            ``PAYLOAD_BYTES_MAX``.

    """
    if isinstance(message, AppendFrames):
        return encode_append_frames(message)
    if isinstance(message, AppendReport):
        buffers = encode_append_report(message)
        if buffers is not None:
            return buffers
    return _BY_CLASS[type(message)].encode(message)


def decode_message(frame: WireFrame) -> Message:
    """Return the message that a frame holds.

    Log frames in it are checked one by one and against each other (length, CRC, chain,
    position, term), and in AppendFrames against ``previous``.

    Raises:
        RemoteProtocolError: Not a message of this protocol; drop the connection.

    """
    if frame.message_type == FRAMES_TYPE:
        return decode_append_frames(frame)
    if frame.message_type == REPORT_TYPE:
        report = decode_append_report(frame)
        if report is not None:
            return report
    layout = _BY_NUMBER.get(frame.message_type)
    if layout is None:
        raise RemoteProtocolError(f"message type {frame.message_type} is unknown to this release")
    return layout.decode(frame)


def _as_tuple(value: object) -> Iterable[object]:
    assert isinstance(value, tuple)
    return value


def _token_parts(value: object) -> Iterable[object]:
    assert isinstance(value, TransferToken)
    return (value.leadership_term_id, value.position)


def _token(parts: Sequence[int]) -> TransferToken:
    return TransferToken(LeadershipTermId(parts[0]), LogPosition(parts[1]))


def _recovering(parts: Sequence[int]) -> Recovering:
    return Recovering._make((_REASON.join(parts), *parts[1:]))


def _encode_frames(value: object) -> list[bytes]:
    assert isinstance(value, tuple)
    return [frame.data for frame in value]


def _decode_frames(payload: bytes, offset: int) -> tuple[LogFrame, ...]:
    return tuple(decode_frames(payload, offset))


def _encode_frame(value: object) -> list[bytes]:
    assert isinstance(value, LogFrame)
    return [value.data]


def _decode_frame(payload: bytes, offset: int) -> LogFrame:
    frames = decode_frames(payload, offset)
    if len(frames) != 1:
        raise RemoteProtocolError(f"{len(frames)} log frames where one is expected")
    return frames[0]


def _encode_terms(value: object) -> list[bytes]:
    assert isinstance(value, tuple)
    if len(value) > TERMS_MAX:
        raise LocalProtocolError(f"{len(value)} rows of the term table exceed {TERMS_MAX}")
    try:
        return [_TERM_RECORD.pack(*record) for record in value]
    except struct.error as error:
        raise LocalProtocolError(f"a term record does not fit its layout: {error}") from error


def _decode_terms(payload: bytes, offset: int) -> tuple[TermRecord, ...]:
    count, over = divmod(len(payload) - offset, _TERM_RECORD.size)
    if over or count > TERMS_MAX:
        raise RemoteProtocolError(
            f"a term table of {len(payload) - offset} bytes is not 0..{TERMS_MAX} rows of "
            f"{_TERM_RECORD.size}"
        )
    rows = _TERM_RECORD.iter_unpack(payload[offset:])
    return tuple(TermRecord._make(row) for row in rows)


def _encode_token(value: object) -> list[bytes]:
    try:
        return [_TOKEN_RECORD.pack(*_token_parts(value))]
    except struct.error as error:
        raise LocalProtocolError(f"{value!r} does not fit its layout: {error}") from error


def _decode_token(payload: bytes, offset: int) -> TransferToken:
    if len(payload) - offset != _TOKEN_RECORD.size:
        raise RemoteProtocolError(f"a token has {len(payload) - offset} bytes")
    return _token(_TOKEN_RECORD.unpack_from(payload, offset))


_TERM_RECORD: Final = struct.Struct("<QQI")
_TOKEN_RECORD: Final = struct.Struct("<QQ")

_REASON = enumeration(RecoveringReason)
_MARK = Kind("QQI", 3, _as_tuple, LogMark._make)
_RECOVERING = Kind("BQQ", 3, _as_tuple, _recovering)
_TOKEN = Kind("QQ", 2, _token_parts, _token)
_FRAMES = Tail(_encode_frames, _decode_frames)
_FRAME = Tail(_encode_frame, _decode_frame)
_TERMS = Tail(_encode_terms, _decode_terms)
_TOKEN_OR_NONE = optional(Tail(_encode_token, _decode_token))

_LAYOUTS: Final[tuple[Layout[Message], ...]] = (
    Layout(
        16,
        Hello,
        ("founding", enumeration(FoundingState)),
        ("configuration_hash", BYTES16),
        ("founding_chain", U32),
        ("role", enumeration(Role)),
        ("end", _MARK),
        ("recovering", _RECOVERING),
        ("refusal", enumeration(Refusal)),
        term="leadership_term_id",
        tail=("founding_frame", optional(_FRAME)),
    ),
    Layout(17, FoundRequest, ("discard", FLAG)),
    Layout(18, FoundingFrame, tail=("frame", _FRAME)),
    Layout(19, FoundingStored, ("chain", U32)),
    Layout(20, Founded, ("chain", U32)),
    Layout(21, FoundingDiscard, ("chain", U32)),
    Layout(
        22,
        Canvass,
        ("end", _MARK),
        ("unanimous", FLAG),
        ("round", U64),
        term="leadership_term_id",
    ),
    Layout(
        23,
        CanvassAnswer,
        ("round", U64),
        ("granted", FLAG),
        ("end", _MARK),
        ("recovering", _RECOVERING),
        ("wall", I64),
        term="leadership_term_id",
    ),
    Layout(
        24,
        RequestVote,
        ("end", _MARK),
        ("unanimous", FLAG),
        term="candidate_term_id",
        tail=("token", _TOKEN_OR_NONE),
    ),
    Layout(
        25,
        Vote,
        ("granted", FLAG),
        ("unanimous", FLAG),
        ("end", _MARK),
        ("wall", I64),
        term="candidate_term_id",
    ),
    Layout(
        FRAMES_TYPE,
        AppendFrames,
        ("previous", _MARK),
        ("commit_position", U64),
        ("round", U64),
        ("end_position", U64),
        term="leadership_term_id",
        tail=("frames", _FRAMES),
    ),
    Layout(
        REPORT_TYPE,
        AppendReport,
        ("matched", FLAG),
        ("durable", U64),
        ("checked", U64),
        ("end", _MARK),
        ("round", U64),
        ("service_position", U64),
        ("recovering", _RECOVERING),
        ("wall", I64),
        term="leadership_term_id",
        tail=("terms", _TERMS),
    ),
    Layout(28, CureTarget, ("position", U64), term="leadership_term_id"),
    Layout(29, StandNow, ("token", _TOKEN)),
    Layout(30, DigestReport, ("position", U64), ("digest", BYTES16)),
    Layout(31, DigestVerdict, ("position", U64), ("digest", BYTES16)),
    Layout(32, RoomReport, ("room_end", U64), term="leadership_term_id"),
)
_BY_NUMBER = {layout.number: layout for layout in _LAYOUTS}
_BY_CLASS = {layout.message_class: layout for layout in _LAYOUTS}
