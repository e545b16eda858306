"""Members whose process has just ended, or has not been heard: what they run is not given up."""

from dataclasses import replace

import pytest

from quorate_kubernetes_model import looks
from quorate_operator.planning.actions import DeletePod
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


def restarting(look: Observed, seat: int, for_s: float = 2.0, reason: str = "Error") -> Observed:
    """Return the look with a container that has ended and is about to be started again."""
    since = look.now_s - for_s
    ended = looks.with_pod(
        look, seat, running=False, ready=False, reason=reason, not_running_since_s=since
    )
    return looks.silent(ended, seat, for_s)


@pytest.mark.parametrize(
    ("for_s", "reason", "is_replaced"),
    [(2, "Error", False), (29, "Error", False), (31, "Error", True), (2, "CrashLoopBackOff", True)],
)
def test_while_another_is_away_only_what_stays_dead_is_replaced(
    for_s: float, reason: str, *, is_replaced: bool
) -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, first, second, looks.leader_of(look))
    look = looks.with_pod(look, first, deleting=True)
    step = looks.disruption(plan(restarting(look, second, for_s, reason)))
    assert (step is not None) == is_replaced


def test_what_restarts_within_a_majority_is_replaced_at_once() -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    step = looks.disruption(plan(restarting(looks.outdated(look, seat), seat)))
    assert isinstance(step, DeletePod)
    assert step.seat == seat


@pytest.mark.parametrize(("for_s", "is_replaced"), [(2, False), (31, True)])
def test_what_restarts_keeps_its_code_while_new_code_answers_differently(
    for_s: float, *, is_replaced: bool
) -> None:
    look = looks.settled(5)
    first, second = looks.followers_of(look)[:2]
    look = looks.outdated(look, *(set(look.pods) - {first}))
    for seat in look.pods:
        digest = "odd" if seat == first else "even"
        look = looks.answering(look, {seat: digest})
    made = plan(restarting(look, second, for_s))
    assert (looks.disruption(made) is not None) == is_replaced
    if not is_replaced:
        assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_member_that_is_ready_and_was_never_heard_is_not_taken_for_blank(replicas: int) -> None:
    look = looks.outdated(looks.settled(replicas), *range(replicas))
    status = replace(look.resource.status, founded=False, members=())
    look = looks.with_status(look, status)
    assert look.stateful_set is not None
    look = replace(
        look,
        stateful_set=None,
        claims={seat: replace(c, founded=False) for seat, c in look.claims.items()},
        members={
            seat: replace(m, status=None, silent_since_s=look.now_s - 40, problem="timeout")
            for seat, m in look.members.items()
        },
    )
    step = looks.disruption(plan(with_unmarked_set(look)))
    assert step is None
    for seat in look.pods:
        look = looks.with_pod(look, seat, ready=False)
    assert isinstance(looks.disruption(plan(with_unmarked_set(look))), DeletePod)


def with_unmarked_set(look: Observed) -> Observed:
    """Return the look with the StatefulSet of a cluster that was not recorded as founded."""
    blank = looks.settled(len(look.pods)).stateful_set
    assert blank is not None
    metadata = blank.body["metadata"]
    assert isinstance(metadata, dict)
    marks = {k: v for k, v in metadata["annotations"].items() if k != "quorate.io/founded"}
    body = {**blank.body, "metadata": {**metadata, "annotations": marks}}
    return replace(look, stateful_set=replace(blank, body=body))
