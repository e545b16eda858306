"""The hot messages, written out by hand, are byte for byte those of the table of layouts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.consensus.messages import AppendFrames, AppendReport
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.append_codec import (
    decode_append_frames,
    decode_append_report,
    encode_append_frames,
    encode_append_report,
)
from quorate.protocol.consensus_codec import _BY_CLASS
from quorate.protocol.framing import FrameDecoder, WireFrame
from quorate_wire.frames import cut
from quorate_wire.strategies import BY_CLASS

FRAMES = BY_CLASS[AppendFrames]
REPORTS = BY_CLASS[AppendReport]
TABLE = {AppendFrames: _BY_CLASS[AppendFrames], AppendReport: _BY_CLASS[AppendReport]}


def on_the_wire(buffers: list[bytes]) -> WireFrame:
    (frame,) = cut(FrameDecoder(), b"".join(buffers))
    return frame


@given(FRAMES)
def test_frames_are_written_as_the_table_says(message: AppendFrames) -> None:
    buffers = encode_append_frames(message)
    assert b"".join(buffers) == b"".join(TABLE[AppendFrames].encode(message))
    assert buffers[1:] == [frame.data for frame in message.frames]
    assert decode_append_frames(on_the_wire(buffers)) == message


@given(REPORTS)
def test_reports_are_written_as_the_table_says(message: AppendReport) -> None:
    plain = replace(message, terms=())
    buffers = encode_append_report(plain)
    assert buffers == TABLE[AppendReport].encode(plain)
    assert decode_append_report(on_the_wire(buffers or [])) == plain


@given(REPORTS.filter(lambda report: report.terms))
def test_reports_with_terms_are_left_to_the_table(message: AppendReport) -> None:
    assert encode_append_report(message) is None
    assert decode_append_report(on_the_wire(TABLE[AppendReport].encode(message))) is None


@given(FRAMES | REPORTS, st.data())
def test_damaged_bytes_are_read_as_the_table_reads_them(
    message: AppendFrames | AppendReport, data: st.DataObject
) -> None:
    layout = TABLE[type(message)]
    frame = on_the_wire(layout.encode(message))
    payload = bytearray(frame.payload)
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    damaged = frame._replace(payload=bytes(payload[: data.draw(st.integers(0, len(payload)))]))
    expected = None
    with suppress(RemoteProtocolError):
        expected = layout.decode(damaged)
    if isinstance(message, AppendReport):
        assert decode_append_report(damaged) in (expected, None)
    else:
        with suppress(RemoteProtocolError):
            assert decode_append_frames(damaged) == expected


@given(REPORTS)
def test_a_value_beyond_its_field_is_refused(message: AppendReport) -> None:
    with pytest.raises(LocalProtocolError):
        encode_append_report(replace(message, terms=(), wall=1 << 63))
