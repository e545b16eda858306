"""What a member says about itself, and its JSON form.

The reader skips keys it does not know and the writer never drops one, so that members, tools
and operators of neighbouring releases understand each other.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from quorate.errors import RemoteProtocolError

STATUS_BYTES_MAX = 64 * 1024
ALARMS_MAX = 16
DIGESTS_MAX = 8
TEXT_MAX = 300
"""Characters of one free text; what is longer is cut, so that a status always fits."""

_Value = TypeVar("_Value")


class MemberState(StrEnum):
    """What a member is doing, in one word; the first that applies, in this order."""

    STARTING = "starting"
    """Reading its directory; knows nothing yet."""
    STOPPING = "stopping"
    """Asked to end."""
    DIVERGED = "diverged"
    """A majority computed something else: no longer serves."""
    BLANK = "blank"
    """An empty directory that belongs to no cluster yet."""
    FOUNDING = "founding"
    """Holds a founding frame and waits for the other seats."""
    FOUNDING_BROKEN = "founding-broken"
    """A seat changed during the founding; ``reason`` names it. Discard and found anew."""
    VOLUME_LOST = "volume-lost"
    """An empty directory under a seat that the cluster knows with another; stays out."""
    NOT_A_MEMBER = "not-a-member"
    """The cluster knows this seat under another member id; stays out."""
    RECOVERING = "recovering"
    """May have lost what it acknowledged: catches up, has no vote."""
    LEARNER = "learner"
    """Receives the log without a vote."""
    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"
    UNKNOWN = "unknown"
    """Read from a member of a later release; never written."""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One row of the membership, as the log says."""

    seat: int
    member_id: str
    """32 hexadecimal digits."""
    name: str
    """``host:port`` under which the others dial it."""


@dataclass(frozen=True, slots=True)
class FollowerRow:
    """Another member as the leader sees it; also links as any member sees them."""

    seat: int
    connected: bool
    append_position: int = 0
    """Durable there and checked against this leader; 0 when this member does not lead."""
    service_position: int = 0
    last_contact_ms: int = -1
    """Since it was last heard, in loop time, to which a stall adds little; -1 for never."""
    state: str = ""
    """What is special about it: ``recovering``, ``volume-lost``, ``catching-up`` or empty."""


@dataclass(frozen=True, slots=True)
class DigestRow:
    """The rolling digest of the service at a position that all members compare."""

    position: int
    digest: str


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """Something that a human should see."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where this member is reached, each ``host:port``."""

    client: str = ""
    member: str = ""
    control: str = ""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """The answer to ``GET /status``. Positions are byte offsets in the log."""

    status_version: int
    """Rises with every change worth telling, within one life of the process: see ``?after=``."""
    version: str
    """Of the software."""
    cluster_id: str
    """32 hexadecimal digits, as are member ids."""
    epoch: int
    member_id: str
    seat: int
    start_nonce: str
    """16 hexadecimal digits: one life of the process."""
    state: MemberState
    reason: str = ""
    """Why it is in this state, where that needs words."""
    role: str = "follower"
    """``follower``, ``candidate`` or ``leader``."""
    leadership_term_id: int = 0
    leader: int | None = None
    """Seat of the leader of this term, as far as this member knows."""
    written_position: int = 0
    append_position: int = 0
    commit_position: int = 0
    service_position: int = 0
    caught_up: bool = False
    """Follows a leader of the present term and is within a bound of its written position."""
    founded: bool = False
    durability: str = "fsync"
    storage: str = "space"
    """``space``; ``low``: the disk has no space for another segment of log; ``full``: this leader
    refuses what clients send, as too few members have room for more log."""
    recovering: str = ""
    """Why this member may have lost what it acknowledged: ``damaged``, ``unsynced`` or empty."""
    possible_loss: bool = False
    """The present term began without proof that everything acknowledged is in it."""
    voters: tuple[MemberRow, ...] = ()
    learners: tuple[MemberRow, ...] = ()
    members: tuple[FollowerRow, ...] = ()
    digests: tuple[DigestRow, ...] = ()
    """The latest ones, newest last."""
    alarms: tuple[AlarmRow, ...] = ()
    addresses: Addresses = Addresses()
    configuration_hash: str = ""
    input_hash: str = ""
    """What the supervisor gave this process at its start."""


def encode_status(status: MemberStatus) -> bytes:
    """Return the JSON form, at most ``STATUS_BYTES_MAX`` long.

    Long texts are cut and the newest digests and first alarms kept, so an answer always fits.
    """
    alarms = tuple(
        AlarmRow(_cut(alarm.name), _cut(alarm.detail)) for alarm in status.alarms[:ALARMS_MAX]
    )
    bounded = replace(
        status,
        reason=_cut(status.reason),
        input_hash=_cut(status.input_hash),
        digests=status.digests[-DIGESTS_MAX:],
        alarms=alarms,
    )
    text = json.dumps(asdict(bounded), separators=(",", ":"), ensure_ascii=False)
    data = text.encode("utf-8", "replace")
    assert len(data) <= STATUS_BYTES_MAX, f"status of {len(data)} bytes in spite of its bounds"
    return data


def decode_status(data: bytes) -> MemberStatus:
    """Read the JSON form; keys that this release does not know are skipped.

    Raises:
        RemoteProtocolError: Not JSON, or a key is missing or has the wrong type.

    """
    if len(data) > STATUS_BYTES_MAX:
        raise RemoteProtocolError(f"a status of more than {STATUS_BYTES_MAX} bytes")
    try:
        mapping = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"a status that is not JSON: {error}") from error
    return _read(MemberStatus, mapping, "status")


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _read(wanted: type[_Value], value: object, where: str) -> _Value:
    """Return ``value`` as the dataclass ``wanted``, its fields read by their annotations."""
    if not isinstance(value, Mapping):
        raise RemoteProtocolError(f"{where} is not an object")
    hints = get_type_hints(wanted)
    known = [item.name for item in fields(wanted) if item.name in value]  # type: ignore[arg-type]
    arguments = {name: _read_as(hints[name], value[name], f"{where}.{name}") for name in known}
    try:
        return wanted(**arguments)
    except TypeError as error:
        raise RemoteProtocolError(f"{where} lacks a key: {error}") from error


def _read_as(hint: object, value: object, where: str) -> object:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise RemoteProtocolError(f"{where} is not a list")
        (row, _) = get_args(hint)
        return tuple(_read_as(row, item, where) for item in value)
    if get_origin(hint) in (Union, types.UnionType):
        wanted = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None else _read_as(wanted[0], value, where)
    assert isinstance(hint, type), f"no field of a status is a {hint}"
    if is_dataclass(hint):
        return _read(hint, value, where)
    if issubclass(hint, MemberState):
        return next((state for state in MemberState if state == value), MemberState.UNKNOWN)
    if not isinstance(value, hint) or isinstance(value, bool) != (hint is bool):
        raise RemoteProtocolError(f"{where} is {value!r}, not of type {hint.__name__}")
    return value
