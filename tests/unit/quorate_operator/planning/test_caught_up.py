"""Who counts for the majority that a disruption must leave: each way not to count is tried."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from quorate.control.status import MemberState
from quorate_kubernetes_model import looks
from quorate_operator.planning.actions import EvictPod, Transfer
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan

Way = Callable[[Observed, int], Observed]


def far(look: Observed, seat: int) -> Observed:
    """Return the look with a member far behind, of which it has not heard itself."""
    leader = looks.leader_of(look)
    word = look.members[leader].status
    assert word is not None
    rows = tuple(replace(r, append_position=0) if r.seat == seat else r for r in word.members)
    return looks.with_word(look, leader, members=rows, written_position=1 << 30)


def apart(look: Observed, seat: int) -> Observed:
    """Return the look with a member that its leader does not hear."""
    leader = looks.leader_of(look)
    word = look.members[leader].status
    assert word is not None
    rows = tuple(replace(r, connected=False) if r.seat == seat else r for r in word.members)
    return looks.with_word(look, leader, members=rows)


def misplaced(look: Observed, seat: int) -> Observed:
    """Return the look with a member whose word is about another seat."""
    member = look.members[seat]
    assert member.status is not None
    member = replace(member, status=replace(member.status, seat=9))
    return replace(look, members={**look.members, seat: member})


WAYS: dict[str, Way] = {
    "by its own word": lambda look, seat: looks.with_word(look, seat, caught_up=False),
    "of an older term": lambda look, seat: looks.with_word(look, seat, leadership_term_id=0),
    "follows another": lambda look, seat: looks.with_word(look, seat, leader=seat),
    "follows nobody": lambda look, seat: looks.with_word(look, seat, leader=None),
    "not a voter": lambda look, seat: looks.with_word(look, seat, member_id="f" * 32),
    "diverged": lambda look, seat: looks.with_word(look, seat, state=MemberState.DIVERGED),
    "of another cluster": lambda look, seat: looks.with_word(look, seat, cluster_id="e" * 32),
    "of another seat": misplaced,
    "just fallen silent": lambda look, seat: looks.silent(look, seat, 1),
    "silent for long": lambda look, seat: looks.silent(look, seat, 40),
    "in another pod": lambda look, seat: looks.with_pod(look, seat, uid="another"),
    "far behind": far,
    "not connected": apart,
}


@pytest.mark.parametrize("way", WAYS)
def test_who_does_not_count_leaves_nobody_to_spare(way: str) -> None:
    look = looks.outdated(looks.settled(5), *range(5))
    first, second, victim, *_ = looks.followers_of(look)
    for seat in (first, second):
        look = WAYS[way](look, seat)
    step = looks.disruption(plan(look))
    # Three count, and none of them may go; who is of no use may.
    assert step is None or (not isinstance(step, Transfer) and step.seat in (first, second)), step
    alone = looks.disruption(plan(looks.with_word(look, victim, caught_up=False)))
    assert alone is None, "two of five are left, so nobody goes who has a vote"


@pytest.mark.parametrize("way", [*WAYS, "leaving"])
def test_leadership_moves_only_within_a_majority_that_counts(way: str) -> None:
    look = looks.with_request(looks.settled(5), "any/1")
    look = looks.later(look, 1, plan(look))
    assert isinstance(looks.disruption(plan(look)), Transfer)
    first, second, *_, last = looks.followers_of(look)
    for seat in (first, second):
        look = looks.silent(look, seat, 10)
    assert isinstance(looks.disruption(plan(look)), Transfer), "three of five are a majority"
    change = WAYS.get(way, lambda seen, seat: looks.with_pod(seen, seat, deleting=True))
    assert looks.disruption(plan(change(look, last))) is None


@pytest.mark.parametrize("for_s", [3, 40])
def test_a_silent_member_does_not_go_where_its_vote_is_needed(for_s: float) -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    first, second = looks.followers_of(look)
    look = looks.silent(looks.silent(look, first, for_s), second, for_s)
    for seat in (first, second):
        look = looks.with_pod(look, seat, ready=False)
    assert looks.disruption(plan(look)) is None
    one = looks.silent(looks.outdated(looks.settled(), 0, 1, 2), first, for_s)
    step = looks.disruption(plan(one))
    assert isinstance(step, EvictPod)
    assert step.seat == first
