"""The bodies of the frames that begin things: the founding frame and the first of each term.

Both are tables of records (``fields``), so a later release can add what an earlier one skips
(an optional id) or must not overlook (a mandatory one). The encoding is canonical: equal values
give equal bytes on every member, which the configuration hash and the founding rely on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quorate.config import ClusterConstants, ClusterSettings, OnError
from quorate.consensus.types import (
    CLUSTER_ID_LENGTH,
    MEMBER_ID_LENGTH,
    SEATS_MAX,
    ClusterId,
    LeadershipTermId,
    LogPosition,
    Member,
    MemberId,
    Membership,
    Seat,
)
from quorate.errors import LocalProtocolError, RemoteProtocolError
from quorate.protocol.fields import (
    OPTIONAL,
    FieldReader,
    decode_records,
    encode_records,
    pack_bytes,
    pack_i64,
    pack_text,
    pack_u8,
    pack_u16,
    pack_u32,
    pack_u64,
    read_record,
)
from quorate.protocol.log_codec import UnknownFormat

NAME_BYTES_MAX = 512
"""A member's name: the address under which the others dial it."""

VOTER_SETS_MAX = 2
"""One set, or the two of a joint configuration."""

_SETTINGS = {
    1: "on_error",
    2: "sessions_max",
    3: "message_bytes_max",
    4: "session_timeout_ns",
    5: "kept_egress_bytes_max",
    6: "kept_egress_total_bytes_max",
    7: "self_messages_max",
    8: "timers_max",
    9: "digest_interval_bytes",
}
_CONSTANTS = {1: "segment_length", 2: "frame_alignment", 3: "frame_bytes_max"}
_ON_ERROR = {int(policy): policy for policy in OnError}

_FOUNDING = "founding frame"
_FOUNDING_CLUSTER_ID = 1
_FOUNDING_EPOCH = 2
_FOUNDING_MEMBERS = 3
_FOUNDING_SETTINGS = 4
_FOUNDING_CONSTANTS = 5
_FOUNDING_ATTEMPT = OPTIONAL | 6
_FOUNDING_FIELDS = frozenset({*range(1, 6), _FOUNDING_ATTEMPT})

_TERM = "new leadership term frame"
_TERM_EPOCH = 1
_TERM_ID = 2
_TERM_BASE = 3
_TERM_LEADER = 4
_TERM_LOG_TIME = 5
_TERM_FORMAT_VERSION = 6
_TERM_FEATURE_ACTIVATED = 7
_TERM_FEATURE_SUPPORTED = 8
_TERM_POSSIBLE_LOSS = 9
_TERM_MEMBERSHIP = 10
_TERM_SETTINGS = 11
_TERM_FIELDS = frozenset(range(1, 12))


@dataclass(frozen=True, slots=True)
class FoundingBody:
    """What a cluster is at its birth."""

    cluster_id: ClusterId
    epoch: int
    members: tuple[Member, ...]
    """The voters, each under its own seat."""
    settings: ClusterSettings
    constants: ClusterConstants
    attempt: int = 0
    """Drawn at random, so that a founding that is discarded and made again is another frame; 0 in
    a frame that does not say."""


@dataclass(frozen=True, slots=True)
class TermBody:
    """What is in force where a leadership term begins."""

    epoch: int
    leadership_term_id: LeadershipTermId
    base: LogPosition
    """Position of this frame itself."""
    leader: MemberId
    log_time: int
    """Nanoseconds since the Unix epoch; equal to the frame's timestamp."""
    format_version: int
    feature_activated: int
    feature_supported: int
    possible_loss: bool
    """Members had to accept a loss to elect this leader."""
    membership: Membership
    settings: ClusterSettings


def encode_founding(body: FoundingBody) -> bytes:
    """Return the body of a founding frame.

    Raises:
        LocalProtocolError: A value does not fit the layout, or a seat or member id is doubled.

    """
    attempt = ((_FOUNDING_ATTEMPT, pack_u64(body.attempt)),) if body.attempt else ()
    return encode_records(
        (
            (_FOUNDING_CLUSTER_ID, pack_bytes(body.cluster_id, CLUSTER_ID_LENGTH)),
            (_FOUNDING_EPOCH, pack_u64(body.epoch)),
            (_FOUNDING_MEMBERS, _encode_members(body.members)),
            (_FOUNDING_SETTINGS, encode_settings(body.settings)),
            (_FOUNDING_CONSTANTS, encode_constants(body.constants)),
            *attempt,
        )
    )


def decode_founding(data: bytes) -> FoundingBody:
    """Return what the body of a founding frame says.

    Raises:
        RemoteProtocolError: Not such a body.
        UnknownFormat: A mandatory field, setting or constant of a later release.

    """
    what = _FOUNDING
    records = decode_records(data, _FOUNDING_FIELDS, what)
    return FoundingBody(
        cluster_id=ClusterId(read_record(records, _FOUNDING_CLUSTER_ID, what, _read_id)),
        epoch=read_record(records, _FOUNDING_EPOCH, what, FieldReader.u64),
        members=read_record(records, _FOUNDING_MEMBERS, what, _read_members),
        settings=read_record(records, _FOUNDING_SETTINGS, what, _read_settings),
        constants=read_record(records, _FOUNDING_CONSTANTS, what, _read_constants),
        attempt=read_record(records, _FOUNDING_ATTEMPT, what, FieldReader.u64)
        if _FOUNDING_ATTEMPT in records
        else 0,
    )


def encode_term(body: TermBody) -> bytes:
    """Return the body of the first frame of a leadership term.

    Raises:
        LocalProtocolError: A value does not fit the layout, or a seat or member id is doubled.

    """
    return encode_records(
        (
            (_TERM_EPOCH, pack_u64(body.epoch)),
            (_TERM_ID, pack_u64(body.leadership_term_id)),
            (_TERM_BASE, pack_u64(body.base)),
            (_TERM_LEADER, pack_bytes(body.leader, MEMBER_ID_LENGTH)),
            (_TERM_LOG_TIME, pack_i64(body.log_time)),
            (_TERM_FORMAT_VERSION, pack_u32(body.format_version)),
            (_TERM_FEATURE_ACTIVATED, pack_u32(body.feature_activated)),
            (_TERM_FEATURE_SUPPORTED, pack_u32(body.feature_supported)),
            (_TERM_POSSIBLE_LOSS, pack_u8(body.possible_loss)),
            (_TERM_MEMBERSHIP, encode_membership(body.membership)),
            (_TERM_SETTINGS, encode_settings(body.settings)),
        )
    )


def decode_term(data: bytes) -> TermBody:
    """Return what the body of a new leadership term frame says.

    Raises:
        RemoteProtocolError: Not such a body.
        UnknownFormat: A mandatory field or setting of a later release.

    """
    what = _TERM
    records = decode_records(data, _TERM_FIELDS, what)
    term = read_record(records, _TERM_ID, what, FieldReader.u64)
    base = read_record(records, _TERM_BASE, what, FieldReader.u64)
    return TermBody(
        epoch=read_record(records, _TERM_EPOCH, what, FieldReader.u64),
        leadership_term_id=LeadershipTermId(term),
        base=LogPosition(base),
        leader=MemberId(read_record(records, _TERM_LEADER, what, _read_id)),
        log_time=read_record(records, _TERM_LOG_TIME, what, FieldReader.i64),
        format_version=read_record(records, _TERM_FORMAT_VERSION, what, FieldReader.u32),
        feature_activated=read_record(records, _TERM_FEATURE_ACTIVATED, what, FieldReader.u32),
        feature_supported=read_record(records, _TERM_FEATURE_SUPPORTED, what, FieldReader.u32),
        possible_loss=read_record(records, _TERM_POSSIBLE_LOSS, what, FieldReader.flag),
        membership=read_record(records, _TERM_MEMBERSHIP, what, _read_membership),
        settings=read_record(records, _TERM_SETTINGS, what, _read_settings),
    )


def encode_settings(settings: ClusterSettings) -> bytes:
    """Return the full table of settings: one record of eight bytes each, by id."""
    return _encode_numbers(settings, _SETTINGS)


def decode_settings(data: bytes) -> ClusterSettings:
    """Return the settings of a table; every setting of this release must be in it.

    Raises:
        RemoteProtocolError: Not a table of settings.
        UnknownFormat: A mandatory setting, or a policy, of a later release.

    """
    values = _decode_numbers(data, _SETTINGS, "settings")
    policy = values.pop("on_error")
    if policy not in _ON_ERROR:
        raise UnknownFormat(
            f"settings have the policy on_error {policy}: written by a later release; "
            "upgrade this member"
        )
    return ClusterSettings(on_error=_ON_ERROR[policy], **values)


def encode_constants(constants: ClusterConstants) -> bytes:
    """Return the table of a cluster's constants, laid out like that of the settings."""
    return _encode_numbers(constants, _CONSTANTS)


def decode_constants(data: bytes) -> ClusterConstants:
    """Return the constants of a table.

    Raises:
        RemoteProtocolError: Not a table of constants.
        UnknownFormat: A mandatory constant of a later release.

    """
    return ClusterConstants(**_decode_numbers(data, _CONSTANTS, "constants"))


def encode_membership(membership: Membership) -> bytes:
    """Return the list of voter sets, then the learners.

    Raises:
        LocalProtocolError: More sets or members than the layout has room for, or a seat or
            member id twice within one list.

    """
    if len(membership.voter_sets) > VOTER_SETS_MAX:
        message = f"{len(membership.voter_sets)} voter sets exceed {VOTER_SETS_MAX}"
        raise LocalProtocolError(message)
    return b"".join(
        (
            pack_u8(len(membership.voter_sets)),
            *(_encode_members(voters) for voters in membership.voter_sets),
            _encode_members(membership.learners),
        )
    )


def decode_membership(data: bytes) -> Membership:
    """Return the membership that fills ``data``.

    Raises:
        RemoteProtocolError: Not a membership.

    """
    reader = FieldReader(data, "membership")
    membership = _read_membership(reader)
    reader.end()
    return membership


def _encode_members(members: tuple[Member, ...]) -> bytes:
    problem = _members_problem(members)
    if problem:
        raise LocalProtocolError(problem)
    pieces = [pack_u8(len(members))]
    for member in members:
        pieces.append(pack_bytes(member.member_id, MEMBER_ID_LENGTH))
        pieces.append(pack_u16(member.seat))
        pieces.append(pack_text(member.name, NAME_BYTES_MAX))
    return b"".join(pieces)


def _read_members(reader: FieldReader) -> tuple[Member, ...]:
    count = reader.u8()
    if count > SEATS_MAX:
        message = f"{count} members exceed {SEATS_MAX}"
        raise RemoteProtocolError(message)
    members = tuple(
        Member(
            member_id=MemberId(_read_id(reader)),
            seat=Seat(reader.u16()),
            name=reader.text(NAME_BYTES_MAX),
        )
        for _ in range(count)
    )
    problem = _members_problem(members)
    if problem:
        raise RemoteProtocolError(problem)
    return members


def _members_problem(members: tuple[Member, ...]) -> str | None:
    """Return what is wrong with a list of members, or None."""
    if len(members) > SEATS_MAX:
        return f"{len(members)} members exceed {SEATS_MAX}"
    if len({member.seat for member in members}) < len(members):
        return "one seat stands twice in a list of members"
    if len({member.member_id for member in members}) < len(members):
        return "one member id stands twice in a list of members"
    return None


def _read_membership(reader: FieldReader) -> Membership:
    sets = reader.u8()
    if sets > VOTER_SETS_MAX:
        message = f"{sets} voter sets exceed {VOTER_SETS_MAX}"
        raise RemoteProtocolError(message)
    voter_sets = tuple(_read_members(reader) for _ in range(sets))
    return Membership(voter_sets, _read_members(reader))


def _read_settings(reader: FieldReader) -> ClusterSettings:
    return decode_settings(reader.rest())


def _read_constants(reader: FieldReader) -> ClusterConstants:
    return decode_constants(reader.rest())


def _read_id(reader: FieldReader) -> bytes:
    return reader.take(MEMBER_ID_LENGTH)


def _encode_numbers(values: ClusterSettings | ClusterConstants, names: Mapping[int, str]) -> bytes:
    return encode_records(
        (record_id, pack_u64(getattr(values, name))) for record_id, name in names.items()
    )


def _decode_numbers(data: bytes, names: Mapping[int, str], what: str) -> dict[str, int]:
    records = decode_records(data, frozenset(names), what)
    return {
        name: read_record(records, record_id, what, FieldReader.u64)
        for record_id, name in names.items()
    }
