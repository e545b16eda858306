"""The last steps of an update: who is compared, what is waited for, and when it has finished."""

from dataclasses import replace

import pytest

from quorate.control.status import DigestRow, MemberState
from quorate_kubernetes_model import looks
from quorate_operator.model import UpdateRow
from quorate_operator.planning.actions import DeletePod, EvictPod, Plan
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


def begun(look: Observed) -> Observed:
    """Return the look in the middle of an update."""
    status = replace(look.resource.status, update=UpdateRow("0" * 16, 2, 3))
    return looks.with_status(look, status)


def is_finished(made: Plan) -> bool:
    return Reason.UPDATE_FINISHED in {note.reason for note in made.notes}


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_an_update_has_finished_when_the_last_member_is_back(seat: int) -> None:
    look = begun(looks.settled())
    made = plan(looks.with_word(look, seat, caught_up=False))
    assert made.status.update is not None
    assert not is_finished(made)
    assert not is_finished(plan(looks.without_pod(look, seat)))
    assert is_finished(plan(look))


def test_the_last_member_that_answers_differently_is_told_as_such_and_not_as_late() -> None:
    look = begun(looks.settled())
    odd = looks.followers_of(look)[1]
    made = plan(looks.with_word(look, odd, state=MemberState.DIVERGED, caught_up=False))
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED
    assert "not deterministic" in looks.message_of(made, Condition.PROGRESSING)
    late = plan(looks.later(looks.with_status(look, made.status), 100_000))
    assert not is_finished(late)


def test_an_update_that_stopped_says_why_also_after_its_deadline() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, second, looks.leader_of(look))
    look = looks.answering(look, {first: "odd", second: "even", looks.leader_of(look): "even"})
    for _ in range(3):
        made = plan(look)
        assert looks.disruption(made) is None
        assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED
        look = looks.later(look, 100_000, made)


def test_the_last_that_was_updated_is_the_one_that_must_agree() -> None:
    """A tag may have moved between the two, so that the first one says nothing of the second."""
    look = looks.settled()
    (first, second), leader = looks.followers_of(look), looks.leader_of(look)
    look = looks.outdated(looks.answering(look, {first: "aa", leader: "aa"}), leader)
    look = looks.with_word(look, second, digests=(DigestRow(7, "aa"),))
    look = looks.with_pod(look, first, created_s=100.0)
    assert looks.disruption(plan(looks.with_pod(look, second, created_s=200.0))) is None
    assert looks.disruption(plan(looks.with_pod(look, second, created_s=50.0))) is not None


def test_a_member_that_is_of_no_use_does_not_wait_for_others_to_agree() -> None:
    look = looks.settled(5)
    first, second, *_ = looks.followers_of(look)
    look = looks.outdated(look, *(set(look.pods) - {first}))
    look = looks.with_word(look, first, digests=(DigestRow(7, "aa"),))
    assert looks.disruption(plan(look)) is None, "they are being compared"
    step = looks.disruption(plan(looks.with_word(look, second, caught_up=False)))
    assert isinstance(step, EvictPod | DeletePod)
    assert step.seat == second
