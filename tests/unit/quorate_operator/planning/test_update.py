"""An update takes one member at a time, the leader last, and never a majority."""

from dataclasses import replace

import pytest

from quorate.control.status import DigestRow, MemberState
from quorate_kubernetes_model import looks, specs
from quorate_operator.model import SchedulingSpec, Spread
from quorate_operator.planning import children
from quorate_operator.planning.actions import ApplyChild, DeletePod, EvictPod, Plan, Transfer
from quorate_operator.planning.observed import Child, Observed
from quorate_operator.planning.plan import plan
from quorate_operator.reasons import Condition, Reason
from quorate_operator.resources import placement_hash


def test_a_healthy_cluster_is_left_alone() -> None:
    made = plan(looks.settled())
    assert not made.steps
    assert not made.notes
    assert made.status == looks.settled().resource.status
    assert made.look_again_s is None


def test_a_follower_is_first_and_is_evicted() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    step = looks.disruption(plan(look))
    assert isinstance(step, EvictPod)
    assert step.seat in looks.followers_of(look)
    assert step.uid == look.pods[step.seat].uid


PLACES = (
    SchedulingSpec(node_selector={"disk": "fast"}),
    SchedulingSpec(tolerations=({"key": "spot", "operator": "Exists"},)),
    SchedulingSpec(priority_class_name="high"),
    SchedulingSpec(spread=Spread.REQUIRED),
)


@pytest.mark.parametrize("scheduling", PLACES)
def test_where_members_may_run_is_rolled_out_like_any_input(scheduling: SchedulingSpec) -> None:
    look = looks.with_spec(looks.settled(), scheduling=scheduling)
    made = plan(look)
    assert [s.body["kind"] for s in looks.steps_of(made, ApplyChild)] == ["StatefulSet"]  # type: ignore[union-attr]
    assert looks.disruption(made) is None
    assert made.status.update is not None
    assert made.status.update.updated == 0
    wanted = {seat: placement_hash(look.resource.spec) for seat in look.pods}  # type: ignore[arg-type]
    for seat in looks.followers_of(look):
        look = looks.with_pod(look, seat, placement_hash=wanted[seat])
    applied = replace(look, stateful_set=seen(look, made))
    step = looks.disruption(plan(applied))
    assert isinstance(step, Transfer)


def test_a_pod_that_is_older_than_the_placement_hash_stays() -> None:
    look = looks.settled()
    for seat in look.pods:
        look = looks.with_pod(look, seat, placement_hash="")
    made = plan(look)
    assert not made.steps
    assert made.status.update is None


def test_the_one_that_lags_most_goes_first() -> None:
    look = looks.outdated(looks.settled(5), *range(5))
    leader = looks.leader_of(look)
    word = look.members[leader].status
    assert word is not None
    behind = looks.followers_of(look)[2]
    rows = tuple(
        replace(row, append_position=row.append_position - (100 if row.seat == behind else 0))
        for row in word.members
    )
    look = looks.with_word(look, leader, members=rows, written_position=word.written_position)
    step = looks.disruption(plan(look))
    assert isinstance(step, EvictPod)
    assert step.seat == behind


def test_the_leader_hands_over_to_an_updated_voter_before_its_turn() -> None:
    look = looks.settled()
    leader = looks.leader_of(look)
    step = looks.disruption(plan(looks.outdated(look, leader)))
    assert isinstance(step, Transfer)
    assert step.leader == leader
    assert step.to in looks.followers_of(look)


def test_the_leader_never_hands_over_to_an_outdated_member() -> None:
    look = looks.outdated(looks.settled(5), *range(5))
    for seat in looks.followers_of(look)[1:]:
        look = looks.with_pod(look, seat, input_hash=looks.settled(5).pods[seat].input_hash)
    # One follower is outdated as well: it comes first, and is nobody's heir.
    step = looks.disruption(plan(look))
    assert isinstance(step, EvictPod)
    assert step.seat == looks.followers_of(look)[0]


def test_the_only_member_is_restarted_and_that_is_said() -> None:
    made = plan(looks.outdated(looks.settled(1), 0))
    assert isinstance(looks.disruption(made), EvictPod)
    (note,) = [n for n in made.notes if n.reason is Reason.UPDATE_STARTED]
    assert note.warning
    assert "one replica" in note.message


def test_the_only_member_is_replaced_also_when_it_serves_nobody() -> None:
    look = looks.outdated(looks.settled(1), 0)
    look = looks.with_word(look, 0, caught_up=False, leader=None, role="follower")
    assert isinstance(looks.disruption(plan(looks.with_pod(look, 0, ready=False))), DeletePod)
    assert isinstance(looks.disruption(plan(look)), EvictPod)


def test_a_disruption_budget_that_is_used_up_is_named() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    other = looks.followers_of(look)[1]
    made = plan(looks.with_pod(look, other, ready=False))
    assert isinstance(looks.disruption(made), EvictPod)
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.WAITING_FOR_DISRUPTION_BUDGET
    assert f"orders-{other}" in looks.message_of(made, Condition.PROGRESSING)


@pytest.mark.parametrize("replicas", [3, 5])
def test_no_step_without_a_majority_that_has_caught_up(replicas: int) -> None:
    look = looks.outdated(looks.settled(replicas), *range(replicas))
    for seat in looks.followers_of(look)[: replicas // 2]:
        look = looks.with_word(look, seat, caught_up=False)
    step = looks.disruption(plan(look))
    # Those that lag may go, as nothing is lost with them; one that counts may not.
    rest = set(looks.followers_of(look)) | {looks.leader_of(look)}
    counted = rest - set(looks.followers_of(look)[: replicas // 2])
    assert step is None or step.seat not in counted
    for seat in looks.followers_of(look)[: replicas // 2 + 1]:
        look = looks.with_word(look, seat, caught_up=False)
    made = plan(look)
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.WAITING_FOR_MAJORITY


def test_a_member_on_a_lost_volume_is_no_part_of_a_majority() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, second, looks.leader_of(look))
    lost = looks.with_word(look, first, state=MemberState.VOLUME_LOST, caught_up=False)
    made = plan(lost)
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.WAITING_FOR_MAJORITY


def seen(look: Observed, made: Plan) -> Child:
    """Return the StatefulSet as it is when its controller has seen what was applied."""
    (step,) = looks.steps_of(made, ApplyChild)
    assert isinstance(step, ApplyChild)
    live = look.stateful_set
    assert live is not None
    meta = {**live.body["metadata"], **step.body["metadata"]}  # type: ignore[dict-item]
    return replace(live, body={**live.body, **step.body, "metadata": meta})


def missing_ones(look: Observed, seat: int) -> list[Observed]:
    """Return the ways in which an updated member can be away."""
    return [
        looks.without_pod(look, seat),
        looks.with_pod(look, seat, deleting=True),
        looks.with_word(look, seat, caught_up=False),
        looks.with_word(look, seat, leadership_term_id=0),
        looks.silent(look, seat, 3),
        looks.dead(look, seat),
        looks.with_pod(look, seat, controller_uid="another set"),
    ]


@pytest.mark.parametrize("replicas", [3, 5])
def test_nothing_more_while_an_updated_member_is_away(replicas: int) -> None:
    look = looks.settled(replicas)
    first, *others = looks.followers_of(look)
    for away in missing_ones(looks.outdated(look, *others), first):
        made = plan(away)
        assert looks.disruption(made) is None
        assert looks.reason_of(made, Condition.PROGRESSING) is Reason.UPDATING


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ImagePullBackOff", "Unschedulable"])
def test_a_dead_and_outdated_member_is_deleted_first_even_without_a_majority(reason: str) -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    first, second = looks.followers_of(look)
    look = looks.dead(looks.dead(look, first, reason), second, reason)
    step = looks.disruption(plan(look))
    assert isinstance(step, DeletePod)
    assert step.seat == first
    assert step.resource_version == look.pods[first].resource_version


def test_a_dead_member_that_is_up_to_date_is_left_to_kubernetes() -> None:
    look = looks.dead(looks.settled(), looks.followers_of(looks.settled())[0])
    made = plan(look)
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.DEGRADED) is Reason.MEMBER_BROKEN
    assert "CrashLoopBackOff" in looks.message_of(made, Condition.DEGRADED)


def test_not_ready_alone_is_never_broken() -> None:
    look = looks.settled()
    for seat in look.pods:
        look = looks.with_pod(look, seat, ready=False)
    made = plan(look)
    assert not made.steps
    assert made.status == look.resource.status


@pytest.mark.parametrize(("for_s", "is_deleted"), [(29, False), (31, True)])
def test_a_silent_and_outdated_follower_goes_after_half_a_minute(
    for_s: int, *, is_deleted: bool
) -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    look = looks.silent(looks.outdated(look, seat), seat, for_s)
    step = looks.disruption(plan(looks.with_pod(look, seat, ready=False)))
    assert isinstance(step, DeletePod if is_deleted else EvictPod)
    # One that is ready all the same may serve whoever hears it: a drain must be able to object.
    assert isinstance(looks.disruption(plan(look)), EvictPod)


def test_a_silent_follower_is_left_to_the_kubelet_if_it_is_up_to_date() -> None:
    look = looks.settled()
    seat = looks.followers_of(look)[0]
    made = plan(looks.silent(look, seat, 40))
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.DEGRADED) is Reason.MEMBER_BROKEN


def test_a_silent_member_is_not_deleted_where_that_costs_the_majority() -> None:
    look = looks.settled()
    seat, other = looks.followers_of(look)
    look = looks.silent(looks.outdated(look, seat), seat, 40)
    assert looks.disruption(plan(looks.with_word(look, other, caught_up=False))) is None


def test_code_that_answers_differently_stops_the_update() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, second, looks.leader_of(look))
    for seat in (second, looks.leader_of(look)):
        look = looks.answering(look, {seat: "aa"})
    made = plan(looks.answering(look, {first: "bb"}))
    assert looks.disruption(made) is None
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED
    assert made.status.state == "Stuck"
    moved = looks.answering(look, {first: "bb"})
    made = plan(looks.with_pod(moved, first, placement_hash="another place"))
    assert looks.disruption(made) is None, "a change of placement leaves its code the new one"
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED
    made = plan(looks.answering(look, {first: "aa"}))
    assert isinstance(looks.disruption(made), EvictPod)


def test_agreement_counts_only_past_where_the_new_process_began() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    leader = looks.leader_of(look)
    look = looks.outdated(look, second, leader)
    look = looks.with_word(look, leader, digests=(DigestRow(100, "aa"), DigestRow(500, "cc")))
    made = plan(looks.answering(look, {first: "aa"}, 100))
    assert looks.disruption(made) is None, "it has not replayed up to 500 yet"
    assert made.ask_members
    # Recorded: later positions of the leader move the mark no further.
    look = looks.with_word(look, leader, digests=(DigestRow(500, "cc"), DigestRow(900, "dd")))
    again = looks.later(looks.answering(look, {first: "cc"}, 500), 5, made)
    assert isinstance(looks.disruption(plan(again)), EvictPod)
    # Another process under the same name begins anew.
    assert "past 500" in (made.status.operation.step if made.status.operation else "")
    other = looks.with_pod(again, first, uid="another1")
    members = {**other.members, first: replace(other.members[first], pod_uid="another1")}
    assert looks.disruption(plan(replace(other, members=members))) is None


def test_what_agreed_once_need_not_agree_with_every_later_word() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, second, looks.leader_of(look))
    made = plan(look)
    assert isinstance(looks.disruption(made), EvictPod)
    # Under traffic, words that were heard at different moments share no position.
    apart = looks.later(looks.answering(look, {first: "ee"}, 12345), 5, made)
    again = plan(apart)
    assert isinstance(looks.disruption(again), EvictPod)
    assert again.status == made.status


def test_setting_the_image_back_heals() -> None:
    look = looks.settled()
    first = looks.followers_of(look)[0]
    diverged = looks.with_word(
        looks.outdated(look, first), first, state=MemberState.DIVERGED, caught_up=False
    )
    step = looks.disruption(plan(looks.with_pod(diverged, first, ready=False)))
    assert isinstance(step, DeletePod)
    assert step.seat == first


@pytest.mark.parametrize("replicas", [3, 5])
@pytest.mark.parametrize("which", [0, 1])
def test_setting_code_back_heals_before_the_members_have_compared(
    replicas: int, which: int
) -> None:
    look = looks.settled(replicas)
    odd = looks.followers_of(look)[which]
    for seat in range(replicas):
        digest = "bb" if seat == odd else "aa"
        look = looks.answering(look, {seat: digest})
    step = looks.disruption(plan(looks.outdated(look, odd)))
    assert isinstance(step, EvictPod)
    assert step.seat == odd


def test_a_difference_seen_once_is_remembered_for_the_process() -> None:
    look = looks.settled()
    odd, other = looks.followers_of(look)
    leader = looks.leader_of(look)
    for seat in (other, leader):
        look = looks.answering(look, {seat: "aa"})
    forward = looks.outdated(look, other, leader)
    made = plan(looks.answering(forward, {odd: "bb"}))
    # Under traffic, words that were heard at different moments share no position.
    apart = looks.later(looks.answering(forward, {odd: "cc"}, (1 << 30) + 64), 5, made)
    again = plan(apart)
    assert looks.disruption(again) is None
    assert looks.reason_of(again, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED
    back = looks.outdated(looks.answering(look, {odd: "dd"}, (1 << 30) + 128), odd)
    step = looks.disruption(plan(looks.later(back, 10, again)))
    assert isinstance(step, EvictPod)
    assert step.seat == odd
    # Another process under the same name has not been heard yet.
    other_pod = looks.with_pod(apart, odd, uid="another1")
    members = {**other_pod.members, odd: replace(other_pod.members[odd], pod_uid="another1")}
    made = plan(replace(other_pod, members=members))
    assert looks.reason_of(made, Condition.PROGRESSING) is not Reason.SERVICE_DIVERGED


def diverged(look: Observed, seat: int) -> Observed:
    """Return the look with a member that has stopped serving, as a majority computes otherwise."""
    look = looks.answering(look, {seat: f"of {seat}"})
    look = looks.with_word(look, seat, state=MemberState.DIVERGED, caught_up=False)
    return looks.with_pod(look, seat, ready=False)


@pytest.mark.parametrize("replicas", [3, 5])
def test_who_diverged_from_a_majority_with_the_wanted_code_gets_it(replicas: int) -> None:
    look = looks.settled(replicas)
    odd = looks.followers_of(look)[replicas // 2 :]
    for seat in odd:
        look = diverged(looks.outdated(look, seat), seat)
    step = looks.disruption(plan(look))
    assert isinstance(step, DeletePod)
    assert step.seat in odd


@pytest.mark.parametrize("has_stopped", [False, True])
def test_code_that_was_seen_to_differ_heals_nobody(has_stopped: bool) -> None:
    look = looks.settled(5)
    updated, unwell, *others = looks.followers_of(look)
    for seat in (*others, looks.leader_of(look)):
        look = looks.answering(looks.outdated(look, seat), {seat: "aa"})
    look = diverged(looks.outdated(look, unwell), unwell)
    healing = looks.disruption(plan(looks.answering(look, {updated: "aa"})))
    assert isinstance(healing, DeletePod), "as far as seen, the wanted code is as good as the old"
    assert healing.seat == unwell
    look = diverged(look, updated) if has_stopped else looks.answering(look, {updated: "bb"})
    made = plan(look)
    assert looks.disruption(made) is None, f"{unwell} gets what {updated} was seen to fail with"
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED


@pytest.mark.parametrize("leads", [False, True])
def test_a_difference_counts_no_more_once_the_other_is_the_odd_one(leads: bool) -> None:
    look = looks.settled()
    odd, updated, third = looks.leader_of(look), *looks.followers_of(look)
    look = looks.outdated(look, odd, third)
    for seat, digest in ((odd, "bb"), (updated, "aa"), (third, "aa")):
        look = looks.answering(look, {seat: digest})
    made = plan(look)
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED
    # The members have compared three digests since, and another one leads.
    heir = updated if leads else third
    leader = look.members[odd].status
    assert leader is not None
    for seat in look.members:
        look = looks.with_word(look, seat, leader=heir, leadership_term_id=9)
    look = looks.with_word(look, odd, role="follower", members=())
    look = looks.with_word(
        look, heir, role="leader", state=MemberState.LEADER, members=leader.members
    )
    made = plan(looks.later(diverged(look, odd), 5, made))
    step = looks.disruption(made)
    assert isinstance(step, DeletePod), looks.message_of(made, Condition.PROGRESSING)
    assert step.seat == odd


def test_an_outdated_leader_is_never_the_odd_one_out() -> None:
    look = looks.settled()
    leader, updated = looks.leader_of(look), looks.followers_of(look)[0]
    for seat in range(3):
        digest = "bb" if seat == updated else "aa"
        look = looks.answering(look, {seat: digest})
    others = (seat for seat in range(3) if seat != updated)
    made = plan(looks.outdated(look, *others))
    assert looks.disruption(made) is None, f"the leader {leader} runs the old code"
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.SERVICE_DIVERGED


def test_a_step_without_progress_is_told_and_creation_goes_on() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(looks.dead(look, first, "ImagePullBackOff: no such image"), second)
    made = plan(look)
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.UPDATING
    assert made.look_again_s is not None
    assert made.look_again_s <= specs.PROGRESS_DEADLINE_S
    late = looks.later(look, specs.PROGRESS_DEADLINE_S + 1, made)
    stuck = plan(replace(late, children=tuple(c for c in late.children if c.kind != "Service")))
    assert looks.reason_of(stuck, Condition.PROGRESSING) is Reason.UPDATE_STUCK
    assert "no such image" in looks.message_of(stuck, Condition.PROGRESSING)
    assert looks.steps_of(stuck, ApplyChild), "the child that went missing is made again"
    assert any(note.reason is Reason.UPDATE_STUCK and note.warning for note in stuck.notes)


def test_a_crash_loop_does_not_begin_its_deadline_anew() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    look = looks.outdated(look, second)
    made = plan(looks.dead(look, first))
    for number in range(10):
        flap = (
            looks.dead(look, first) if number % 2 else looks.with_word(look, first, caught_up=False)
        )
        made = plan(looks.later(flap, specs.PROGRESS_DEADLINE_S / 8 * number, made))
    assert looks.reason_of(made, Condition.PROGRESSING) is Reason.UPDATE_STUCK


def test_pods_wait_until_their_controller_has_seen_the_template() -> None:
    look = looks.with_spec(looks.settled(), image=specs.ALSO_GOOD)
    made = plan(look)
    assert looks.steps_of(made, ApplyChild)
    assert looks.disruption(made) is None
    live = look.stateful_set
    assert live is not None
    unseen = replace(live, body={**live.body, "status": {"observedGeneration": 0}})
    late = replace(looks.outdated(looks.settled(), 0, 1, 2), stateful_set=unseen)
    assert looks.disruption(plan(late)) is None


def test_a_paused_cluster_is_left_alone_and_its_status_goes_on() -> None:
    look = looks.outdated(looks.settled(), 0, 1, 2)
    made = plan(looks.with_spec(look, paused=True, image=specs.ALSO_GOOD))
    assert not made.steps
    assert looks.reason_of(made, Condition.RECONCILED) is Reason.PAUSED
    assert looks.reason_of(made, Condition.READY) is Reason.ALL_MEMBERS_CAUGHT_UP
    resumed = plan(looks.later(look, 10, made))
    assert isinstance(looks.disruption(resumed), EvictPod)
    assert any(note.reason is Reason.RESUMED for note in resumed.notes)


def test_a_new_operator_with_other_templates_disrupts_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = children.children

    def newer(*args: object, **options: object) -> tuple[children.Body, ...]:
        bodies = real(*args, **options)
        return tuple(
            {
                **body,
                "metadata": {
                    **body["metadata"],
                    "annotations": {
                        **body["metadata"].get("annotations", {}),
                        "quorate.io/newer": "yes",
                    },
                },
            }
            for body in bodies
        )

    monkeypatch.setattr(children, "children", newer)
    made = plan(looks.settled())
    assert len(looks.steps_of(made, ApplyChild)) == len(made.steps) > 0
    assert looks.disruption(made) is None
    assert made.status.update is None


def test_two_updates_are_one() -> None:
    look = looks.settled()
    first, second = looks.followers_of(look)
    # The first was updated to something that is not wanted any more, and is still on its way.
    look = looks.with_pod(
        looks.outdated(look, second, looks.leader_of(look)), first, input_hash="1"
    )
    look = looks.with_word(look, first, caught_up=False)
    step = looks.disruption(plan(look))
    assert isinstance(step, EvictPod)
    assert step.seat == first


@pytest.mark.parametrize(
    "reason",
    [
        "ImagePullBackOff: Back-off pulling image",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ContainerCreating: the image example/orders:1 is being pulled",
    ],
)
def test_an_update_that_waits_for_an_image_names_it_and_the_remedy(reason: str) -> None:
    look = looks.settled()
    first, *others = looks.followers_of(look)
    look = looks.outdated(looks.dead(look, first, reason), *others)
    made = plan(look)
    late = plan(looks.later(look, specs.PROGRESS_DEADLINE_S, made))
    assert looks.reason_of(late, Condition.PROGRESSING) is Reason.UPDATE_STUCK
    for condition in (Condition.PROGRESSING, Condition.DEGRADED):
        words = looks.message_of(late, condition)
        assert reason in words
        assert look.pods[first].image in words.replace(reason, "")
        assert "spec.image" in words
