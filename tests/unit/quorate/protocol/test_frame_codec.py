"""What the codec of a member puts into the first frame of a term."""

from __future__ import annotations

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.types import (
    Chain,
    ClusterId,
    FrameType,
    LeadershipTermId,
    LogPosition,
    Member,
    MemberId,
    Membership,
    Seat,
)
from quorate.protocol.frame_codec import LogFrameCodec
from quorate.protocol.term_codec import decode_founding, decode_term

ALICE = Member(MemberId(b"a" * 16), Seat(0), "alice:9020")
OWN = LogFrameCodec(ClusterId(b"c" * 16), 3, ClusterSettings(sessions_max=5), ClusterConstants())
OTHERS = LogFrameCodec(OWN.cluster_id, 3, ClusterSettings(sessions_max=9), ClusterConstants())


def test_a_term_has_the_settings_of_the_log_and_the_versions_of_this_release() -> None:
    founding_body = OTHERS.founding_body((ALICE,), 1)
    founding = OTHERS.encode(
        LogPosition(0), LeadershipTermId(0), 0, Chain(0), FrameType.FOUNDING, founding_body
    )
    membership = Membership(((ALICE,),))
    term, base = LeadershipTermId(4), founding.end
    body = OWN.term_body(founding, term, base, ALICE.member_id, 7, membership, possible_loss=True)
    said = decode_term(body)
    assert said.settings == decode_founding(founding_body).settings == OTHERS.settings
    assert (said.epoch, said.leadership_term_id, said.base, said.log_time) == (3, 4, base, 7)
    assert (said.format_version, said.feature_activated, said.feature_supported) == (1, 1, 1)
    assert (said.leader, said.membership) == (ALICE.member_id, membership)
    assert said.possible_loss
