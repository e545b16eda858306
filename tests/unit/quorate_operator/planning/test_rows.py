"""Rows, conditions and times of a status, each with what it is there for."""

import itertools
from dataclasses import replace

import pytest

from quorate.control.status import MemberState
from quorate_kubernetes_model import looks
from quorate_operator.planning import times
from quorate_operator.planning.health import START_S
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason

WORST_FIRST = [
    MemberState.FOUNDING_BROKEN,
    MemberState.DIVERGED,
    MemberState.VOLUME_LOST,
    MemberState.NOT_A_MEMBER,
    "dead",
    "missing",
    MemberState.RECOVERING,
]
"""What only a human can mend comes before what may pass."""


def with_fault(look: Observed, seat: int, fault: MemberState | str) -> Observed:
    if isinstance(fault, MemberState):
        return looks.with_word(look, seat, state=fault, caught_up=False, reason="so it is")
    return looks.dead(look, seat) if fault == "dead" else looks.without_pod(look, seat)


@pytest.mark.parametrize(("worse", "other"), list(itertools.combinations(WORST_FIRST, 2)))
def test_of_two_members_that_are_not_well_the_worse_one_is_told(
    worse: MemberState | str, other: MemberState | str
) -> None:
    look = looks.settled(5)
    first, second = looks.followers_of(look)[:2]
    alone = plan(with_fault(look, second, worse))
    made = plan(with_fault(with_fault(look, second, worse), first, other))
    assert looks.reason_of(made, Condition.DEGRADED) is looks.reason_of(alone, Condition.DEGRADED)
    assert f"orders-{second} is" in looks.message_of(made, Condition.DEGRADED)


def test_the_generation_that_was_judged_stands_in_each_condition() -> None:
    look = looks.settled()
    look = replace(look, resource=replace(look.resource, generation=17))
    made = plan(looks.dead(look, 1))
    assert {row.observed_generation for row in made.status.conditions} == {17}
    assert made.status.observed_generation == 17


@pytest.mark.parametrize("seconds", [1_790_000_000.0, 1_790_000_000.999])
def test_no_time_of_a_status_is_in_the_future(seconds: float) -> None:
    assert times.read(times.written(seconds)) == 1_790_000_000.0


def test_a_member_is_known_by_its_id_and_its_volume_also_while_it_is_not_heard() -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    word = look.members[seat].status
    assert word is not None
    for other in (looks.without_pod(look, seat), looks.dead(look, seat)):
        (row,) = (row for row in plan(other).status.members if row.seat == seat)
        assert (row.member_id, row.pvc_uid) == (word.member_id, look.claims[seat].uid)


def test_a_container_that_has_just_ended_is_starting_and_later_broken() -> None:
    """A kubelet begins it again in seconds, and a warning for that is none."""
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    for for_s, reason in ((START_S - 1, Reason.ALL_MEMBERS_WELL), (START_S, Reason.MEMBER_BROKEN)):
        ended = looks.dead(look, seat, "Completed")
        ended = looks.with_pod(ended, seat, not_running_since_s=look.now_s - for_s)
        assert looks.reason_of(plan(ended), Condition.DEGRADED) is reason, f"after {for_s} s"


@pytest.mark.parametrize("is_update", [False, True])
def test_what_is_waited_for_is_stuck_exactly_at_its_deadline(*, is_update: bool) -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    look = looks.outdated(look, 0, 1, 2) if is_update else look
    look = looks.without_pod(look, seat)
    first = plan(look)
    assert first.status.operation is not None
    left_s = times.read(first.status.operation.deadline) - look.now_s
    early = plan(looks.later(look, left_s - 1, first))
    wanted = Reason.UPDATE_STUCK if is_update else Reason.MEMBER_MISSING
    assert looks.reason_of(early, Condition.PROGRESSING) is not wanted
    assert early.look_again_s is not None
    assert early.look_again_s <= 1
    late = plan(looks.later(look, left_s, early))
    assert looks.reason_of(late, Condition.PROGRESSING) is wanted, "with what is wrong, if known"
    assert "no progress since" in looks.message_of(late, Condition.PROGRESSING)


def test_each_member_that_is_waited_for_has_a_deadline_of_its_own() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    made = plan(looks.without_pod(look, first))
    late = looks.later(looks.without_pod(look, second), 1000, made)
    other = plan(late)
    assert looks.reason_of(other, Condition.PROGRESSING) is Reason.REPAIRING, "it has just begun"
    assert other.status.operation is not None
    assert times.read(other.status.operation.since) == int(late.now_s)


def test_a_pause_is_no_warning_and_its_end_is_told_once() -> None:
    look = looks.settled()
    paused = looks.with_spec(look, paused=True)
    made = plan(paused)
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.PAUSED
    assert not made.notes
    resumed = plan(looks.later(look, 1, made))
    assert [note.reason for note in resumed.notes] == [Reason.RESUMED]
    assert not plan(looks.later(look, 1, resumed)).notes


@pytest.mark.parametrize("ago_s", [0, -3600])
def test_who_has_just_fallen_silent_counts_for_nothing_whatever_the_clock_does(ago_s: int) -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(looks.silent(look, first, ago_s), second)
    assert looks.disruption(plan(look)) is None, "without it no majority is known to be there"


@pytest.mark.parametrize("silent_s", [1.0, 12.5, 29.0])
def test_a_member_that_falls_silent_is_looked_at_when_it_counts_as_broken(silent_s: float) -> None:
    seat = looks.followers_of(looks.settled())[0]
    look = looks.silent(looks.settled(), seat, silent_s)
    again = plan(look).look_again_s
    assert again is not None
    assert again <= 30 - silent_s
