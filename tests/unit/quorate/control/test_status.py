"""A status fits, travels, and is read with care."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.control.status import (
    ALARMS_MAX,
    DIGESTS_MAX,
    STATUS_BYTES_MAX,
    TEXT_MAX,
    Addresses,
    AlarmRow,
    DigestRow,
    FollowerRow,
    MemberRow,
    MemberState,
    MemberStatus,
    decode_status,
    encode_status,
)
from quorate.errors import RemoteProtocolError

STATUS = MemberStatus(
    status_version=7,
    version="0.1.0",
    cluster_id="c" * 32,
    epoch=0,
    member_id="d" * 32,
    seat=1,
    start_nonce="e" * 16,
    state=MemberState.LEADER,
    role="leader",
    leadership_term_id=3,
    leader=1,
    written_position=4096,
    append_position=2048,
    commit_position=2048,
    service_position=1024,
    caught_up=True,
    founded=True,
    voters=(MemberRow(1, "d" * 32, "127.0.0.1:9020"),),
    members=(FollowerRow(0, connected=True, append_position=64, last_contact_ms=12),),
    digests=(DigestRow(1024, "f" * 32),),
    alarms=(AlarmRow("clocks", "seat 0 is 12 s ahead"),),
    addresses=Addresses("a:1", "a:2", "a:3"),
)


def test_a_status_comes_back_as_it_was() -> None:
    assert decode_status(encode_status(STATUS)) == STATUS
    nobody = replace(STATUS, leader=None)
    assert decode_status(encode_status(nobody)) == nobody


def test_the_largest_status_fits() -> None:
    row = MemberRow(255, "d" * 32, "n" * 260)
    huge = replace(
        STATUS,
        reason="é" * 10_000,
        input_hash="é" * 10_000,
        voters=(row,) * 9,
        learners=(row,) * 9,
        members=tuple(
            FollowerRow(n, connected=True, append_position=1 << 63, state="catching-up")
            for n in range(9)
        ),
        digests=tuple(DigestRow(n, "f" * 32) for n in range(1000)),
        alarms=tuple(AlarmRow(f"{n:03}" * 100, "\U0001f600" * 5_000) for n in range(500)),
        addresses=Addresses(*["n" * 260] * 3),
    )
    read = decode_status(encode_status(huge))
    assert read.alarms == tuple(
        AlarmRow(row.name, row.detail[: TEXT_MAX - 1] + "…") for row in huge.alarms[:ALARMS_MAX]
    )
    assert [digest.position for digest in read.digests] == list(range(1000 - DIGESTS_MAX, 1000))
    assert read.reason.endswith("…")


def test_a_status_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = encode_status(STATUS).ljust(STATUS_BYTES_MAX)
    assert decode_status(longest) == STATUS
    with pytest.raises(RemoteProtocolError, match="more than"):
        decode_status(longest + b" ")


def test_what_a_later_release_adds_is_skipped() -> None:
    mapping = json.loads(encode_status(STATUS))
    mapping["new"] = {"deep": []}
    mapping["members"][0]["new"] = 1
    assert decode_status(json.dumps(mapping).encode()) == STATUS
    mapping["state"] = "hibernating"
    assert decode_status(json.dumps(mapping).encode()).state is MemberState.UNKNOWN


def test_a_status_that_says_little_promises_nothing() -> None:
    """What an earlier release does not say is not taken for good news."""
    said = ("status_version", "version", "cluster_id", "epoch", "member_id", "seat", "start_nonce")
    mapping = json.loads(encode_status(STATUS))
    mapping = {key: mapping[key] for key in (*said, "state")}
    mapping["members"] = [{"seat": 0, "connected": False}]
    read = decode_status(json.dumps(mapping).encode())
    assert (read.leader, read.caught_up, read.founded, read.voters) == (None, False, False, ())
    (row,) = read.members
    for position in (row.append_position, row.service_position, read.written_position):
        assert position == 0
    assert (read.append_position, read.commit_position, read.service_position) == (0, 0, 0)
    assert (row.last_contact_ms, row.state, read.role) == (-1, "", "follower")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seat", "1"),
        ("seat", None),
        ("seat", True),
        ("seat", 1.0),
        ("leader", "1"),
        ("founded", 1),
        ("voters", {}),
        ("voters", [1]),
        ("voters", [{"seat": 1}]),
        ("addresses", None),
    ],
)
def test_a_value_of_the_wrong_type_is_named(key: str, value: object) -> None:
    mapping = json.loads(encode_status(STATUS)) | {key: value}
    with pytest.raises(RemoteProtocolError, match=f"status.{key}"):
        decode_status(json.dumps(mapping).encode())


def test_a_missing_key_is_named() -> None:
    mapping = json.loads(encode_status(STATUS))
    del mapping["cluster_id"]
    with pytest.raises(RemoteProtocolError, match="cluster_id"):
        decode_status(json.dumps(mapping).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"\xff", b"[" * 50_000])
def test_what_is_no_status_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_status(data)


def test_an_endless_answer_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError, match="more than"):
        decode_status(b" " * (STATUS_BYTES_MAX + 1))


@given(st.data())
def test_any_change_of_the_json_gives_a_status_or_a_protocol_error(data: st.DataObject) -> None:
    mapping = json.loads(encode_status(STATUS))
    key = data.draw(st.sampled_from(sorted(mapping)))
    mapping[key] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        )
    )
    try:
        status = decode_status(json.dumps(mapping).encode())
    except RemoteProtocolError:
        return
    assert isinstance(status, MemberStatus)
