"""What a leader neither repeats nor puts off, and for how long it trusts what it has heard."""

from __future__ import annotations

import pytest

from quorate.consensus.config import MS, ConsensusConfig
from quorate.consensus.core import Deadline
from quorate.consensus.messages import AppendFrames
from quorate.consensus.types import Role, Seat
from quorate_consensus.driven import report
from quorate_consensus.leaders import frames_to, streaming

SMALL = ConsensusConfig(
    frame_bytes_max=1024, segment_length=4096, append_bytes_max=1024, window_bytes=2048
)
TIMEOUT_MS = SMALL.election_timeout_min_ns // MS


def test_what_was_sent_since_a_heartbeat_is_not_taken_for_lost_by_its_answer() -> None:
    """Else a follower with a full window is sent all of it again with each round."""
    leader = streaming(config=SMALL)
    for _ in range(6):
        leader.propose(900)
    sent = frames_to(leader, 1)
    leader.fire(Deadline.HEARTBEAT)
    before = leader.leader._round - 1
    leader.receive(1, report(leader, checked=sent[0].end, round_number=before))
    more = frames_to(leader, 1)[len(sent) :]
    assert more, "the report has freed some of the window"
    leader.clear()
    leader.receive(1, report(leader, checked=sent[-1].end))
    assert frames_to(leader, 1)[0].position == more[-1].end


def test_what_a_quorum_holds_is_committed_while_more_is_on_its_way() -> None:
    leader = streaming()
    leader.by_hand = True
    leader.propose()
    part = leader.core.log.end.position
    leader.propose()
    for seat in (1, 2):
        leader.receive(seat, report(leader, checked=part))
    assert leader.module.commit_position == part


def test_new_commits_do_not_put_off_what_a_follower_is_owed() -> None:
    leader = streaming()
    ends = []
    for _ in range(4):
        leader.propose()
        ends.append(leader.core.log.end.position)
    leader.clear()
    for end in ends:
        leader.receive(1, report(leader, checked=end))
        leader.tick(2)
    assert leader.sent(AppendFrames, 2), "it waits since the first of them"


@pytest.mark.parametrize("rests", [True, False])
def test_a_new_life_counts_as_heard_for_as_long_as_the_one_before(*, rests: bool) -> None:
    """A follower that starts again has not been silent; one that only dials has said nothing."""
    leader = streaming()
    leader.unlink(2)
    leader.wait(TIMEOUT_MS - 100)
    leader.accept(1)
    for life in range(2, 12):
        leader.link(1, life=life)
        leader.wait(49)
        leader.fire(Deadline.CHECK_QUORUM)
        assert leader.has_role(Role.LEADER)
        if rests:
            break
    leader.wait(TIMEOUT_MS - 49 if rests else 10)
    leader.fire(Deadline.CHECK_QUORUM)
    assert leader.has_role(Role.FOLLOWER)


def test_a_strange_directory_takes_nothing_of_what_the_member_has_promised() -> None:
    leader = streaming()
    held = leader.leader.progress[Seat(1)]
    leader.link(1, life=2, formatting=1)
    assert leader.leader.progress[Seat(1)] is held
    assert held.match == leader.core.log.end.position
