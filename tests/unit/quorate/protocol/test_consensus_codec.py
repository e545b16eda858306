"""Messages between members: every one is read as it was written, and nothing else is taken."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quorate.consensus import messages
from quorate.consensus.messages import AppendFrames, Message, RequestVote, TransferToken
from quorate.consensus.types import (
    LOG_START,
    NOT_RECOVERING,
    Chain,
    FrameType,
    LeadershipTermId,
    LogFrame,
    LogMark,
    LogPosition,
    TermRecord,
)
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol import consensus_codec
from quorate.protocol.consensus_codec import TERMS_MAX, decode_message, encode_message
from quorate.protocol.framing import PAYLOAD_BYTES_MAX, FrameDecoder, WireFrame
from quorate.protocol.log_codec import encode_frame
from quorate_wire.frames import cut
from quorate_wire.strategies import BY_CLASS, MESSAGES, append_frames

FIRST = encode_frame(LogPosition(0), LeadershipTermId(0), 0, Chain(0), FrameType.FOUNDING, b"first")
MISPLACED = encode_frame(LogPosition(64), LeadershipTermId(0), 0, Chain(0), FrameType.EMPTY)
SECOND = encode_frame(
    FIRST.end, LeadershipTermId(1), 1, FIRST.chain, FrameType.NEW_LEADERSHIP_TERM, b"second"
)
APPEND = AppendFrames(
    LeadershipTermId(1), LOG_START, (FIRST, SECOND), LogPosition(64), 9, SECOND.end
)
REPORT = messages.AppendReport(
    LeadershipTermId(1),
    True,
    LogPosition(64),
    LogPosition(128),
    LogMark(SECOND.end, LeadershipTermId(1), SECOND.chain),
    (),
    9,
    LogPosition(0),
    NOT_RECOVERING,
    5,
)


def on_the_wire(message: Message) -> WireFrame:
    (frame,) = cut(FrameDecoder(), b"".join(encode_message(message)))
    return frame


@given(MESSAGES)
def test_should_read_back_every_message(message: Message) -> None:
    decoded = decode_message(on_the_wire(message))
    assert decoded == message
    assert type(decoded) is type(message)


@given(MESSAGES)
def test_should_restore_the_exact_types_of_nested_values(message: Message) -> None:
    decoded = decode_message(on_the_wire(message))
    for name in message.__dataclass_fields__:
        assert type(getattr(decoded, name)) is type(getattr(message, name))


def test_should_have_a_layout_for_every_message() -> None:
    union = set(get_args(Message))
    assert set(consensus_codec._BY_CLASS) == union
    assert set(BY_CLASS) == union
    assert len(consensus_codec._BY_NUMBER) == len(union)


def test_should_send_log_frames_as_they_lie_without_copying_them() -> None:
    buffers = encode_message(APPEND)
    assert buffers[1] is FIRST.data
    assert buffers[2] is SECOND.data


@given(MESSAGES, st.data())
def test_should_raise_nothing_but_protocol_errors_for_changed_bytes(
    message: Message, data: st.DataObject
) -> None:
    frame = on_the_wire(message)
    payload = bytearray(frame.payload)
    for _ in range(data.draw(st.integers(1, 3))):
        if payload:
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    shortened = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    for changed in (bytes(payload), shortened, bytes(payload) + b"\0"):
        for number in (frame.message_type, data.draw(st.integers(0, 255))):
            with suppress(RemoteProtocolError):
                decoded = decode_message(WireFrame(number, frame.term, changed))
                assert on_the_wire(decoded) == WireFrame(number, frame.term, changed)


TOKEN = TransferToken(LeadershipTermId(1), SECOND.end)
ROWS = (TermRecord(LeadershipTermId(0), LogPosition(0), Chain(0)),)


@given(MESSAGES, st.sampled_from([b"\0", b"\1", bytes(3)]))
@example(RequestVote(LeadershipTermId(2), REPORT.end, False, TOKEN), b"\0")
@example(replace(REPORT, matched=False, terms=ROWS), b"\0")
def test_should_refuse_every_message_with_more_behind_it(message: Message, more: bytes) -> None:
    frame = on_the_wire(message)
    with pytest.raises(RemoteProtocolError):
        decode_message(frame._replace(payload=frame.payload + more))


@given(append_frames(), st.data())
def test_should_refuse_any_flipped_bit_of_a_log_frame(
    message: AppendFrames, data: st.DataObject
) -> None:
    frame = on_the_wire(message)
    fixed = len(frame.payload) - sum(len(log_frame.data) for log_frame in message.frames)
    if len(frame.payload) == fixed:
        return
    payload = bytearray(frame.payload)
    payload[data.draw(st.integers(fixed, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RemoteProtocolError):
        decode_message(WireFrame(frame.message_type, frame.term, bytes(payload)))


def forged(frames: tuple[LogFrame, ...], previous: LogMark = LOG_START) -> WireFrame:
    return on_the_wire(replace(APPEND, frames=frames, previous=previous))


@pytest.mark.parametrize(
    "frame",
    [
        forged((FIRST, FIRST)),
        forged((SECOND,)),
        forged((MISPLACED,)),
        forged((FIRST, SECOND), LogMark(LogPosition(0), LeadershipTermId(0), Chain(1))),
        forged((FIRST, SECOND), LogMark(LogPosition(0), LeadershipTermId(1), Chain(0))),
    ],
    ids=["twice", "gap", "position", "chain", "term falls"],
)
def test_should_refuse_frames_that_do_not_stand_behind_each_other(frame: WireFrame) -> None:
    with pytest.raises(RemoteProtocolError, match=r"does not (follow|stand behind)"):
        decode_message(frame)


def test_should_refuse_more_or_less_than_one_founding_frame() -> None:
    frame = on_the_wire(messages.FoundingFrame(FIRST))
    for payload, count in ((b"", 0), (FIRST.data + SECOND.data, 2)):
        with pytest.raises(RemoteProtocolError, match=f"{count} log frames"):
            decode_message(frame._replace(payload=payload))


@pytest.mark.parametrize("value", [2, 255])
@pytest.mark.parametrize("terms", [(), ROWS])
def test_should_refuse_a_report_that_has_neither_matched_nor_not(
    value: int, terms: tuple[TermRecord, ...]
) -> None:
    frame = on_the_wire(replace(REPORT, terms=terms))
    with pytest.raises(RemoteProtocolError, match="truth value"):
        decode_message(frame._replace(payload=bytes([value]) + frame.payload[1:]))


def test_should_refuse_an_unknown_type() -> None:
    with pytest.raises(RemoteProtocolError, match="type 255 is unknown"):
        decode_message(WireFrame(255, 0, b""))


def test_should_refuse_a_term_where_the_message_has_none() -> None:
    frame = on_the_wire(messages.Founded(7))
    with pytest.raises(RemoteProtocolError, match="has no term, yet 3"):
        decode_message(frame._replace(term=3))


def test_should_refuse_numbers_that_no_name_has() -> None:
    frame = on_the_wire(messages.FoundRequest(discard=True))
    with pytest.raises(RemoteProtocolError, match="2 is not a truth value"):
        decode_message(frame._replace(payload=b"\x02"))
    report = on_the_wire(REPORT)
    reason = report.payload.rindex(bytes(17) + struct.pack("<q", 5))
    payload = report.payload[:reason] + b"\x09" + report.payload[reason + 1 :]
    with pytest.raises(RemoteProtocolError, match="9 is no RecoveringReason"):
        decode_message(report._replace(payload=payload))


def test_should_bound_the_rows_of_a_term_table() -> None:
    row = TermRecord(LeadershipTermId(1), LogPosition(64), Chain(5))
    full = replace(REPORT, terms=(row,) * TERMS_MAX)
    assert decode_message(on_the_wire(full)) == full
    with pytest.raises(LocalProtocolError, match="exceed"):
        encode_message(replace(REPORT, terms=(row,) * (TERMS_MAX + 1)))
    frame = on_the_wire(full)
    for added in (20, 1):
        with pytest.raises(RemoteProtocolError, match="term table"):
            decode_message(frame._replace(payload=frame.payload + bytes(added)))


def test_should_bound_the_log_frames_of_a_message() -> None:
    big = encode_frame(
        LogPosition(0), LeadershipTermId(0), 0, Chain(0), FrameType.ENTRIES, bytes(1024 * 1024 - 64)
    )
    assert sum(map(len, encode_message(replace(APPEND, frames=(big,) * 3)))) < PAYLOAD_BYTES_MAX
    with pytest.raises(LocalProtocolError, match="AppendFrames of"):
        encode_message(replace(APPEND, frames=(big,) * 4))


@pytest.mark.parametrize(
    "message",
    [
        replace(APPEND, leadership_term_id=LeadershipTermId(-1)),
        replace(APPEND, round=2**64),
        replace(REPORT, wall=2**63),
        replace(REPORT, terms=(TermRecord(LeadershipTermId(0), LogPosition(-1), Chain(0)),)),
        messages.Founded(2**32),
        messages.DigestReport(LogPosition(0), b"short"),
        RequestVote(
            LeadershipTermId(1),
            LOG_START,
            False,
            TransferToken(LeadershipTermId(-1), LogPosition(0)),
        ),
    ],
)
def test_should_not_write_what_the_layout_cannot_hold(message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        encode_message(message)


@given(st.integers(0, 40), st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_should_raise_nothing_but_protocol_errors_for_garbage(
    number: int, term: int, payload: bytes
) -> None:
    with suppress(RemoteProtocolError):
        decode_message(WireFrame(number, term, payload))
