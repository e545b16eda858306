"""Status is true, steady and quiet; the leader Service follows the leader; gaps are told."""

from dataclasses import replace

import pytest

from quorate.control.status import MemberState
from quorate_kubernetes_model import looks
from quorate_operator import labels
from quorate_operator.bodies import read_status, write_status
from quorate_operator.model import ClusterStatus, OperationRow, QuorumRow, UpdateRow
from quorate_operator.planning import operations
from quorate_operator.planning.actions import LabelPod, Plan, Transfer
from quorate_operator.planning.events import changes
from quorate_operator.planning.observed import Member, Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason


def leaderless(look: Observed, gone: int) -> Observed:
    """Return the look after the pod of the leader was lost."""
    for seat in look.members:
        look = looks.with_word(look, seat, leader=None, role="follower", caught_up=False)
    return looks.without_pod(look, gone)


def led_by(look: Observed, seat: int, term: int) -> Observed:
    """Return the look with another leader of those who are there."""
    for other in look.members:
        state = MemberState.LEADER if other == seat else MemberState.FOLLOWER
        role = "leader" if other == seat else "follower"
        look = looks.with_word(
            look, other, leader=seat, role=role, state=state, leadership_term_id=term
        )
    return look


@pytest.mark.parametrize("replicas", [1, 3, 5])
def test_as_many_can_be_lost_as_leave_a_majority(replicas: int) -> None:
    look, required = looks.settled(replicas), replicas // 2 + 1
    gone = looks.followers_of(look)
    for lost in range(replicas):
        row = plan(look).status.quorum
        assert row == QuorumRow(required, replicas - lost, max(0, replicas - lost - required))
        is_quorate = looks.reason_of(plan(look), Condition.QUORATE) is Reason.LEADER_FOLLOWED
        assert is_quorate == (replicas - lost >= required)
        if gone:
            look = looks.dead(look, gone.pop())


@pytest.mark.parametrize("replicas", [3, 5])
def test_without_a_leader_it_is_said_whether_a_majority_is_there_to_elect_one(
    replicas: int,
) -> None:
    look = looks.settled(replicas)
    for seat in look.members:
        look = looks.with_word(look, seat, leader=None, role="follower", caught_up=False)
    for lost in range(replicas):
        is_enough = replicas - lost > replicas // 2
        reason = Reason.NO_LEADER if is_enough else Reason.MAJORITY_MISSING
        assert looks.reason_of(plan(look), Condition.QUORATE) is reason, f"{lost} lost"
        look = looks.dead(look, lost)


@pytest.mark.parametrize("kind", [operations.TRANSFER, operations.REPAIR, None])
def test_the_end_of_an_update_is_told_whatever_begins_then(kind: str | None) -> None:
    status = looks.settled().resource.status
    time = "2026-01-01T00:00:00Z"
    row = OperationRow(kind, "t", "s", Reason.REPAIRING, time, time) if kind else None
    notes = changes(
        replace(status, update=UpdateRow("0" * 16, 3, 3)), replace(status, operation=row)
    )
    assert [note.reason for note in notes] == [Reason.UPDATE_FINISHED]


def test_a_leader_that_is_elected_again_carries_its_new_term() -> None:
    """Else news of a term in between, which come late, would move the Service."""
    look = looks.settled()
    leader = looks.leader_of(look)
    term = look.pods[leader].term + 2
    (step,) = looks.steps_of(plan(led_by(look, leader, term)), LabelPod)
    assert isinstance(step, LabelPod)
    assert step.name == look.pods[leader].name
    assert step.annotations == {labels.TERM_ANNOTATION: str(term)}


def test_lag_alone_is_not_written() -> None:
    look = looks.settled()
    leader = looks.leader_of(look)
    word = look.members[leader].status
    assert word is not None
    moved = looks.with_word(look, leader, written_position=word.written_position + 5000)
    assert plan(moved).status == look.resource.status
    behind = looks.with_word(moved, looks.followers_of(look)[0], caught_up=False)
    lags = {row.seat: row.lag_bytes for row in plan(behind).status.members}
    assert lags[looks.followers_of(look)[1]] == 5000


def test_the_time_of_a_transition_stays_while_it_holds() -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    made = plan(looks.dead(look, seat))
    late = plan(looks.later(looks.dead(look, seat, "ImagePullBackOff"), 50, made))
    times = {row.type: row.last_transition for row in made.status.conditions}
    assert {row.type: row.last_transition for row in late.status.conditions} == times
    healed = plan(looks.later(look, 99, late))
    after = {row.type: row.last_transition for row in healed.status.conditions}
    assert after[Condition.READY] > times[Condition.READY]
    assert after[Condition.QUORATE] == times[Condition.QUORATE]


def test_a_status_comes_back_from_its_json_as_it_was() -> None:
    look = looks.settled()
    for other in (look, looks.dead(look, 1), looks.outdated(look, 0, 1, 2), leaderless(look, 0)):
        status = plan(other).status
        identity = replace(ClusterStatus(), cluster_id=status.cluster_id, founded=True)
        again = read_status(write_status(status))
        assert replace(again, cluster_id=identity.cluster_id, founded=True) == status


def test_members_that_were_not_asked_yet_change_no_status() -> None:
    look = looks.settled()
    just_begun = {
        seat: Member(seat, pod.uid, None, 0.0, look.now_s) for seat, pod in look.pods.items()
    }
    for members in ({}, just_begun):
        made = plan(replace(looks.outdated(look, 0, 1, 2), members=members))
        assert not made.steps
        assert made.status == look.resource.status
        assert made.look_again_s is not None
    late = plan(replace(look, members=just_begun, now_s=look.now_s + 6))
    assert looks.reason_of(late, Condition.READY) is Reason.NO_LEADER


def test_a_follower_that_is_not_heard_for_a_moment_is_as_well_as_its_leader_says() -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    assert plan(looks.silent(look, seat, 5)).status == look.resource.status
    made = plan(looks.silent(look, seat, 31))
    assert looks.reason_of(made, Condition.DEGRADED) is Reason.MEMBER_BROKEN


def test_a_leader_that_is_not_heard_leads_while_its_followers_say_so() -> None:
    look = looks.settled()
    made = plan(looks.silent(look, looks.leader_of(look), 5))
    assert made.status.leader == look.resource.status.leader
    assert not made.steps


def test_of_two_who_say_they_lead_the_later_term_does() -> None:
    look = looks.settled()
    old, new = looks.leader_of(look), looks.followers_of(look)[0]
    word = look.members[new].status
    assert word is not None
    term = word.leadership_term_id + 1
    both = looks.with_word(
        look, new, role="leader", state=MemberState.LEADER, leader=new, leadership_term_id=term
    )
    made = plan(both)
    assert made.status.leader is not None
    assert (made.status.leader.member, made.status.leader.term) == (new, term)
    # One who follows a later term is enough to doubt the old leader.
    follower = looks.followers_of(look)[1]
    doubted = looks.with_word(look, follower, leader=new, leadership_term_id=term)
    assert plan(doubted).status.leader is None or plan(doubted).status.leader.member != old


def label_steps(made: Plan) -> list[LabelPod]:
    return [step for step in made.steps if isinstance(step, LabelPod)]


def test_the_new_leader_is_labelled_before_the_old_one_is_not() -> None:
    look = looks.settled()
    old, new = looks.leader_of(look), looks.followers_of(look)[0]
    first, second = label_steps(plan(led_by(look, new, 9)))
    assert (first.name, first.labels[labels.ROLE_LABEL]) == (f"orders-{new}", "leader")
    assert (second.name, second.labels[labels.ROLE_LABEL]) == (f"orders-{old}", None)
    assert {step.annotations[labels.TERM_ANNOTATION] for step in (first, second)} == {"9"}


def test_an_older_term_moves_no_label() -> None:
    look = looks.settled()
    new = looks.followers_of(look)[0]
    stamped = looks.with_pod(look, looks.leader_of(look), term=10)
    assert not label_steps(plan(led_by(stamped, new, 9)))
    assert label_steps(plan(led_by(stamped, new, 11)))


def test_without_a_leader_labels_stay() -> None:
    look = looks.settled()
    assert not label_steps(plan(leaderless(look, looks.followers_of(look)[0])))


def test_a_stale_label_goes() -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    (step,) = label_steps(plan(looks.with_pod(look, seat, role="leader", term=0)))
    assert step.name == f"orders-{seat}"
    assert step.labels == {labels.ROLE_LABEL: None}


def test_a_lost_leader_is_reported_with_the_time_without_one() -> None:
    look = looks.settled()
    old, new = looks.leader_of(look), looks.followers_of(look)[0]
    gone = plan(leaderless(look, old))
    assert gone.status.leader is None
    assert gone.status.lost_leader is not None
    assert looks.reason_of(gone, Condition.QUORATE) is Reason.NO_LEADER
    still = plan(looks.later(leaderless(look, old), 2, gone))
    assert still.status.lost_leader == gone.status.lost_leader
    back = plan(looks.later(led_by(looks.without_pod(look, old), new, 4), 3, still))
    (note,) = [note for note in back.notes if note.reason is Reason.LEADER_CHANGED]
    assert f"orders-{new} leads in term 4" in note.message
    assert f"orders-{old} in term 1" in note.message
    assert "3.0 s" in note.message
    assert back.status.lost_leader is None


def test_a_frozen_leader_is_reported_by_its_silence() -> None:
    look = looks.settled()
    old, new = looks.leader_of(look), looks.followers_of(look)[0]
    made = plan(looks.silent(led_by(look, new, 4), old, 7))
    (note,) = [note for note in made.notes if note.reason is Reason.LEADER_CHANGED]
    assert "7.0 s" in note.message


def test_a_change_for_the_worse_is_told_once() -> None:
    look = looks.dead(looks.settled(), looks.followers_of(looks.settled())[0])
    made = plan(look)
    assert Reason.MEMBER_BROKEN in {note.reason for note in made.notes if note.warning}
    assert not plan(looks.later(look, 1, made)).notes


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (MemberState.VOLUME_LOST, Reason.VOLUME_LOST),
        (MemberState.NOT_A_MEMBER, Reason.MEMBER_FOREIGN),
        (MemberState.RECOVERING, Reason.MEMBER_RECOVERING),
        (MemberState.DIVERGED, Reason.MEMBER_DIVERGED),
    ],
)
def test_what_is_wrong_with_a_member_is_said(state: MemberState, reason: Reason) -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    made = plan(looks.with_word(look, seat, state=state, caught_up=False, reason="so it is"))
    assert looks.reason_of(made, Condition.DEGRADED) is reason
    assert f"orders-{seat}" in looks.message_of(made, Condition.DEGRADED)
    assert looks.reason_of(made, Condition.READY) is Reason.MEMBERS_CATCHING_UP
    assert looks.disruption(made) is None


@pytest.mark.parametrize("storage", ["low", "full"])
def test_a_disk_without_space_is_told(storage: str) -> None:
    made = plan(looks.with_word(looks.settled(), 0, storage=storage))
    assert looks.reason_of(made, Condition.DEGRADED) is Reason.STORAGE_LOW


@pytest.mark.parametrize(
    "values", [{"cluster_id": "f" * 32}, {"leadership_term_id": -4}, {"member_id": "f" * 32}]
)
def test_a_word_that_cannot_be_ours_counts_for_nothing(values: dict[str, object]) -> None:
    look = looks.outdated(looks.settled(), *looks.followers_of(looks.settled()))
    first, second = looks.followers_of(look)
    look = looks.with_word(look, first, **values)
    step = looks.disruption(plan(look))
    # It does not count for a majority, so the other one stays.
    assert step is None or getattr(step, "seat", None) == first
    assert getattr(step, "seat", None) != second


def moving(look: Observed, leader: int) -> list[Observed]:
    """Return what a cluster looks like between two leaders."""
    new = looks.followers_of(look)[0]
    follows = led_by(look, new, 9)
    for seat in set(look.members) - {new}:
        follows = looks.with_word(follows, seat, leader=leader, leadership_term_id=1)
    nobody = look
    for seat in look.members:
        nobody = looks.with_word(nobody, seat, leader=None, role="follower", caught_up=False)
    return [follows, nobody]


def asked_to_move(look: Observed, how: str) -> Observed:
    """Return the look of a cluster whose leader we have asked to hand over."""
    leader = looks.leader_of(look)
    if how == "update":
        look = looks.outdated(look, leader)
        made = plan(look)
    elif how == "request":
        look = looks.with_request(look, "any/1")
        made = plan(looks.later(look, 0, plan(look)))
    else:
        look = replace(look, cordoned=frozenset({look.pods[leader].node}))
        look = looks.later(look, 120)
        made = plan(look)
    assert isinstance(looks.disruption(made), Transfer)
    return looks.later(look, 0.2, made)


def warnings(made: Plan) -> set[Reason]:
    return {note.reason for note in made.notes if note.warning}


BETWEEN = {Reason.NO_LEADER, Reason.MAJORITY_MISSING}


@pytest.mark.parametrize("how", ["update", "request", "cordon"])
@pytest.mark.parametrize("which", [0, 1])
def test_the_moment_between_two_leaders_is_no_warning_if_we_asked_for_it(
    how: str, which: int
) -> None:
    look = asked_to_move(looks.settled(), how)
    spec = look.resource.spec
    assert spec is not None
    limit_s = spec.update.handover_timeout_ms / 1000
    between = moving(look, looks.leader_of(looks.settled()))[which]
    made = plan(between)
    assert not warnings(made) & BETWEEN
    assert looks.reason_of(made, Condition.QUORATE) is Reason.HANDING_OVER
    for _ in range(3):
        between = looks.later(between, limit_s / 5, made)
        made = plan(between)
        assert not warnings(made) & BETWEEN
    late = plan(looks.later(between, limit_s, made))
    assert warnings(late) & BETWEEN, "what takes longer than its time is told"
    assert not warnings(plan(looks.later(between, limit_s, late))) & BETWEEN


@pytest.mark.parametrize("which", [0, 1])
def test_the_moment_between_two_leaders_is_a_warning_if_nobody_asked_for_it(which: int) -> None:
    look = looks.settled()
    assert warnings(plan(moving(look, looks.leader_of(look))[which])) & BETWEEN


def test_the_member_that_an_update_replaces_is_no_warning_and_another_is() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, 0, 1, 2)
    made = plan(look)
    going = looks.later(looks.with_pod(look, first, deleting=True), 1, made)
    made = plan(going)
    assert not warnings(made)
    gone = looks.later(looks.without_pod(going, first), 1, made)
    made = plan(gone)
    assert not warnings(made)
    other = plan(looks.later(looks.without_pod(gone, second), 1, made))
    assert Reason.MEMBER_MISSING in warnings(other)
    late = plan(looks.later(gone, 1000, made))
    assert Reason.UPDATE_STUCK in warnings(late)
    assert Reason.MEMBER_MISSING in warnings(plan(looks.without_pod(looks.settled(), first)))


def test_a_pod_that_nobody_makes_is_told_with_where_to_look() -> None:
    """A quota or a policy tells it in an event of the StatefulSet, and nowhere else."""
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    words = looks.message_of(plan(looks.without_pod(look, seat)), Condition.DEGRADED)
    assert f"orders-{seat} is Missing" in words
    assert "events of StatefulSet orders" in words
    new = looks.with_status(look, replace(look.resource.status, founded=False))
    for each in look.claims:
        new = looks.with_claim(looks.with_word(new, each, founded=False), each, founded=False)
    new = looks.without_pod(new, seat)
    live = new.stateful_set
    assert live is not None
    meta = {**live.body["metadata"], "annotations": {}}  # type: ignore[dict-item]
    new = replace(new, stateful_set=replace(live, body={**live.body, "metadata": meta}))
    words = looks.message_of(plan(new), Condition.PROGRESSING)
    assert f"not made yet: orders-{seat}" in words
    assert "events of StatefulSet orders" in words


@pytest.mark.parametrize("reason", ["ImagePullBackOff: unauthorized", "ErrImagePull"])
def test_an_image_that_cannot_be_pulled_is_told_with_where_its_credentials_belong(
    reason: str,
) -> None:
    """They are no field of the spec, and a pod that was made without them never gets them."""
    look = looks.settled()
    words = looks.message_of(plan(looks.dead(look, 1, reason)), Condition.DEGRADED)
    assert "imagePullSecrets of ServiceAccount orders" in words
    assert "delete the pod" in words
