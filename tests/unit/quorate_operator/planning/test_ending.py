"""A resource that is being deleted while a finalizer of somebody else holds it."""

from dataclasses import replace

import pytest

from quorate_kubernetes_model import looks
from quorate_operator import labels
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import LabelPod, Step
from quorate_operator.planning.observed import Observed, Source
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


def held(look: Observed) -> Observed:
    """Return the look at a resource whose deletion is held."""
    return replace(look, resource=replace(look.resource, held_by=("example.org/hold",)))


def mislabelled(look: Observed) -> tuple[Observed, int, int]:
    """Return the look with the label on a pod that does not lead; and both seats."""
    leader, other = looks.leader_of(look), looks.followers_of(look)[0]
    look = looks.with_pod(look, other, role=labels.ROLE_LEADER)
    return looks.with_pod(look, leader, role=""), leader, other


def steps(look: Observed) -> tuple[Step, ...]:
    return plan(held(look)).steps


def test_the_leader_service_follows_its_leader() -> None:
    """The members go on for as long as a finalizer holds the resource, and so do its clients."""
    look, leader, other = mislabelled(looks.settled())
    first, second = steps(look)
    assert isinstance(first, LabelPod)
    assert isinstance(second, LabelPod)
    assert (first.name, first.labels) == (f"orders-{leader}", {labels.ROLE_LABEL: "leader"})
    assert (second.name, second.labels) == (f"orders-{other}", {labels.ROLE_LABEL: None})


@pytest.mark.parametrize(
    "look",
    [
        looks.blank(),
        replace(looks.settled(), children=(), stateful_set=None),
        replace(looks.settled(), children=(), stateful_set=None, claims={}, pods={}, members={}),
        looks.with_status(looks.settled(), ClusterStatus()),
        looks.outdated(looks.settled(), 0, 1, 2),
        looks.with_request(looks.settled(), "any/monday"),
        looks.with_claim(looks.settled(), 0, founded=False, owner_uid="u", cluster_id=""),
        looks.with_pod(looks.settled(), 0, cluster_label=""),
        looks.with_spec(looks.settled(), paused=True),
        replace(looks.settled(), source=Source("code", "u", is_labelled=False)),
    ],
)
def test_nothing_is_made_again_nor_repaired_nor_updated(look: Observed) -> None:
    """In a deletion in the foreground the collector takes children, and a finalizer waits for it:
    what was made again then would be taken again, for ever."""
    made = plan(held(look))
    assert made.steps == ()
    assert made.label_source is None
    assert made.status.last_transfer == look.resource.status.last_transfer


def test_status_tells_who_holds_it_and_how_the_members_are_without_a_warning() -> None:
    look = looks.dead(looks.settled(), looks.followers_of(looks.settled())[0])
    made = plan(held(look))
    assert made.status.state == "Deleting"
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.BEING_DELETED
    assert "held by example.org/hold" in looks.message_of(made, Condition.RECONCILED)
    assert looks.reason_of(made, Condition.DEGRADED) is Reason.MEMBER_BROKEN
    assert made.status.leader == look.resource.status.leader
    assert made.notes == ()
    again = plan(looks.later(held(look), 5, made))
    assert again.status == made.status, "it is written once"


def test_members_that_were_not_heard_yet_are_no_change_of_status() -> None:
    look = replace(held(looks.settled()), members={})
    made = plan(look)
    assert made.status.leader == look.resource.status.leader
    assert made.look_again_s == 1.0
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.BEING_DELETED
