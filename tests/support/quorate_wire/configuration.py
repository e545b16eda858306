"""A configuration and a status that are as full as they usually are."""

from __future__ import annotations

from quorate.config import MemberConfig, NodeConfig, SeatAddress
from quorate.consensus.types import ClusterId, Seat
from quorate.control.status import (
    Addresses,
    AlarmRow,
    DigestRow,
    FollowerRow,
    MemberRow,
    MemberState,
    MemberStatus,
)

SEATS = tuple(SeatAddress(Seat(n), "127.0.0.1", 1 + n, 11 + n, 21 + n) for n in range(3))
VALID = NodeConfig(member=MemberConfig(ClusterId(b"c" * 16), Seat(0), SEATS, "/d", "m:C"))
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
