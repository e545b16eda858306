"""How followers learn of a commit position: with the next frames, or alone soon after."""

from __future__ import annotations

from quorate.consensus.core import Deadline
from quorate.consensus.messages import AppendFrames
from quorate.consensus.types import Role
from quorate_consensus.driven import report
from quorate_consensus.leaders import streaming


def test_a_commit_position_travels_with_the_next_frames() -> None:
    leader = streaming()
    leader.propose()
    leader.clear()
    leader.accept(1)
    assert not leader.sent(AppendFrames, 1) + leader.sent(AppendFrames, 2)
    committed = leader.module.commit_position
    leader.propose()
    for seat in (1, 2):
        assert [m.commit_position for m in leader.sent(AppendFrames, seat)] == [committed]
    leader.fire(Deadline.PUBLISH)
    assert len(leader.sent(AppendFrames, 1)) == 1, "nothing is owed any more"


def test_a_commit_position_that_no_frame_carries_travels_alone_soon() -> None:
    leader = streaming()
    leader.propose()
    leader.clear()
    leader.accept(1)
    leader.tick(4.9)
    assert not leader.sent(AppendFrames, 2)
    leader.tick(0.1)
    for seat in (1, 2):
        (message,) = leader.sent(AppendFrames, seat)
        assert (message.commit_position, message.frames) == (leader.core.log.end.position, ())


def test_waiting_for_frames_does_not_put_off_a_commit_position_for_ever() -> None:
    leader = streaming()
    leader.propose()
    leader.accept(1)
    leader.clear()
    for _ in range(3):
        leader.tick(2)
        leader.accept(1)
    assert leader.sent(AppendFrames, 2)


def test_what_frames_have_told_does_not_hasten_what_is_committed_behind_them() -> None:
    leader = streaming()
    leader.propose()
    leader.accept(1)
    leader.tick(4)
    leader.propose()
    leader.accept(1)
    leader.clear()
    leader.tick(4.9)
    assert not leader.sent(AppendFrames, 2), "the next frame would have brought it"
    leader.tick(0.1)
    assert [m.commit_position for m in leader.sent(AppendFrames, 2)] == [
        leader.core.log.end.position
    ]


def test_no_commit_position_is_published_by_who_leads_no_more() -> None:
    leader = streaming()
    leader.propose()
    leader.accept(1)
    leader.receive(1, report(leader, term=leader.module.term + 1))
    assert leader.module.role is Role.FOLLOWER
    assert Deadline.PUBLISH not in leader.core.deadlines


def test_who_is_about_to_end_tells_its_followers_at_once() -> None:
    leader = streaming()
    leader.propose()
    leader.clear()
    leader.accept(1)
    leader.module.publish_commit(leader.now)
    leader.drain()
    for seat in (1, 2):
        (message,) = leader.sent(AppendFrames, seat)
        assert message.commit_position == leader.core.log.end.position
