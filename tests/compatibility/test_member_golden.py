"""The bytes of the log and of member links as released: every release must understand them.

Each file in ``frames/`` is one log frame and each in ``messages/`` one message of a member link,
in hexadecimal. They are never regenerated: a change of a layout takes another version, and
files of its own beside these.
"""

from pathlib import Path

import pytest

from quorate.protocol.consensus_codec import decode_message, encode_message
from quorate.protocol.framing import FrameDecoder
from quorate.protocol.handshake import (
    KEEP_ALIVE,
    HandshakeExchange,
    LinkRefusal,
    encode_refusal,
)
from quorate.protocol.log_codec import FRAME_HEADER_LENGTH, decode_frame, decode_frames
from quorate.protocol.term_codec import decode_founding, decode_term
from quorate_wire import samples
from quorate_wire.frames import cut

HERE = Path(__file__).parent
SEATS = frozenset({samples.HANDSHAKE_OF_DIALLER.seat, samples.HANDSHAKE_OF_ACCEPTOR.seat})


def golden(folder: str, name: str) -> bytes:
    return bytes.fromhex((HERE / folder / f"{name}.hex").read_text(encoding="ascii"))


def handshake_bytes() -> dict[str, bytes]:
    """Play the golden handshake and return what each side says."""
    dialler = HandshakeExchange(
        samples.HANDSHAKE_OF_DIALLER,
        dialled=samples.HANDSHAKE_OF_ACCEPTOR.seat,
        expected_seats=SEATS,
        secret=samples.SECRET,
    )
    acceptor = HandshakeExchange(
        samples.HANDSHAKE_OF_ACCEPTOR, dialled=None, expected_seats=SEATS, secret=samples.SECRET
    )
    opening = dialler.opening()
    (frame,) = cut(FrameDecoder(), opening)
    answer = acceptor.receive(frame)
    confirmation = b"".join(map(dialler.receive, cut(FrameDecoder(), answer)))
    assert dialler.is_complete
    return {
        "handshake_opening": opening,
        "handshake_answer": answer,
        "handshake_confirmation": confirmation,
    }


def link_bytes() -> dict[str, bytes]:
    return handshake_bytes() | {
        "refusal": encode_refusal(LinkRefusal.SECRET, "wrong"),
        "keep_alive": KEEP_ALIVE,
    }


def test_every_golden_file_is_tested() -> None:
    frames = {path.stem for path in (HERE / "frames").glob("*.hex")}
    messages = {path.stem for path in (HERE / "messages").glob("*.hex")}
    assert frames == set(samples.FRAMES)
    assert messages == set(samples.MESSAGES) | set(link_bytes())


@pytest.mark.parametrize("name", samples.FRAMES)
def test_log_frames(name: str) -> None:
    data = golden("frames", name)
    assert samples.FRAMES[name].data == data
    assert decode_frame(data) == samples.FRAMES[name]


def test_the_golden_frames_are_one_log() -> None:
    log = b"".join(golden("frames", name) for name in samples.FRAMES)
    assert decode_frames(log) == list(samples.FRAMES.values())


def test_bodies_of_founding_and_term_frames() -> None:
    founding, term = golden("frames", "founding"), golden("frames", "new_leadership_term")
    length = int.from_bytes(founding[:4], "little")
    assert decode_founding(founding[FRAME_HEADER_LENGTH:length]) == samples.FOUNDING_BODY
    length = int.from_bytes(term[:4], "little")
    assert decode_term(term[FRAME_HEADER_LENGTH:length]) == samples.TERM_BODY


@pytest.mark.parametrize("name", samples.MESSAGES)
def test_messages(name: str) -> None:
    data = golden("messages", name)
    assert b"".join(encode_message(samples.MESSAGES[name])) == data
    (frame,) = cut(FrameDecoder(), data)
    assert decode_message(frame) == samples.MESSAGES[name]


@pytest.mark.parametrize("name", link_bytes())
def test_handshake_refusal_and_keep_alive(name: str) -> None:
    assert link_bytes()[name] == golden("messages", name)
