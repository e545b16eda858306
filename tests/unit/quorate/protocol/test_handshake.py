"""The handshake of member links: both sides agree on who is there, or one says why not."""

from __future__ import annotations

import hmac
import struct
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.consensus.types import (
    ClusterId,
    LeadershipTermId,
    MemberId,
    PeerLife,
    Role,
    Seat,
    StartNonce,
)
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.fields import OPTIONAL, encode_records
from quorate.protocol.framing import MEMBER_HEADER, FrameDecoder, WireFrame
from quorate.protocol.handshake import (
    DETAIL_BYTES_MAX,
    HANDSHAKE_PAYLOAD_BYTES_MAX,
    Handshake,
    HandshakeExchange,
    LinkRefusal,
    LinkRefused,
    RefusedByPeer,
    decode_handshake,
    encode_handshake,
    encode_refusal,
)
from quorate.protocol.log_codec import UnknownFormat
from quorate_wire import frames

SEATS = frozenset({Seat(0), Seat(1), Seat(2)})
SECRET = b"the cluster's secret"
ALICE = Handshake(
    cluster_id=ClusterId(b"c" * 16),
    epoch=0,
    member_id=MemberId(b"a" * 16),
    seat=Seat(0),
    start_nonce=StartNonce(11),
    role=Role.LEADER,
    leadership_term_id=LeadershipTermId(7),
    client_address="alice:9010",
    control_address="alice:9030",
    connection_nonce=b"n" * 16,
)
BOB = replace(
    ALICE,
    member_id=MemberId(b"b" * 16),
    seat=Seat(1),
    start_nonce=StartNonce(22),
    role=Role.FOLLOWER,
    client_address="bob:9010",
    control_address="",
    connection_nonce=b"m" * 16,
)
HANDSHAKES = st.builds(
    Handshake,
    cluster_id=st.binary(min_size=16, max_size=16).map(ClusterId),
    epoch=st.integers(0, 2**64 - 1),
    member_id=st.binary(min_size=16, max_size=16).map(MemberId),
    seat=st.integers(0, 2**16 - 1).map(Seat),
    start_nonce=st.integers(0, 2**64 - 1).map(StartNonce),
    role=st.sampled_from(Role),
    leadership_term_id=st.integers(0, 2**64 - 1).map(LeadershipTermId),
    client_address=st.text(max_size=120),
    control_address=st.text(max_size=120),
    connection_nonce=st.binary(min_size=16, max_size=16),
)


def cut(data: bytes) -> list[WireFrame]:
    return list(frames.cut(FrameDecoder(payload_bytes_max=HANDSHAKE_PAYLOAD_BYTES_MAX), data))


def exchange(
    own: Handshake, *, dialled: int | None = None, secret: bytes | None = SECRET
) -> HandshakeExchange:
    return HandshakeExchange(
        own,
        dialled=None if dialled is None else Seat(dialled),
        expected_seats=SEATS - {own.seat},
        secret=secret,
    )


def play(dialler: HandshakeExchange, acceptor: HandshakeExchange) -> None:
    """Carry messages to and fro until nobody says anything."""
    to_acceptor, to_dialler = dialler.opening(), acceptor.opening()
    assert not to_dialler
    while to_acceptor or to_dialler:
        to_dialler += b"".join(acceptor.receive(frame) for frame in cut(to_acceptor))
        to_acceptor = b"".join(dialler.receive(frame) for frame in cut(to_dialler))
        to_dialler = b""


@pytest.mark.parametrize("secret", [SECRET, None])
def test_should_tell_both_sides_who_is_there(secret: bytes | None) -> None:
    dialler, acceptor = exchange(ALICE, dialled=1, secret=secret), exchange(BOB, secret=secret)
    play(dialler, acceptor)
    assert dialler.is_complete
    assert acceptor.is_complete
    assert dialler.peer == BOB
    assert acceptor.peer == ALICE
    assert ALICE.life == PeerLife(Seat(0), ALICE.member_id, ALICE.start_nonce)


def test_a_proof_should_stay_what_earlier_releases_compute() -> None:
    dialler, acceptor = exchange(ALICE, dialled=1), exchange(BOB)
    (opening,) = cut(dialler.opening())
    answer, confirmation = cut(acceptor.receive(opening))
    dialler.receive(answer)
    (last,) = cut(dialler.receive(confirmation))
    both = encode_handshake(ALICE) + encode_handshake(BOB)
    for proof, label in ((confirmation, b"quorate-acceptor"), (last, b"quorate-dialler-")):
        assert proof.payload == hmac.digest(SECRET, label + both, "sha256")


def test_should_not_open_to_a_handshake_alone() -> None:
    acceptor = exchange(BOB, secret=None)
    (opening,) = cut(exchange(ALICE, dialled=1, secret=None).opening())
    acceptor.receive(opening)
    assert acceptor.peer == ALICE
    assert not acceptor.is_complete


@given(HANDSHAKES)
def test_should_read_back_a_handshake(handshake: Handshake) -> None:
    (frame,) = cut(encode_handshake(handshake))
    assert decode_handshake(frame) == handshake


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cluster_id": ClusterId(b"d" * 16)}, LinkRefusal.CLUSTER),
        ({"seat": Seat(1)}, LinkRefusal.SEAT),
        ({"seat": Seat(3)}, LinkRefusal.SEAT),
        ({"version_min": 2, "version_max": 9}, LinkRefusal.VERSION),
        ({"version_min": 0, "version_max": 0}, LinkRefusal.VERSION),
    ],
)
def test_acceptor_should_refuse_and_say_why(
    changes: dict[str, object], reason: LinkRefusal
) -> None:
    (opening,) = cut(encode_handshake(replace(ALICE, **changes)))  # type: ignore[arg-type]
    with pytest.raises(LinkRefused) as caught:
        exchange(BOB).receive(opening)
    assert caught.value.reason is reason


@pytest.mark.parametrize("index", range(16))
@pytest.mark.parametrize("dialled", [None, 0])
def test_every_byte_of_the_cluster_id_should_count_on_either_side(
    index: int, dialled: int | None
) -> None:
    other = bytearray(ALICE.cluster_id)
    other[index] ^= 1
    (opening,) = cut(encode_handshake(replace(ALICE, cluster_id=ClusterId(bytes(other)))))
    with pytest.raises(LinkRefused) as caught:
        exchange(BOB, dialled=dialled).receive(opening)
    assert caught.value.reason is LinkRefusal.CLUSTER


def test_should_take_a_peer_that_speaks_later_versions_too() -> None:
    (opening,) = cut(encode_handshake(replace(ALICE, version_max=99)))
    assert exchange(BOB).receive(opening)


def test_dialler_should_refuse_another_seat_than_it_dialled() -> None:
    dialler = exchange(ALICE, dialled=2)
    (answer,) = cut(encode_handshake(BOB))
    with pytest.raises(LinkRefused, match=r"seat 1, expected was one of \[2\]"):
        dialler.receive(answer)


@pytest.mark.parametrize(
    ("of_dialler", "of_acceptor"), [(SECRET, b"other"), (SECRET, None), (None, SECRET)]
)
def test_should_refuse_another_secret(of_dialler: bytes | None, of_acceptor: bytes | None) -> None:
    dialler = exchange(ALICE, dialled=1, secret=of_dialler)
    acceptor = exchange(BOB, secret=of_acceptor)
    with pytest.raises(LinkRefused, match="same secret, or none") as caught:
        play(dialler, acceptor)
    assert caught.value.reason is LinkRefusal.SECRET
    assert not dialler.is_complete
    assert not acceptor.is_complete


def test_acceptor_should_refuse_a_dialler_without_the_secret() -> None:
    dialler, acceptor = exchange(ALICE, dialled=1, secret=SECRET), exchange(BOB, secret=b"other")
    answer = cut(acceptor.receive(cut(dialler.opening())[0]))
    dialler.receive(answer[0])
    dialler._secret = b"other"
    assert dialler.receive(answer[1])
    dialler._secret = SECRET
    with pytest.raises(LinkRefused):
        acceptor.receive(cut(dialler._confirmation())[0])


def test_a_proof_should_not_serve_the_other_direction_or_another_connection() -> None:
    dialler, acceptor = exchange(ALICE, dialled=1), exchange(BOB)
    answer = cut(acceptor.receive(cut(dialler.opening())[0]))
    with pytest.raises(LinkRefused):
        acceptor.receive(answer[1])

    later = exchange(replace(ALICE, connection_nonce=b"x" * 16), dialled=1)
    later.receive(answer[0])
    with pytest.raises(LinkRefused):
        later.receive(answer[1])


def test_a_changed_handshake_should_break_the_proof_on_either_side() -> None:
    dialler, acceptor = exchange(ALICE, dialled=1), exchange(BOB)
    changed = replace(ALICE, client_address="evil:9010")
    answer = cut(acceptor.receive(cut(encode_handshake(changed))[0]))
    dialler.receive(answer[0])
    with pytest.raises(LinkRefused):
        dialler.receive(answer[1])

    dialler, acceptor = exchange(ALICE, dialled=1), exchange(BOB)
    answer = cut(acceptor.receive(cut(dialler.opening())[0]))
    dialler.receive(cut(encode_handshake(replace(BOB, client_address="evil:9010")))[0])
    with pytest.raises(LinkRefused):
        dialler.receive(answer[1])


def test_should_not_read_the_layout_of_an_unknown_version() -> None:
    payload = struct.pack("<8sHH", b"QUORATEM", 2, 3) + b"whatever comes then"
    with pytest.raises(LinkRefused, match=r"speaks 1\.\.1, the peer 2\.\.3"):
        decode_handshake(WireFrame(1, 0, payload))


def test_should_skip_optional_and_halt_at_mandatory_options() -> None:
    (frame,) = cut(encode_handshake(ALICE))
    optional = frame.payload + encode_records([(OPTIONAL | 5, b"later")])
    assert decode_handshake(frame._replace(payload=optional)) == ALICE
    with pytest.raises(UnknownFormat):
        decode_handshake(frame._replace(payload=frame.payload + encode_records([(5, b"later")])))


def test_should_not_take_anything_else_for_a_handshake() -> None:
    (frame,) = cut(encode_handshake(ALICE))
    role = frame.payload.index(struct.pack("<Q", 11)) + 8
    for changed in (
        frame._replace(message_type=16),
        frame._replace(payload=b"QUORATEX" + frame.payload[8:]),
        frame._replace(payload=frame.payload[:role] + b"\x09" + frame.payload[role + 1 :]),
        *(frame._replace(payload=frame.payload[:length]) for length in range(len(frame.payload))),
    ):
        with pytest.raises(RemoteProtocolError):
            decode_handshake(changed)


def test_should_not_take_anything_else_for_a_confirmation() -> None:
    dialler, acceptor = exchange(ALICE, dialled=1), exchange(BOB)
    (opening,) = cut(dialler.opening())
    acceptor.receive(opening)
    with pytest.raises(RemoteProtocolError, match="no confirmation"):
        acceptor.receive(opening)


@pytest.mark.parametrize("reason", list(LinkRefusal))
def test_should_carry_a_refusal_to_the_peer(reason: LinkRefusal) -> None:
    (frame,) = cut(encode_refusal(reason, "because"))
    with pytest.raises(RefusedByPeer, match=f"{reason.label}: because") as caught:
        exchange(ALICE, dialled=1).receive(frame)
    assert caught.value.reason is reason
    assert caught.value.detail == "because"


def test_should_understand_a_refusal_for_a_reason_of_a_later_release() -> None:
    (frame,) = cut(encode_refusal(LinkRefusal.SEAT, "new"))
    with pytest.raises(RefusedByPeer, match="unknown reason: new") as caught:
        exchange(ALICE, dialled=1).receive(frame._replace(payload=b"\xff" + frame.payload[1:]))
    assert caught.value.reason is None


def test_should_cut_a_long_detail() -> None:
    (frame,) = cut(encode_refusal(LinkRefusal.SEAT, "ä" * 1000))
    with pytest.raises(RefusedByPeer) as caught:
        exchange(ALICE, dialled=1).receive(frame)
    assert caught.value.detail == "ä" * (DETAIL_BYTES_MAX // 2)


def test_should_refuse_a_refusal_with_more_in_it() -> None:
    (frame,) = cut(encode_refusal(LinkRefusal.SEAT, "x"))
    with pytest.raises(RemoteProtocolError, match="too many"):
        exchange(ALICE, dialled=1).receive(frame._replace(payload=frame.payload + b"\0"))


@pytest.mark.parametrize(
    "changes",
    [
        {"connection_nonce": b"short"},
        {"client_address": "x" * 513},
        {"seat": Seat(2**16)},
        {"cluster_id": ClusterId(b"")},
    ],
)
def test_should_not_write_what_the_layout_cannot_hold(changes: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_handshake(replace(ALICE, **changes))  # type: ignore[arg-type]


def test_the_longest_handshake_should_fit_into_its_limit() -> None:
    longest = replace(ALICE, client_address="x" * 512, control_address="y" * 512)
    assert len(encode_handshake(longest)) - MEMBER_HEADER.size < HANDSHAKE_PAYLOAD_BYTES_MAX // 2


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=200)), max_size=4))
def test_should_raise_nothing_but_protocol_errors_for_garbage(
    messages: list[tuple[int, bytes]],
) -> None:
    for side in (exchange(ALICE, dialled=1), exchange(BOB)):
        with suppress(RemoteProtocolError):
            for number, payload in messages:
                side.receive(WireFrame(number, 0, payload))
        assert not side.is_complete
