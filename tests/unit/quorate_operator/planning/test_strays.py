"""A member's pod without its label is labelled again; a stranger under its name is named."""

import pytest

from quorate_kubernetes_model import looks
from quorate_operator import labels
from quorate_operator.planning.actions import LabelPod
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason

SEATS = range(3)


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize("mark", ["", "another"])
@pytest.mark.parametrize("is_released", [False, True])
def test_a_pod_without_its_label_gets_it_back_and_is_not_replaced(
    seat: int, mark: str, is_released: bool
) -> None:
    look = looks.with_pod(looks.settled(), seat, cluster_label=mark)
    if is_released:
        look = looks.with_pod(look, seat, controller_uid="")
    made = plan(look)
    pod = look.pods[seat]
    assert made.steps == (LabelPod(pod.name, pod.uid, {labels.CLUSTER_LABEL: "orders"}, {}),)
    assert [note.reason for note in made.notes] == [Reason.MEMBER_LABELLED]
    assert pod.name in made.notes[0].message
    assert looks.reason_of(made, Condition.READY) is Reason.ALL_MEMBERS_CAUGHT_UP


@pytest.mark.parametrize("seat", SEATS)
def test_nothing_else_is_disrupted_while_a_pod_has_no_controller(seat: int) -> None:
    look = looks.with_pod(looks.settled(), seat, cluster_label="", controller_uid="")
    made = plan(looks.outdated(look, *SEATS))
    assert looks.disruption(made) is None
    assert f"take orders-{seat} back" in looks.message_of(made, Condition.PROGRESSING)


@pytest.mark.parametrize("change", [{"claim": ""}, {"claim": "x"}, {"controller_uid": "another"}])
def test_a_stranger_under_the_name_of_a_member_is_named_and_left_alone(
    change: dict[str, str],
) -> None:
    look = looks.with_pod(looks.settled(), 1, cluster_label="", **change)
    made = plan(looks.outdated(look, *SEATS))
    assert not made.steps
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.OWNERSHIP_CONFLICT
    assert "orders-1" in looks.message_of(made, Condition.RECONCILED)


def test_a_paused_cluster_is_not_labelled() -> None:
    look = looks.with_spec(looks.settled(), paused=True)
    made = plan(looks.with_pod(look, 1, cluster_label=""))
    assert not made.steps


def test_a_pod_that_ends_is_not_labelled() -> None:
    look = looks.with_pod(looks.settled(), 1, cluster_label="", deleting=True)
    assert not looks.steps_of(plan(look), LabelPod)
