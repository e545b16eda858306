"""A change of where members may run meets an update of what they run."""

from quorate.control.status import DigestRow, MemberState
from quorate_kubernetes_model import looks
from quorate_operator.planning.actions import EvictPod
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


def moved(look: Observed, *seats: int) -> Observed:
    """Return the look with pods that were placed as their user no longer wants it."""
    for seat in seats:
        look = looks.with_pod(look, seat, placement_hash="another place")
    return look


def test_new_code_is_compared_wherever_it_is_placed() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    leader = looks.leader_of(look)
    look = moved(looks.outdated(look, second, leader), first, second, leader)
    look = looks.with_word(look, leader, digests=(DigestRow(500, "cc"),))
    made = plan(looks.with_word(look, first, digests=(DigestRow(100, "aa"),)))
    assert looks.disruption(made) is None, "it has not replayed up to 500 yet"
    assert f"comparing what orders-{first} answers" in looks.message_of(made, Condition.PROGRESSING)
    agreed = plan(looks.with_word(look, first, digests=(DigestRow(500, "cc"),)))
    assert isinstance(looks.disruption(agreed), EvictPod)


def test_the_last_old_answer_is_odd_also_when_the_others_are_to_move() -> None:
    look = looks.settled()
    leader = looks.leader_of(look)
    other, odd = looks.followers_of(look)
    look = moved(looks.outdated(look, odd), leader, other)
    step = looks.disruption(plan(looks.answering(look, {odd: "old", other: "new", leader: "new"})))
    assert isinstance(step, EvictPod)
    assert step.seat == odd, "the majority runs what is wanted and agrees"


def test_new_code_is_no_measure_for_other_new_code() -> None:
    look = looks.settled(5)
    leader = looks.leader_of(look)
    near, *old = looks.followers_of(look)
    look = moved(looks.outdated(look, *old), near)
    look = looks.answering(look, dict.fromkeys((near, leader), "new") | dict.fromkeys(old, "old"))
    made = plan(look)
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED


def test_a_member_that_is_to_move_is_not_the_odd_one_out() -> None:
    look = looks.settled(5)
    leader = looks.leader_of(look)
    near, old, *others = looks.followers_of(look)
    look = moved(looks.outdated(look, old), near)
    look = looks.answering(look, {near: "odd"} | dict.fromkeys((leader, old, *others), "even"))
    diverged = looks.with_word(look, near, state=MemberState.DIVERGED, caught_up=False)
    for seen in (look, diverged):
        made = plan(seen)
        assert looks.disruption(made) is None, "its code is the wanted one: its turn heals nothing"
        assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED


def test_a_move_that_meets_a_diverged_member_asks_for_no_other_code() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = moved(look, second, looks.leader_of(look))
    made = plan(looks.with_word(look, first, state=MemberState.DIVERGED, caught_up=False))
    assert looks.disruption(made) is None
    words = looks.message_of(made, Condition.PROGRESSING)
    assert "not deterministic" in words
    assert "set image" not in words
