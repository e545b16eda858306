"""Bodies of a founding frame and of a term's first frame, as two members would have them."""

from __future__ import annotations

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.types import (
    ClusterId,
    LeadershipTermId,
    LogPosition,
    Member,
    MemberId,
    Membership,
    Seat,
)
from quorate.protocol.term_codec import FoundingBody, TermBody

ALICE = Member(MemberId(b"a" * 16), Seat(0), "alice:9020")
BOB = Member(MemberId(b"b" * 16), Seat(1), "bob:9020")
FOUNDING = FoundingBody(
    ClusterId(b"c" * 16), 0, (ALICE, BOB), ClusterSettings(), ClusterConstants()
)
TERM = TermBody(
    epoch=0,
    leadership_term_id=LeadershipTermId(3),
    base=LogPosition(4096),
    leader=ALICE.member_id,
    log_time=1_700_000_000_000_000_000,
    format_version=1,
    feature_activated=0,
    feature_supported=0,
    possible_loss=True,
    membership=Membership(voter_sets=((ALICE, BOB),)),
    settings=ClusterSettings(),
)
