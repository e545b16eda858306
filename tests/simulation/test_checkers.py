"""Every checker is shown a bad history made by hand and must refuse it; good ones must pass."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from quorate.consensus.effects import (
    Halt,
    HaltCode,
    StoreNodeState,
    TransferEnded,
)
from quorate.consensus.messages import (
    AppendFrames,
    Canvass,
    CureTarget,
    Founded,
    FoundingStored,
    Hello,
    RequestVote,
    StandNow,
    TransferToken,
)
from quorate.consensus.types import (
    LOG_START,
    NO_MEMBER,
    NOT_RECOVERING,
    FoundingState,
    FrameType,
    LogMark,
    Recovering,
    RecoveringReason,
    Role,
    Seat,
)
from quorate_simulation.founding import founding_frame, member_id_of
from quorate_simulation.handmade import World
from quorate_simulation.history import InvariantViolation
from quorate_simulation.shadow import ShadowMember


@pytest.fixture
def world() -> World:
    return World()


def refuses(invariant: str) -> AbstractContextManager[object]:
    return pytest.raises(InvariantViolation, match=f"^{invariant}:")


def test_accepts_an_election_a_commit_and_a_follower(world: World) -> None:
    frame = world.committed_term()
    world.commit(world.members[1], frame.end, 1)
    world.checker.on_applied(world.members[1], frame.end)
    world.look(world.members[1])
    assert {"election won"} <= world.history.marks


def test_i1_refuses_two_leaders_of_one_term(world: World) -> None:
    world.elect(world.members[0], 1)
    world.history.votes.clear()
    world.members[2].asked_state = world.members[2].asked_state._replace(candidate_term_id=1)
    with refuses("I3"):  # their term frames differ
        world.lead(world.members[2], 1)
    world.history.frames.clear()
    world.members[1].asked_state = world.members[1].asked_state._replace(candidate_term_id=1)
    with refuses("I1"):
        world.lead(world.members[1], 1)


def test_i1_refuses_a_leader_without_a_majority_of_votes(world: World) -> None:
    world.stand(world.members[0], 1)
    with refuses("I1"):
        world.lead(world.members[0], 1)


def test_i1_refuses_the_same_leader_in_another_life(world: World) -> None:
    leader = world.members[0]
    world.elect(leader, 1)
    world.complete(leader)
    leader.start_life()
    with refuses("I1"):
        world.look(leader, role=Role.LEADER, term=1)


def test_i2_refuses_a_leader_that_cuts_its_log(world: World) -> None:
    world.elect(world.members[0], 1)
    with refuses("I2"):
        world.truncate(world.members[0], world.members[0].disk.end)


def test_i2_refuses_appending_while_handing_over(world: World) -> None:
    leader, other, _ = world.members
    world.elect(leader, 1)
    token = TransferToken(1, leader.log.end.position)
    world.checker.on_send(leader, other.member_id, StandNow(token))
    world.append(leader, world.frame(leader.log.end, 1))
    with refuses("I2"):
        world.look(leader)
    world.append(leader, world.frame(leader.log.end, 1))
    world.checker.on_transfer_ended(leader, TransferEnded(False, Seat(1), "late"))
    world.look(leader)


def test_room_refuses_entries_where_the_disk_has_no_space(world: World) -> None:
    leader = world.members[0]
    world.elect(leader, 1)
    frame = world.frame(leader.log.end, 1)
    leader.room_end = frame.end
    world.append(leader, frame)
    with refuses("room"):
        world.append(leader, world.frame(leader.log.end, 1))


def test_i3_refuses_two_frames_at_one_term_and_position(world: World) -> None:
    frame = world.elect(world.members[0], 1)
    twin = world.codec.encode(
        frame.position, 1, 5, frame.previous_chain, FrameType.ENTRIES, b"12345678", 1
    )
    with refuses("I3"):
        world.follow(world.members[2], 1, twin)


def test_i3_refuses_a_frame_that_does_not_follow(world: World) -> None:
    leader = world.members[0]
    world.elect(leader, 1)
    end = leader.log.end
    for position, chain in ((end.position + 64, end.chain), (end.position, end.chain ^ 1)):
        with refuses("I3"):
            world.append(leader, world.frame(LogMark(position, 1, chain), 1))
        leader.sequence -= 1


def test_i3_refuses_a_frame_whose_bytes_are_wrong(world: World) -> None:
    leader = world.members[0]
    world.elect(leader, 1)
    good = world.frame(leader.log.end, 1)
    with refuses("I3"):
        world.append(leader, good._replace(data=good.data[:64] + b"\1" + good.data[65:]))


def test_i4_refuses_a_leader_that_lacks_a_committed_frame(world: World) -> None:
    world.committed_term()
    third = world.members[2]
    world.history.votes[world.members[1].member_id, 2] = (third.member_id, False)
    world.stand(third, 2)
    with refuses("I4"):
        world.lead(third, 2)


def test_i4_refuses_a_commit_that_a_later_leader_lacks(world: World) -> None:
    first, second, third = world.members
    frame = world.elect(first, 1)
    world.complete(first)
    world.stand(third, 2)
    world.history.votes[second.member_id, 2] = (third.member_id, False)
    world.lead(third, 2)
    world.follow(second, 1, frame)
    with refuses("I4"):
        world.commit(first, frame.end, 1)


def test_i5_refuses_two_committed_frames_at_one_position(world: World) -> None:
    world.committed_term()
    third = world.members[2]
    other = world.codec.encode(
        world.founding.end, 3, 5, world.founding.chain, FrameType.ENTRIES, b"12345678", 1
    )
    world.follow(third, 3, other)
    with refuses("I5"):
        world.commit(third, other.end, 3)


def test_i6_refuses_a_term_that_falls(world: World) -> None:
    world.store(world.members[0], candidate_term_id=4, vote=NO_MEMBER)
    with refuses("I6"):
        world.store(world.members[0], candidate_term_id=3)
    with refuses("I6"):
        world.look(world.members[0], term=-1)


def test_i6_refuses_a_vote_that_changes(world: World) -> None:
    world.store(world.members[0], candidate_term_id=4, vote=world.members[1].member_id)
    with refuses("I6"):
        world.store(world.members[0], vote=world.members[2].member_id)


def test_i6_refuses_losing_the_founded_mark_and_a_sudden_recovering(world: World) -> None:
    with refuses("I6"):
        world.store(world.members[0], founded=False)
    with refuses("I6"):
        world.store(world.members[1], recovering=Recovering(RecoveringReason.DAMAGED, 0, 0))


def test_i6_refuses_a_frame_of_a_term_not_adopted(world: World) -> None:
    with refuses("I6"):
        world.append(world.members[0], world.frame(world.members[0].log.end, 2))


def test_i6_refuses_a_commit_position_that_falls(world: World) -> None:
    frame = world.committed_term()
    with refuses("I6"):
        world.commit(world.members[0], frame.position, 1)


def test_i7_refuses_applying_beyond_the_commit_position(world: World) -> None:
    frame = world.elect(world.members[0], 1)
    with refuses("I7"):
        world.checker.on_applied(world.members[0], frame.end)


def test_i7_refuses_a_commit_that_no_leader_made(world: World) -> None:
    frame = world.elect(world.members[0], 1)
    world.follow(world.members[1], 1, frame)
    with refuses("I7"):
        world.commit(world.members[1], frame.end, 1)


def test_i7_refuses_an_acknowledgement_against_another_leader(world: World) -> None:
    frame = world.elect(world.members[0], 1)
    second = world.members[1]
    world.follow(second, 1, frame)
    world.store(second, candidate_term_id=2, vote=NO_MEMBER)
    with refuses("I7"):
        world.report(second, world.members[2], 2)


def test_i7_refuses_publishing_before_committing(world: World) -> None:
    leader, second, _ = world.members
    frame = world.elect(leader, 1)
    message = AppendFrames(1, leader.log.end, (), frame.end, 1, frame.end)
    world.checker.on_send(leader, second.member_id, message)
    with refuses("I7"):
        world.look(leader)


def test_i8_refuses_a_commit_that_no_quorum_holds(world: World) -> None:
    frame = world.elect(world.members[0], 1)
    world.complete(world.members[0])
    with refuses("I8"):
        world.commit(world.members[0], frame.end, 1)


def test_i8_refuses_committing_an_older_term_by_counting(world: World) -> None:
    first, second, third = world.members
    frame = world.elect(first, 1)
    world.complete(first)
    world.follow(second, 1, frame)
    world.store(third, candidate_term_id=1, vote=NO_MEMBER)
    world.stand(first, 2)
    world.vote(third, first, 2)
    world.lead(first, 2)
    with refuses("I8"):
        world.commit(first, frame.end, 2)


def test_i9_refuses_two_votes_in_one_term(world: World) -> None:
    first, second, third = world.members
    world.stand(first, 1)
    world.stand(third, 1)
    world.vote(second, first, 1)
    second.votes[1] = third.member_id
    with refuses("I9"):
        world.send_vote(second, third, 1)


def test_i9_refuses_the_vote_of_a_wiped_directory(world: World) -> None:
    blank = ShadowMember(member_id_of(2, 2), Seat(2))
    world.stand(world.members[0], 1)
    with refuses("I9"):
        world.vote(blank, world.members[0], 1)


def test_i9_refuses_the_acknowledgement_of_a_wiped_directory(world: World) -> None:
    frame = world.elect(world.members[0], 1)
    blank = ShadowMember(member_id_of(2, 2), Seat(2))
    blank.disk_append(world.founding)
    blank.start_life()
    world.follow(blank, 1, frame)
    with refuses("I9"):
        world.report(blank, world.members[0], 1)


def test_i10_refuses_a_vote_before_it_is_durable(world: World) -> None:
    first, second, _ = world.members
    world.stand(first, 1)
    world.store(second, durable=False, candidate_term_id=1, vote=first.member_id)
    with refuses("I10"):
        world.send_vote(second, first, 1)


def test_i10_refuses_a_candidacy_before_it_is_durable(world: World) -> None:
    first = world.members[0]
    world.store(first, durable=False, candidate_term_id=1, vote=first.member_id)
    request = RequestVote(1, first.log.end, False, None)
    with refuses("I10"):
        world.checker.on_send(first, world.members[1].member_id, request)


def test_i10_refuses_acknowledging_what_is_not_durable(world: World) -> None:
    first, second, _ = world.members
    frame = world.elect(first, 1)
    world.append(second, frame, durable=False)
    with refuses("I10"):
        world.report(second, first, 1, durable=frame.end)


def test_i10_refuses_reporting_a_term_that_is_not_durable(world: World) -> None:
    second = world.members[1]
    world.store(second, durable=False, candidate_term_id=7, vote=NO_MEMBER)
    with refuses("I10"):
        world.report(second, world.members[0], 7, durable=0)


def test_i10_refuses_a_durable_position_that_the_disk_lacks(world: World) -> None:
    frame = world.elect(world.members[0], 1)
    with refuses("I10"):
        world.look(world.members[0], durable=frame.end)


def test_i10_refuses_sequences_out_of_order(world: World) -> None:
    member = world.members[0]
    with refuses("I10"):
        world.checker.on_store(member, StoreNodeState(2, member.asked_state))


def test_i10_refuses_founding_messages_before_they_are_durable(world: World) -> None:
    blank = ShadowMember(member_id_of(2, 2), Seat(2))
    to = world.members[0].member_id
    hello = Hello(
        FoundingState.FOUNDED, b"", None, 0, Role.FOLLOWER, 0, blank.log.end, NOT_RECOVERING, 0
    )
    for message in (hello, FoundingStored(1), Founded(1)):
        with refuses("I10"):
            world.checker.on_send(blank, to, message)


def test_i11_refuses_cutting_below_the_commit_position(world: World) -> None:
    frame = world.committed_term()
    second = world.members[1]
    world.commit(second, frame.end, 1)
    with refuses("I11"):
        world.truncate(second, LogMark(frame.position, 0, frame.previous_chain))


def test_i11_refuses_cutting_what_is_committed_elsewhere(world: World) -> None:
    frame = world.committed_term()
    with refuses("I11"):
        world.truncate(world.members[1], LogMark(frame.position, 0, frame.previous_chain))


def test_i13_refuses_another_term_table(world: World) -> None:
    world.elect(world.members[0], 1)
    with refuses("I13"):
        world.members[0].log_changed = True
        world.look(world.members[0], terms=[])


def test_i14_refuses_positions_inside_a_frame(world: World) -> None:
    frame = world.committed_term()
    leader, second, _ = world.members
    inside = LogMark(frame.position + 64, 1, frame.chain)
    with refuses("I14"):
        world.commit(second, inside.position, 1)
    with refuses("I14"):
        world.truncate(second, inside)
    second.sequence -= 1
    canvass = Canvass(1, inside, False, 1)
    with refuses("I14"):
        world.checker.on_send(second, leader.member_id, canvass)
    message = AppendFrames(1, inside, (), 0, 1, frame.end)
    with refuses("I14"):
        world.checker.on_send(leader, second.member_id, message)
    with refuses("I14"):
        world.checker.on_send(leader, second.member_id, CureTarget(1, inside.position))


def test_i14_refuses_a_log_end_that_is_not_the_end(world: World) -> None:
    world.members[0].log_changed = True
    with refuses("I14"):
        world.look(world.members[0], end=LogMark(0, 0, 0))


def test_refuses_a_vote_for_a_log_that_is_behind(world: World) -> None:
    first, _, third = world.members
    frame = world.elect(first, 1)
    world.complete(first)
    world.stand(third, 2)
    assert frame.end > third.log.end.position
    with refuses("I4"):
        world.vote(first, third, 2)


def test_refuses_a_recovering_member_that_votes_or_stands(world: World) -> None:
    first, second, _ = world.members
    world.stand(first, 1)
    second.lose(0, RecoveringReason.UNSYNCED)
    second.start_life()
    with refuses("recovering"):
        world.vote(second, first, 1)
    with refuses("recovering"):
        world.stand(second, 2)


def test_refuses_a_recovering_member_that_acknowledges(world: World) -> None:
    first, second, _ = world.members
    frame = world.elect(first, 1)
    second.lose(1, RecoveringReason.UNSYNCED)
    second.start_life()
    world.append(second, frame)
    world.report(second, first, 1, recovering=second.state.recovering)
    with refuses("recovering"):
        world.report(second, first, 1)


def test_refuses_a_cure_without_what_was_acknowledged(world: World) -> None:
    world.committed_term()
    second = world.members[1]
    second.lose(1, RecoveringReason.UNSYNCED)
    second.start_life()
    with refuses("recovering"):
        world.store(second, recovering=NOT_RECOVERING)


def test_accepts_a_cure_that_holds_it_again(world: World) -> None:
    frame = world.committed_term()
    second = world.members[1]
    second.lose(1, RecoveringReason.UNSYNCED)
    second.start_life()
    world.append(second, frame)
    world.store(second, recovering=NOT_RECOVERING)
    assert "cure completed" in world.history.marks


def test_refuses_giving_up_what_a_disk_still_holds(world: World) -> None:
    frame = world.committed_term()
    world.history.loss_allowed = True
    for member in world.members:
        member.lose(1 if member is not world.members[1] else 2, RecoveringReason.UNSYNCED)
        member.start_life()
    third = world.members[2]
    for member in world.members:
        world.history.votes[member.member_id, 5] = (third.member_id, True)
    third.asked_state = third.asked_state._replace(candidate_term_id=5)
    assert frame.end == world.members[1].disk.end.position
    with refuses("I4"):
        world.lead(third, 5, possible_loss=True)


def test_refuses_declaring_a_loss_without_everyone(world: World) -> None:
    third = world.members[2]
    third.asked_state = third.asked_state._replace(candidate_term_id=5)
    with refuses("recovering"):
        world.lead(third, 5, possible_loss=True)
    world = World()
    world.history.loss_allowed = True
    third = world.members[2]
    third.asked_state = third.asked_state._replace(candidate_term_id=5)
    world.history.votes[third.member_id, 5] = (third.member_id, True)
    with refuses("I1"):
        world.lead(third, 5, possible_loss=True)


def world_being_founded() -> World:
    """Return three members that hold the founding frame; nobody has the mark."""
    world = World()
    world.history.founding, world.history.voters = None, ()
    for member in world.members:
        member.state = member.state._replace(founded=False)
        member.start_life()
    return world


def test_accepts_a_founded_mark_when_all_seats_hold_the_frame() -> None:
    world = world_being_founded()
    world.store(world.members[0], founded=True)
    assert "founded" in world.history.marks


def test_refuses_a_founded_mark_while_a_seat_lacks_the_frame() -> None:
    world = world_being_founded()
    world.members[2].disk_cut(0)
    with refuses("founding"):
        world.store(world.members[0], founded=True)


def test_refuses_a_founded_mark_while_a_seat_drops_the_frame() -> None:
    world = world_being_founded()
    world.truncate(world.members[2], LOG_START)
    with refuses("founding"):
        world.store(world.members[0], founded=True)


def test_refuses_to_drop_the_frame_that_a_cluster_was_founded_with() -> None:
    world = world_being_founded()
    world.store(world.members[0], founded=True)
    with refuses("founding"):
        world.truncate(world.members[2], LOG_START)


def test_accepts_dropping_the_frame_when_the_mark_is_gone_with_its_directories() -> None:
    for gone in range(3):
        world = world_being_founded()
        for member in world.members[:2]:
            world.store(member, founded=True)
        for member in world.members[:gone]:
            member.gone = True
        if gone < 2:
            with refuses("founding"):
                world.truncate(world.members[2], LOG_START)
        else:
            world.truncate(world.members[2], LOG_START)
            assert world.history.founding is None


def test_refuses_to_drop_the_frame_of_a_cluster_that_has_committed(world: World) -> None:
    world.committed_term()
    for member in world.members[:2]:
        member.gone = True
    world.members[2].state = world.members[2].state._replace(founded=False)
    with refuses("founding"):
        world.truncate(world.members[2], LOG_START)


def test_refuses_a_second_cluster(world: World) -> None:
    others = tuple((m.seat, "x", m.member_id) for m in world.members)
    stranger = ShadowMember(member_id_of(2, 2), Seat(2))
    stranger.disk_append(founding_frame(world.codec, others))
    stranger.start_life()
    with refuses("founding"):
        world.store(stranger, founded=True)


def test_refuses_a_token_that_does_not_name_the_end_of_the_log(world: World) -> None:
    leader, other, _ = world.members
    world.elect(leader, 1)
    for token in (TransferToken(1, 0), TransferToken(2, leader.log.end.position)):
        with refuses("transfer"):
            world.checker.on_send(leader, other.member_id, StandNow(token))


def test_refuses_a_halt(world: World) -> None:
    with refuses("halt"):
        world.checker.on_halt(world.members[0], Halt(HaltCode.DAMAGED, "frame"))
