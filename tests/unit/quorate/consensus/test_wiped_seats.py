"""A directory that the log does not know is linked in a member's seat: as good as nobody there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quorate.consensus.core import Deadline
from quorate.consensus.effects import IngressChanged, IngressState
from quorate.consensus.election import ElectionState
from quorate.consensus.messages import AppendFrames, RoomReport, StandNow
from quorate.consensus.types import LogPosition, Role
from quorate_consensus.driven import Driven, canvass_answer, hello
from quorate_consensus.leaders import frames_to, leading, streaming


def wipe(member: Driven, seat: int) -> None:
    """Let another directory connect from this seat, which answers nothing that is asked of it."""
    member.link(seat, life=2, formatting=1)


def leave(member: Driven, seat: int) -> None:
    """Break the link to this seat."""
    member.unlink(seat)


Goes = Callable[[Driven, int], None]
goes = pytest.mark.parametrize("goes", [wipe, leave])


@goes
def test_leadership_is_handed_to_the_member_that_is_there(goes: Goes) -> None:
    leader = streaming()
    goes(leader, 1)
    assert leader.leader.best_successor() == 2
    refusal = leader.module.request_transfer(leader.now, leader.module.membership.voters[1].seat)
    assert refusal is not None
    leader.module.on_storage_stalled(leader.now, stalled=True)
    leader.drain()
    assert leader.sent(StandNow, 2)
    assert not leader.sent(StandNow, 1)


@goes
def test_nothing_of_the_log_is_sent_to_its_seat(goes: Goes) -> None:
    leader = streaming()
    goes(leader, 1)
    leader.propose()
    assert not frames_to(leader, 1)
    assert len(frames_to(leader, 2)) == 1
    assert not any(message.frames for message in leader.sent(AppendFrames, 1))


@goes
def test_its_disk_is_no_room_for_the_log(goes: Goes) -> None:
    leader = streaming()
    goes(leader, 1)
    full = RoomReport(leader.module.term, LogPosition(leader.core.log.end.position))
    leader.receive(2, full)
    assert leader.of(IngressChanged) == [IngressChanged(IngressState.STORAGE_FULL)]


@goes
def test_no_attempt_waits_for_its_answer(goes: Goes) -> None:
    member = Driven()
    member.link(1, 2)
    goes(member, 1)
    asked = member.canvass()
    assert member.module.election.state is ElectionState.CANVASS
    member.receive(2, canvass_answer(asked, term=0, granted=False))
    assert member.module.election.state is ElectionState.WAITING
    asked = member.canvass()
    member.receive(2, canvass_answer(asked, term=0))
    assert member.module.election.state is ElectionState.BALLOT
    member.unlink(2)
    assert member.module.election.state is ElectionState.WAITING


@goes
def test_its_claim_holds_up_nobody(goes: Goes) -> None:
    member = Driven(seat=2)
    member.link(0, 1)
    member.receive(0, hello(end=member.core.log.end))
    member.receive(1, hello(end=member.core.log.end))
    goes(member, 0)
    member.module.election.on_unheard("as the test wants it", fast=True)
    assert member.core.deadlines[Deadline.STAND] - member.now.loop == (
        member.core.config.canvass_rank_ns
    )


def test_the_member_itself_counts_again_when_it_is_back() -> None:
    leader = leading()
    wipe(leader, 1)
    leader.link(1)
    leader.accept(1, 2)
    assert leader.has_role(Role.LEADER)
    assert leader.leader.best_successor() == 1
    leader.clear()
    leader.propose()
    assert len(frames_to(leader, 1)) == 1
