"""Majorities, exhaustively for up to six voters."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from quorate.consensus.quorum import (
    can_reach_quorum,
    committed_position,
    has_quorum,
    quorum_position,
    quorum_size,
)
from quorate.consensus.types import NO_MEMBERSHIP, LogPosition, Membership, Seat
from quorate_consensus.logs import members_of


@pytest.mark.parametrize("count", range(1, 7))
def test_quorum_position_is_the_highest_that_a_majority_has_reached(count: int) -> None:
    for positions in product(range(4), repeat=count):
        expected = max(p for p in range(4) if sum(q >= p for q in positions) * 2 > count)
        assert quorum_position([LogPosition(p) for p in positions]) == expected


@pytest.mark.parametrize("count", range(1, 7))
def test_two_quorums_always_share_a_voter(count: int) -> None:
    membership = Membership((members_of(count),))
    quorums = [
        set(seats)
        for size in range(count + 1)
        for seats in combinations(range(count), size)
        if has_quorum(membership, {Seat(seat) for seat in seats})
    ]
    assert quorums
    assert all(a & b for a in quorums for b in quorums)
    assert min(len(quorum) for quorum in quorums) == quorum_size(count)


@pytest.mark.parametrize("count", range(1, 7))
def test_a_quorum_stays_possible_exactly_until_the_rest_is_none(count: int) -> None:
    membership = Membership((members_of(count),))
    for size in range(count + 1):
        refusals = {Seat(seat) for seat in range(size)}
        assert can_reach_quorum(membership, refusals) == ((count - size) * 2 > count)


def test_a_quorum_is_possible_only_if_it_is_in_every_voter_set() -> None:
    members = members_of(6)
    joint = Membership((members[:3], members[2:5]), (members[5],))
    assert can_reach_quorum(joint, {Seat(0)})
    assert can_reach_quorum(joint, {Seat(0), Seat(3)})
    assert not can_reach_quorum(joint, {Seat(0), Seat(1)}), "three of five, but one of a set"
    assert not can_reach_quorum(Membership((members[:3],), (members[5],)), {Seat(0), Seat(1)})


def test_seats_that_do_not_vote_count_for_nothing() -> None:
    learner = members_of(4)[3]
    membership = Membership((members_of(3),), (learner,))
    assert not has_quorum(membership, {Seat(0), Seat(3), Seat(7)})
    assert has_quorum(membership, {Seat(0), Seat(1)})


def test_nobody_is_no_quorum_of_nobody() -> None:
    assert not has_quorum(NO_MEMBERSHIP, {Seat(0)})


def test_every_voter_set_must_agree() -> None:
    old, new = members_of(5)[:3], members_of(5)[2:]
    joint = Membership((old, new))
    assert not has_quorum(joint, {Seat(0), Seat(1)})
    assert has_quorum(joint, {Seat(1), Seat(2), Seat(3)})
    held = {Seat(0): 9, Seat(1): 9, Seat(2): 5, Seat(3): 3, Seat(4): 1}
    assert committed_position(joint, lambda seat: LogPosition(held[seat])) == 3
