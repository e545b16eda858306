"""The bodies of founding and term frames: what is written is read, and nothing else is taken."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config import ClusterConstants, ClusterSettings, OnError
from quorate.consensus.types import (
    ClusterId,
    LeadershipTermId,
    LogPosition,
    Member,
    MemberId,
    Membership,
    Seat,
)
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol import term_codec
from quorate.protocol.fields import OPTIONAL, encode_records, pack_u64
from quorate.protocol.log_codec import UnknownFormat
from quorate.protocol.term_codec import (
    FoundingBody,
    TermBody,
    decode_constants,
    decode_founding,
    decode_membership,
    decode_settings,
    decode_term,
    encode_constants,
    encode_founding,
    encode_membership,
    encode_settings,
    encode_term,
)
from quorate_wire.term_bodies import ALICE, BOB, FOUNDING, TERM

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
ID = st.binary(min_size=16, max_size=16)
NAMES = st.text(st.characters(codec="utf-8"), max_size=40)
SETTINGS = st.builds(
    ClusterSettings,
    on_error=st.sampled_from(OnError),
    **{field.name: U64 for field in fields(ClusterSettings) if field.name != "on_error"},
)
CONSTANTS = st.builds(ClusterConstants, **{field.name: U64 for field in fields(ClusterConstants)})
MEMBERS = st.lists(
    st.builds(Member, member_id=ID.map(MemberId), seat=st.integers(0, 8).map(Seat), name=NAMES),
    max_size=9,
    unique_by=(lambda member: member.seat, lambda member: member.member_id),
).map(tuple)
MEMBERSHIPS = st.builds(
    Membership, voter_sets=st.lists(MEMBERS, max_size=2).map(tuple), learners=MEMBERS
)
FOUNDINGS = st.builds(
    FoundingBody,
    cluster_id=ID.map(ClusterId),
    epoch=U64,
    members=MEMBERS,
    settings=SETTINGS,
    constants=CONSTANTS,
    attempt=U64,
)
TERMS = st.builds(
    TermBody,
    epoch=U64,
    leadership_term_id=U64.map(LeadershipTermId),
    base=U64.map(LogPosition),
    leader=ID.map(MemberId),
    log_time=I64,
    format_version=U32,
    feature_activated=U32,
    feature_supported=U32,
    possible_loss=st.booleans(),
    membership=MEMBERSHIPS,
    settings=SETTINGS,
)


@given(FOUNDINGS)
def test_should_read_back_a_founding_body(body: FoundingBody) -> None:
    assert decode_founding(encode_founding(body)) == body


@given(TERMS)
def test_should_read_back_a_term_body(body: TermBody) -> None:
    assert decode_term(encode_term(body)) == body


@given(MEMBERSHIPS)
def test_should_read_back_a_membership(membership: Membership) -> None:
    assert decode_membership(encode_membership(membership)) == membership


@given(SETTINGS, CONSTANTS)
def test_should_read_back_settings_and_constants(
    settings: ClusterSettings, constants: ClusterConstants
) -> None:
    assert decode_settings(encode_settings(settings)) == settings
    assert decode_constants(encode_constants(constants)) == constants


def test_should_give_every_setting_and_constant_a_number() -> None:
    assert set(term_codec._SETTINGS.values()) == {f.name for f in fields(ClusterSettings)}
    assert set(term_codec._CONSTANTS.values()) == {f.name for f in fields(ClusterConstants)}


@pytest.mark.parametrize("body", [FOUNDING, TERM], ids=["founding", "term"])
def test_should_skip_an_unknown_optional_field(body: FoundingBody | TermBody) -> None:
    added = encode_records([(OPTIONAL | 77, b"from a later release")])
    if isinstance(body, FoundingBody):
        assert decode_founding(encode_founding(body) + added) == body
    else:
        assert decode_term(encode_term(body) + added) == body


@pytest.mark.parametrize("decode", [decode_founding, decode_term, decode_settings])
def test_should_halt_at_an_unknown_mandatory_field(decode: object) -> None:
    assert callable(decode)
    encoded = {
        decode_founding: encode_founding(FOUNDING),
        decode_term: encode_term(TERM),
        decode_settings: encode_settings(ClusterSettings()),
    }[decode]
    with pytest.raises(UnknownFormat, match="mandatory field 77"):
        decode(encoded + encode_records([(77, b"")]))


def test_should_skip_an_unknown_optional_setting_only() -> None:
    encoded = encode_settings(ClusterSettings(sessions_max=5))
    added = encode_records([(OPTIONAL | 1, pack_u64(1))])
    assert decode_settings(encoded + added) == ClusterSettings(sessions_max=5)


def test_should_halt_at_an_unknown_policy() -> None:
    encoded = bytearray(encode_settings(ClusterSettings()))
    encoded[6] = 9
    with pytest.raises(UnknownFormat, match="on_error 9"):
        decode_settings(bytes(encoded))


def test_should_refuse_a_table_that_lacks_a_setting() -> None:
    encoded = encode_settings(ClusterSettings())
    with pytest.raises(RemoteProtocolError, match="lacks the mandatory field 1"):
        decode_settings(encoded[14:])


def test_should_refuse_records_out_of_order_or_doubled() -> None:
    encoded = encode_settings(ClusterSettings())
    first, second, rest = encoded[:14], encoded[14:28], encoded[28:]
    for shuffled in (second + first + rest, first + first + second + rest):
        with pytest.raises(RemoteProtocolError, match="stands behind"):
            decode_settings(shuffled)


def test_should_refuse_a_setting_of_another_size() -> None:
    encoded = encode_settings(ClusterSettings())[14:]
    for value in (b"\0" * 9, b"\0" * 7):
        with pytest.raises(RemoteProtocolError):
            decode_settings(encode_records([(1, value)]) + encoded)


def test_should_refuse_every_shortened_body() -> None:
    encoded = encode_term(TERM)
    for length in range(len(encoded)):
        with pytest.raises(RemoteProtocolError):
            decode_term(encoded[:length])


@pytest.mark.parametrize(
    "members",
    [
        (ALICE, replace(BOB, seat=Seat(0))),
        (ALICE, replace(BOB, member_id=ALICE.member_id)),
        tuple(Member(MemberId(bytes([n]) * 16), Seat(n), "") for n in range(10)),
    ],
    ids=["seat twice", "id twice", "too many"],
)
def test_should_not_write_a_list_of_members_that_it_would_not_read(
    members: tuple[Member, ...],
) -> None:
    with pytest.raises(LocalProtocolError):
        encode_founding(replace(FOUNDING, members=members))


def test_should_not_read_a_seat_or_member_id_twice() -> None:
    encoded = encode_membership(Membership(voter_sets=((ALICE, BOB),)))
    second_seat = encoded.index(BOB.member_id) + 16
    for offset, patch in ((second_seat, b"\0"), (second_seat - 16, ALICE.member_id)):
        bad = encoded[:offset] + patch + encoded[offset + len(patch) :]
        with pytest.raises(RemoteProtocolError, match="twice"):
            decode_membership(bad)


def test_should_bound_what_a_membership_may_count() -> None:
    with pytest.raises(RemoteProtocolError, match="voter sets"):
        decode_membership(b"\x03")
    with pytest.raises(RemoteProtocolError, match="10 members"):
        decode_membership(b"\x01\x0a")
    with pytest.raises(LocalProtocolError, match="voter sets"):
        encode_membership(Membership(voter_sets=((), (), ())))


@pytest.mark.parametrize(
    "body",
    [
        replace(TERM, epoch=-1),
        replace(TERM, format_version=2**32),
        replace(TERM, log_time=2**63),
        replace(TERM, leader=MemberId(b"short")),
        replace(TERM, membership=Membership(((replace(ALICE, name="x" * 513),),))),
        replace(TERM, membership=Membership(((replace(ALICE, name="\ud800"),),))),
        replace(TERM, membership=Membership(((replace(ALICE, seat=Seat(2**16)),),))),
    ],
)
def test_should_not_write_what_the_layout_cannot_hold(body: TermBody) -> None:
    with pytest.raises(LocalProtocolError):
        encode_term(body)


def test_should_refuse_a_name_that_is_too_long_or_not_text() -> None:
    encoded = encode_membership(Membership(((ALICE,),)))
    length = encoded.index(b"alice") - 2
    with pytest.raises(RemoteProtocolError, match="exceeds 512"):
        decode_membership(encoded[:length] + b"\x01\x02" + bytes(513))
    with pytest.raises(RemoteProtocolError, match="not UTF-8"):
        decode_membership(encoded[: length + 2] + b"\xff" + encoded[length + 3 :])


def test_should_refuse_a_truth_value_that_is_neither() -> None:
    encoded = encode_term(TERM)
    flag = encode_records([(9, b"\x01")])
    with pytest.raises(RemoteProtocolError, match="truth value"):
        decode_term(encoded.replace(flag, encode_records([(9, b"\x02")])))


def test_should_refuse_bytes_behind_a_membership() -> None:
    with pytest.raises(RemoteProtocolError, match="1 bytes too many"):
        decode_membership(encode_membership(Membership(())) + b"\0")


@given(st.binary(max_size=200))
def test_should_raise_nothing_but_protocol_errors_for_garbage(data: bytes) -> None:
    for decode in (decode_founding, decode_term, decode_settings, decode_membership):
        with suppress(RemoteProtocolError):
            decode(data)


@given(st.data())
def test_should_survive_flipped_bytes(data: st.DataObject) -> None:
    encoded = bytearray(encode_term(TERM))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        body = decode_term(bytes(encoded))
    except RemoteProtocolError:
        return
    assert encode_term(body) == bytes(encoded) or any(
        record & OPTIONAL for record in _record_ids(bytes(encoded))
    )


def _record_ids(data: bytes) -> list[int]:
    ids = []
    while data:
        ids.append(int.from_bytes(data[:2], "little"))
        data = data[6 + int.from_bytes(data[2:6], "little") :]
    return ids
