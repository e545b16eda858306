"""What cannot be carried out: what is done all the same, and what status tells of it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

import pytest

from quorate_fake_api.virtual_loop import run_virtually
from quorate_operator import labels
from quorate_operator.conditions import with_problem
from quorate_operator.errors import (
    Conflict,
    Gone,
    OperatorError,
    Refused,
    Unavailable,
)
from quorate_operator.hindrances import FOUGHT_S, UNANSWERED_PASSES
from quorate_operator.kube.observe import Absent
from quorate_operator.model import ClusterStatus, MemberRow
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    Found,
    LabelPod,
    Note,
    PatchClaim,
    Step,
    Transfer,
    WriteIdentity,
)
from quorate_operator.reasons import Condition, Reason
from quorate_operator.reconcile import REFUSED_S
from quorate_reconciliation.world import (
    APPLY,
    EVICT,
    KEY,
    LABEL,
    RECORDED,
    TRANSFER,
    World,
    observed,
    plan_of,
    reconciled,
    row,
)

ANY_ERROR = [Conflict("c"), Gone("g"), Unavailable("u"), Refused("r")]
SET = ApplyChild({"kind": "StatefulSet", "metadata": {"name": "bank"}}, "")
MARK = PatchClaim("log-bank-0", "c0", "1", {})


@pytest.mark.parametrize("error", ANY_ERROR)
def test_an_error_ends_what_builds_on_the_step_and_status_is_reported_all_the_same(
    error: OperatorError,
) -> None:
    for step in (SET, Found(0, "p0"), EVICT, TRANSFER):
        world = World(deque([plan_of(MARK, step)]), errors={PatchClaim: error})
        verdict = reconciled(world)
        assert world.log == ["observe", "plan", MARK]
        assert len(world.statuses) == 1
        assert verdict.failed


@pytest.mark.parametrize("error", ANY_ERROR)
def test_the_leader_service_follows_its_leader_though_a_child_cannot_be_made(
    error: OperatorError,
) -> None:
    other = replace(LABEL, name="bank-1", labels={"quorate.io/role": None})
    world = World(deque([plan_of(APPLY, SET, LABEL, other)]), errors={ApplyChild: error})
    assert reconciled(world).failed
    assert world.log[-2:] == [LABEL, other]


def test_the_old_leader_keeps_its_label_until_the_new_one_has_it() -> None:
    other = replace(LABEL, name="bank-1", labels={"quorate.io/role": None})
    errors: dict[type, OperatorError] = {LabelPod: Refused("r"), ApplyChild: Refused("r")}
    world = World(deque([plan_of(APPLY, LABEL, other)]), errors=errors)
    reconciled(world)
    assert other not in world.log


def test_a_child_that_is_refused_keeps_no_other_from_being_repaired() -> None:
    create = CreateChild({"kind": "Secret", "metadata": {"name": "bank-auth"}})
    errors: dict[type, OperatorError] = {CreateChild: Refused("quota"), PatchClaim: Refused("mark")}
    world = World(deque([plan_of(create, APPLY, SET, MARK, EVICT)]), errors=errors)
    reconciled(world)
    assert world.log == ["observe", "plan", create, APPLY, MARK], "no pod is made without a Secret"
    assert world.statuses[0].conditions[-1].message == "quota; mark"


def test_where_nothing_answers_no_other_child_is_tried() -> None:
    """Each call may take its whole limit, and a pass has one as well."""
    world = World(deque([plan_of(MARK, APPLY)]), errors={PatchClaim: Unavailable("u")})
    reconciled(world)
    assert APPLY not in world.log


def test_nothing_is_written_after_an_identity_that_was_refused() -> None:
    step = WriteIdentity("u", "1", "c" * 32, 0, founded=True)
    world = World(deque([plan_of(step, APPLY, MARK)]), errors={WriteIdentity: Refused("r")})
    reconciled(world)
    assert world.log == ["observe", "plan", step]


def test_an_identity_that_is_refused_is_told_though_a_label_was_set() -> None:
    step = WriteIdentity("u", "1", "c" * 32, 0, founded=True)
    world = World(deque([plan_of(step, LABEL)]), errors={WriteIdentity: Refused("a rule")})
    reconciled(world)
    assert world.log[-1] == LABEL
    assert world.statuses[0].conditions[-1].message == "a rule"


@pytest.mark.parametrize(
    ("errors", "is_told"),
    [
        ({}, True),
        ({ApplyChild: Refused("quota")}, True),
        ({LabelPod: Refused("policy")}, False),
    ],
)
def test_a_label_that_was_set_again_is_told_exactly_if_it_was(
    errors: dict[type, OperatorError], *, is_told: bool
) -> None:
    notes = (Note(Reason.MEMBER_LABELLED, "set again"),)
    world = World(deque([plan_of(APPLY, LABEL, EVICT, notes=notes), plan_of()]), errors=errors)
    reconciled(world)
    assert (Reason.MEMBER_LABELLED in {note.reason for note in world.notes}) is is_told


def unanswered(
    errors: list[OperatorError | None], step: Step = APPLY, *before: Step, changed: str = ""
) -> list[ClusterStatus]:
    """Return the statuses of passes whose last step fails, or not, one after the other."""
    world = World(deque([plan_of(*before, step)]), changed=changed)
    reconciler = world.reconciler()

    async def story() -> None:
        for error in errors:
            kind = tuple if isinstance(step, Found | Transfer) else type(step)
            world.errors = {} if error is None else {kind: error}
            recorded = world.statuses[-1] if world.statuses else RECORDED
            resource = replace(observed().resource, status=recorded)
            world.looks.append(replace(observed(), resource=resource))
            await reconciler.reconcile(KEY)
            world.looks.clear()

    asyncio.run(story())
    return world.statuses


def test_what_goes_on_failing_stands_in_the_status_until_it_works() -> None:
    """A webhook that is down answers 500, or not at all, and only an operator's log said so."""
    down = [Unavailable(f"HTTP 500: failed calling webhook: port {port}") for port in range(9)]
    statuses = unanswered([*down, None])
    told = [status.conditions[-1] for status in statuses]
    first = UNANSWERED_PASSES - 1
    assert all(status == RECORDED for status in statuses[:first]), "an answer may be lost"
    assert all(row.reason is Reason.API_REFUSED for row in told[first:-1])
    assert "Service/bank" in told[first].message
    assert "failed calling webhook" in told[first].message
    assert len(set(told[first:-1])) == 1, "the port is no news"
    assert statuses[-1] == RECORDED, "it heals by itself"


def test_what_does_not_get_through_is_told_in_place_of_what_was_refused_before() -> None:
    errors: list[OperatorError | None] = [Refused("policy x"), Unavailable("no answer")]
    messages = [status.conditions[-1].message for status in unanswered(errors)]
    assert messages[0] == "policy x"
    assert messages[1].startswith("ApplyChild Service/bank does not get through: no answer")


@pytest.mark.parametrize("length", [1, 990])
def test_of_two_hindrances_each_is_told_once_however_long_both_last(length: int) -> None:
    """The one that stands in the status took the other along, once more with each pass."""
    words = "spec.type of Service bank is changed"
    down = Unavailable("failed calling webhook" + "." * length)
    statuses = unanswered([*[down] * 12, None], MARK, APPLY, changed=words)
    first, *later = statuses[UNANSWERED_PASSES:-1]
    assert all(status == first for status in later), "nothing is new"
    message = first.conditions[-1].message
    assert message.startswith("PatchClaim log-bank-0 does not get through")
    assert message.count(words) == (1 if length == 1 else 0), "a long answer leaves no room"
    assert statuses[-1].conditions[-1].message == words, "what ended is not told any more"


def test_an_answer_that_is_lost_now_and_then_is_no_news() -> None:
    lost, changed = Unavailable("timeout"), Conflict("changed")
    for between in (None, changed):
        statuses = unanswered([lost, lost, lost, between] * 4)
        assert all(status == RECORDED for status in statuses)


def test_another_operator_goes_on_telling_what_does_not_get_through() -> None:
    (before,) = set(unanswered([Unavailable("timeout")] * 9)[-1:])
    world = World(deque([plan_of(APPLY)]), errors={ApplyChild: Unavailable("timeout")})
    resource = replace(observed().resource, status=before)
    world.looks.append(replace(observed(), resource=resource))
    reconciled(world)
    assert world.statuses == [before]


def test_a_child_that_a_policy_rewrites_is_told_and_stops_nothing() -> None:
    """It is applied again and again; and where it is the StatefulSet, no update goes on."""
    words = "spec.type of Service bank is changed"
    world = World(deque([plan_of(APPLY, EVICT)]), changed=words)
    assert not reconciled(world).failed
    assert world.log[-1] == EVICT
    told = world.statuses[0].conditions[-1]
    assert (told.status, told.reason, told.message) == (False, Reason.API_REFUSED, words)
    assert [note.message for note in world.notes] == [words]
    world = World(deque([plan_of(APPLY), plan_of()]), changed=words)
    reconciled(world, passes=2)
    assert world.statuses[-1] == RECORDED, "it heals by itself"


def test_a_rewriting_that_ends_leaves_nothing_behind_however_long_it_lasted() -> None:
    """What a policy makes of each child is told in its own words, and is no fight."""
    services = [
        ApplyChild({"kind": "Service", "metadata": {"name": name}}, "") for name in ("a", "b")
    ]
    words = "spec.type is changed"
    world = World(deque([*[plan_of(*services)] * 12, plan_of()]), changed=words)
    reconciled(world, passes=13)
    messages = [status.conditions[-1].message for status in world.statuses[:-1]]
    assert set(messages) == {f"{words}; {words}"}, "of each child"
    assert world.statuses[-1] == RECORDED


def applied(wanted: str) -> ApplyChild:
    marks = {labels.APPLIED_HASH_ANNOTATION: wanted}
    return ApplyChild({"kind": "Service", "metadata": {"name": "b", "annotations": marks}}, "")


def fought(bodies: list[str], every_s: float) -> list[ClusterStatus]:
    """Return the statuses of passes that apply, each followed by one that finds nothing to do."""
    plans = [made for body in bodies for made in (plan_of(applied(body)), plan_of())]
    world = World(deque([*plans, plan_of()]))
    reconciler = world.reconciler()

    async def story() -> None:
        for _ in bodies:
            await reconciler.reconcile(KEY)
            await asyncio.sleep(every_s / 2)
            await reconciler.reconcile(KEY)
            await asyncio.sleep(every_s / 2)
        await asyncio.sleep(FOUGHT_S)
        await reconciler.reconcile(KEY)

    run_virtually(story())
    return world.statuses


@pytest.mark.parametrize("every_s", [0.5, 15.0, 38.0])
def test_an_object_that_is_changed_back_again_and_again_is_told(every_s: float) -> None:
    """An autoscaler of the StatefulSet, or a tool that keeps its template: each change is repaired
    at once, and was told nowhere."""
    statuses = fought(["h"] * 12, every_s)
    told = [row for status in statuses for row in status.conditions if row.status is False]
    rows = [row for row in told if row.reason is Reason.API_REFUSED]
    assert all(row.message.startswith("Service/b is changed or deleted") for row in rows)
    assert len(rows) == 10, "from the eighth time on, between the times as well"
    assert statuses[-1] == RECORDED, "it ends when that ends"


@pytest.mark.parametrize(
    ("bodies", "every_s"), [(["h"] * 12, 45.0), (["h"] * 7, 0.5), ([*"abcdefghijkl"], 0.5)]
)
def test_an_object_that_is_applied_now_and_then_or_edited_often_has_no_other_writer(
    bodies: list[str], every_s: float
) -> None:
    assert all(status == RECORDED for status in fought(bodies, every_s))


@pytest.mark.parametrize("step", [Found(0, "p0"), TRANSFER])
def test_a_member_that_does_not_answer_is_no_refusal_of_the_api_server(step: Step) -> None:
    statuses = unanswered([Unavailable("timeout")] * 9, step)
    assert all(status == RECORDED for status in statuses)


def test_what_the_api_server_refuses_stands_in_the_status() -> None:
    world = World(deque([plan_of(APPLY)]), errors={ApplyChild: Refused("forbidden by policy x")})
    verdict = reconciled(world)
    told = world.statuses[0].conditions[-1]
    assert told.type is Condition.RECONCILED
    assert (told.status, told.reason) == (False, Reason.API_REFUSED)
    assert "policy x" in told.message
    assert verdict.again_s == REFUSED_S


def refused(recorded: ClusterStatus, lag_bytes: int) -> World:
    """A pass in which a policy refuses a child, and one member is so far behind."""
    rows = (MemberRow(0, lag_bytes=lag_bytes),)
    status = replace(RECORDED, state="Ready", members=rows)
    look = replace(observed(), resource=replace(observed().resource, status=recorded))
    errors: dict[type, OperatorError] = {ApplyChild: Refused("forbidden by policy x")}
    world = World(deque([plan_of(APPLY, status=status)]), deque([look]), errors=errors)
    reconciled(world)
    return world


def test_what_goes_on_being_refused_is_written_and_told_once_whatever_traffic_does() -> None:
    first = refused(RECORDED, 4096)
    assert [note.reason for note in first.notes] == [Reason.API_REFUSED]
    again = refused(first.statuses[0], 8192)
    assert again.statuses == first.statuses, "positions alone are written by the way"
    assert again.notes == []
    assert again.count("reconcile_total", result="refused") == 1


def unread(recorded: ClusterStatus) -> World:
    """Return a world in which the claims may not be listed, but the resource can be read."""
    error = Refused("list persistentvolumeclaims: forbidden")
    resource = replace(observed().resource, status=recorded)
    world = World(deque([plan_of()]), deque([error]), found_resource=resource)
    verdict = reconciled(world)
    assert (verdict.again_s, verdict.failed) == (REFUSED_S, True)
    assert "plan" not in world.log
    return world


def test_a_read_that_is_refused_stands_in_the_status_and_is_told_once() -> None:
    first = unread(RECORDED)
    (status,) = first.statuses
    (row,) = (row for row in status.conditions if row.type is Condition.RECONCILED)
    assert (row.status, row.reason) == (False, Reason.API_REFUSED)
    assert "list persistentvolumeclaims" in row.message
    assert [note.reason for note in first.notes] == [Reason.API_REFUSED]
    again = unread(status)
    assert [shown.conditions for shown in again.statuses] == [status.conditions]
    assert again.notes == []


@pytest.mark.parametrize("error", [Unavailable("away"), Conflict("changed"), Gone("gone")])
def test_a_read_that_may_work_next_time_does_not_stand_in_the_status(error: OperatorError) -> None:
    world = World(deque([plan_of()]), deque([error]))
    reconciled(world)
    assert (world.statuses, world.notes, world.log) == ([], [], ["observe"])


def test_of_a_resource_that_is_gone_no_refused_read_is_told() -> None:
    gone = Absent("the resource is gone")
    world = World(deque([plan_of()]), deque([Refused("pods")]), found_resource=gone)
    reconciled(world)
    assert (world.statuses, world.notes) == ([], [])


def test_what_lasts_says_since_when() -> None:
    """A time that moved with each pass would be a write with each pass as well."""
    resource = observed().resource
    first = with_problem(RECORDED, Reason.API_REFUSED, "policy x", resource, 5.0)
    later = replace(resource, status=first)
    assert with_problem(RECORDED, Reason.API_REFUSED, "policy x", later, 500.0) == first
    other = with_problem(RECORDED, Reason.API_REFUSED, "policy y", later, 500.0)
    assert other.conditions[-1].last_transition == first.conditions[-1].last_transition
    assert with_problem(RECORDED, Reason.API_REFUSED, "policy x", resource, 0.0) != first


def test_a_problem_is_told_of_the_generation_that_was_seen_and_since_it_began() -> None:
    """Whoever waits for a change of his sees by both whether what he reads is about it."""
    was_well = replace(RECORDED, conditions=(row(Condition.RECONCILED, status=True),))
    resource = replace(observed().resource, generation=7, status=was_well)
    told = with_problem(RECORDED, Reason.API_REFUSED, "policy x", resource, 1_800_000_000.0)
    assert told.conditions[-1].observed_generation == 7
    assert told.conditions[-1].last_transition == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize(("before", "word"), [("Ready", "Blocked"), ("VolumesLost", "VolumesLost")])
def test_the_one_word_for_people_does_not_say_ready_while_nothing_can_be_made(
    before: str, word: str
) -> None:
    status = replace(RECORDED, state=before)
    words = "forbidden by policy x"
    shown = with_problem(status, Reason.API_REFUSED, words, observed().resource, 0.0)
    assert shown.state == word
