"""One pass: what is done, in which order, and what is not done when the world has changed."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from dataclasses import replace
from typing import cast

import pytest

from quorate_fake_api.virtual_loop import VirtualClock
from quorate_operator.errors import (
    Conflict,
    Deferred,
    LeaseLost,
    OperatorError,
    Refused,
    Unavailable,
)
from quorate_operator.kube.observe import Absent
from quorate_operator.model import ConditionRow
from quorate_operator.pacing import BUSY_MAX_S, UNSETTLED_FIRST_S, UNSETTLED_MAX_S
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    EvictPod,
    Found,
    LabelPod,
    LabelSource,
    Note,
    Plan,
    Step,
    WriteIdentity,
)
from quorate_operator.planning.observed import Child
from quorate_operator.queue import Verdict
from quorate_operator.reasons import Condition, Reason
from quorate_operator.reconcile import DEFERRED_S, admin_token
from quorate_reconciliation.world import (
    APPLY,
    DELETE,
    EVICT,
    KEY,
    LABEL,
    RECORDED,
    SECRET,
    TOKEN,
    TRANSFER,
    World,
    observed,
    plan_of,
    reconciled,
    row,
)


def test_steps_are_done_in_their_order_and_then_reported() -> None:
    world = World(deque([plan_of(LABEL, APPLY)]))
    verdict = reconciled(world)
    assert world.log == ["observe", "plan", LABEL, APPLY]
    assert len(world.statuses) == 1
    assert not verdict.failed
    assert verdict.again_s is not None, "what was done is looked at again"
    assert world.count("actions_total", action="LabelPod") == 1


def test_after_the_identity_was_written_the_status_waits_for_the_next_look() -> None:
    step = WriteIdentity("u", "1", "c" * 32, 0, founded=False)
    world = World(deque([plan_of(step, LABEL)]))
    verdict = reconciled(world)
    assert world.log == ["observe", "plan", step, LABEL]
    assert world.statuses == []
    assert verdict.again_s is not None


def test_a_pass_with_nothing_to_do_waits_to_be_woken() -> None:
    world = World(deque([plan_of()]))
    assert reconciled(world) == Verdict(None)
    assert world.count("reconcile_total", result="unchanged") == 1


def test_a_plan_that_wants_the_members_present_word_gets_it_at_the_next_look() -> None:
    world = World(deque([replace(plan_of(), ask_members=True), plan_of(), plan_of()]))
    reconciled(world, passes=3)
    assert world.log == ["observe", "plan", "observe", "ask", "plan", "observe", "plan"]


@pytest.mark.parametrize(
    "conditions",
    [
        (),
        (row(Condition.READY, status=False),),
        (row(Condition.READY, status=True), row(Condition.PROGRESSING, status=True)),
    ],
)
def test_a_cluster_that_is_not_as_it_should_be_is_looked_at_again_and_its_members_asked(
    conditions: tuple[ConditionRow, ...],
) -> None:
    """Nothing else would tell that a member has caught up: positions wake nobody."""
    status = replace(RECORDED, conditions=conditions)
    resource = replace(observed().resource, status=status)
    looks = [replace(observed(), resource=resource) for _ in range(12)]
    world = World(deque([plan_of(status=status)]), deque(looks))

    async def story() -> list[float | None]:
        reconciler = world.reconciler()
        return [(await reconciler.reconcile(KEY)).again_s for _ in range(12)]

    waits = asyncio.run(story())
    assert waits[0] == UNSETTLED_FIRST_S
    assert waits[-1] == UNSETTLED_MAX_S
    assert waits == sorted(waits)  # type: ignore[type-var]
    assert world.log.count("ask") == 11, "all but the first"


def test_a_deadline_of_the_plan_is_kept() -> None:
    assert reconciled(World(deque([plan_of(again=7.5)]))) == Verdict(7.5)


def test_a_plan_that_never_ends_is_slowed_down() -> None:
    again = [reconciled(World(deque([plan_of(LABEL)])), n).again_s for n in range(1, 12)]
    assert again == sorted(again)  # type: ignore[type-var]
    assert again[-1] == BUSY_MAX_S


@pytest.mark.parametrize("step", [EVICT, DELETE, TRANSFER])
def test_a_disruption_is_done_after_all_was_read_and_planned_again(step: Step) -> None:
    world = World(deque([plan_of(LABEL, step)]))
    reconciled(world)
    assert world.log[:6] == ["observe", "plan", LABEL, "observe", "ask", "plan"]
    assert len(world.log) == 7, "and only then done"


@pytest.mark.parametrize("step", [EVICT, DELETE, TRANSFER])
@pytest.mark.parametrize(
    "second",
    [
        plan_of(),
        plan_of(LABEL),
        plan_of(replace(EVICT, seat=2, name="bank-2", uid="p2")),
        plan_of(replace(EVICT, uid="another")),
        plan_of(replace(DELETE, reason=Reason.UPDATING)),
        plan_of(replace(TRANSFER, to=2)),
        plan_of(replace(TRANSFER, pod_uid="another")),
    ],
)
def test_a_disruption_that_does_not_come_out_the_same_is_not_done(step: Step, second: Plan) -> None:
    world = World(deque([plan_of(step), second]))
    verdict = reconciled(world)
    assert world.log == ["observe", "plan", "observe", "ask", "plan"]
    assert world.count("deferred_total", reason="changed") == 1
    assert not verdict.failed


def test_another_heir_is_no_difference_and_the_later_one_is_taken() -> None:
    first, second = replace(TRANSFER, to=1), replace(TRANSFER, to=2)
    world = World(deque([plan_of(first), plan_of(second)]))
    reconciled(world)
    assert [entry[-1] for entry in world.log if isinstance(entry, tuple)] == [2]


@pytest.mark.parametrize("look", [Absent("gone"), Unavailable("away"), Conflict("changed")])
@pytest.mark.parametrize("step", [EVICT, DELETE, TRANSFER])
def test_a_disruption_is_not_done_when_the_second_look_fails(
    step: Step, look: Absent | OperatorError
) -> None:
    world = World(deque([plan_of(step)]), deque([observed(), look]))
    reconciled(world)
    assert step not in world.log
    assert not any(isinstance(entry, tuple) for entry in world.log)


@pytest.mark.parametrize("step", [EVICT, DELETE])
def test_the_newest_version_of_the_pod_is_the_one_that_is_removed(step: EvictPod) -> None:
    newer = replace(step, resource_version="9")
    world = World(deque([plan_of(step), plan_of(newer)]))
    reconciled(world)
    assert world.log[-1] == newer


def test_asking_a_member_uses_the_token_of_the_secret() -> None:
    world = World(deque([plan_of(Found(2, "p2"), TRANSFER)]))
    reconciled(world)
    assert ("found", 2, "a-token") in world.log
    assert world.log[-1] == ("transfer", 0, "a-token", None)


@pytest.mark.parametrize("step", [Found(2, "another"), Found(7, "p7")])
def test_a_member_in_another_pod_is_not_asked(step: Found) -> None:
    world = World(deque([plan_of(step)]))
    assert reconciled(world).failed
    assert not any(isinstance(entry, tuple) for entry in world.log)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({}, "Secret"),
        ({"token": "%%"}, "Secret"),
        ({"token": ""}, "Secret"),
        ({}, "ConfigMap"),
        *(
            ({"token": base64.b64encode(token).decode()}, "Secret")
            for token in (b"two\nlines", b"two\r\nlines", b"two words", b"a\x00b", "tök".encode())
        ),
    ],
)
def test_without_a_token_nobody_is_asked(data: dict[str, str], kind: str) -> None:
    child = replace(SECRET, body={"data": data}, kind=kind)
    with pytest.raises(Unavailable, match="bank-auth has no token"):
        admin_token(replace(observed(), children=(child,)))


@pytest.mark.parametrize(
    "other", [replace(SECRET, name="bank"), replace(SECRET, kind="ConfigMap")], ids=["name", "kind"]
)
def test_the_token_of_another_object_is_sent_to_nobody(other: Child) -> None:
    with pytest.raises(Unavailable):
        admin_token(replace(observed(), children=(other,)))


def test_a_token_may_end_with_a_line_as_editors_write_it() -> None:
    """In the header of a request it would be refused, and no member could be asked for anything."""
    data = base64.b64encode(b"a-token\n").decode()
    child = replace(SECRET, body={"data": {"token": data}})
    assert admin_token(replace(observed(), children=(child,))) == "a-token"


def test_a_disruption_budget_puts_off_and_is_no_failure() -> None:
    world = World(deque([plan_of(EVICT)]), errors={EvictPod: Deferred("budget")})
    assert reconciled(world) == Verdict(DEFERRED_S)
    assert world.count("deferred_total", reason="EvictPod") == 1
    assert world.count("reconcile_total", result="deferred") == 1


@pytest.mark.parametrize("error", [Deferred("budget"), Refused("policy"), Unavailable("away")])
def test_what_status_tells_is_told_also_when_a_step_was_not_done(error: OperatorError) -> None:
    notes = (Note(Reason.UPDATE_STARTED, "begins"), Note(Reason.MEMBER_EVICTED, "replaced"))
    world = World(deque([plan_of(EVICT, notes=notes)]), errors={EvictPod: error})
    reconciled(world)
    refusal = [Reason.API_REFUSED] if isinstance(error, Refused) else []
    assert [note.reason for note in world.notes] == [Reason.UPDATE_STARTED, *refusal]


@pytest.mark.parametrize("reason", list(Reason))
def test_what_was_done_is_told(reason: Reason) -> None:
    world = World(deque([plan_of(LABEL, APPLY, notes=(Note(reason, "done"),))]))
    reconciled(world)
    assert [note.reason for note in world.notes] == [reason]


class SlowClock(VirtualClock):
    """A second and a half between any two readings of how long something took."""

    now_ns: int = 0

    def monotonic(self) -> int:
        self.now_ns += 1_500_000_000
        return self.now_ns

    def wall(self) -> int:
        return self.now_ns


def test_how_long_passes_take_is_told_in_seconds() -> None:
    world = World(deque([plan_of()]))
    reconciler = world.reconciler()
    reconciler.clock = SlowClock()
    asyncio.run(reconciler.reconcile(KEY))
    assert world.count("reconcile_seconds_count") == 1
    assert world.count("reconcile_seconds_sum") == pytest.approx(1.5)


def test_a_disruption_that_was_not_wanted_any_more_is_not_told() -> None:
    notes = (Note(Reason.UPDATE_STARTED, "begins"), Note(Reason.MEMBER_EVICTED, "replaced"))
    world = World(deque([plan_of(EVICT, notes=notes), plan_of()]))
    reconciled(world)
    assert [note.reason for note in world.notes] == [Reason.UPDATE_STARTED]


@pytest.mark.parametrize("step", [Found(0, "p0"), TRANSFER])
def test_no_member_is_asked_by_a_process_without_the_lease(step: Step) -> None:
    world = World(deque([plan_of(step)]), may_act=False)
    with pytest.raises(LeaseLost):
        reconciled(world)
    assert not [what for what in world.log if isinstance(what, tuple)]


def test_a_server_that_names_a_time_is_left_alone_for_as_long() -> None:
    world = World(deque([plan_of()]), deque([Unavailable("busy", 33.0)]))
    assert reconciled(world) == Verdict(33.0, failed=True)


def test_a_lost_lease_ends_everything_and_reports_nothing() -> None:
    world = World(deque([plan_of(LABEL, APPLY)]), errors={LabelPod: LeaseLost("lost")})
    with pytest.raises(LeaseLost):
        reconciled(world)
    assert world.statuses == []


@pytest.mark.parametrize("why", ["gone", "being deleted", "namespace"])
def test_what_is_gone_gets_no_write_and_is_forgotten(why: str) -> None:
    world = World(deque([plan_of(APPLY)]), deque([Absent(why)]))
    assert reconciled(world) == Verdict(forget=True)
    assert world.log == ["observe", "forget"]
    assert (world.statuses, world.notes) == ([], [])


def test_with_an_older_schema_nothing_is_done_but_saying_so() -> None:
    world = World(deque([plan_of(APPLY)]), schema_current=False)
    assert not reconciled(world).failed
    assert world.log == ["observe"], "not even planned"
    told = world.statuses[0].conditions[-1]
    assert (told.status, told.reason) == (False, Reason.SCHEMA_TOO_OLD)
    assert [note.reason for note in world.notes] == [Reason.SCHEMA_TOO_OLD]
    look = replace(observed(), resource=replace(observed().resource, status=world.statuses[0]))
    again = World(deque([plan_of(APPLY)]), deque([look]), schema_current=False)
    reconciled(again)
    assert again.notes == [], "what the status tells of already is no news"


def test_a_bug_in_one_pass_is_counted_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World(deque())
    world.plans = cast("deque[Plan]", [])
    verdict = reconciled(world)
    assert verdict.failed
    assert world.count("reconcile_total", result="bug") == 1
    assert "this is a bug" in caplog.text


def test_an_event_that_cannot_be_told_costs_nothing() -> None:
    note = Note(Reason.UPDATE_STARTED, "begun")
    world = World(deque([plan_of(notes=(note,))]), errors={Note: Unavailable("away")})
    assert not reconciled(world).failed
    assert world.notes == [note]


def test_a_secret_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    body = {"kind": "Secret", "metadata": {"name": "bank-auth"}, "data": {"token": TOKEN}}
    caplog.set_level("DEBUG")
    reconciled(World(deque([plan_of(CreateChild(body), ApplyChild(body, ""))])))
    assert "CreateChild Secret/bank-auth" in caplog.text
    assert "ApplyChild Secret/bank-auth" in caplog.text
    assert TOKEN not in caplog.text


SOURCE = LabelSource("orders-code", "m")


def labellings(errors: dict[type, OperatorError], passes: int) -> tuple[int, list[Verdict]]:
    plan = Plan((), RECORDED, label_source=SOURCE)
    world = World(deque([plan]), errors=errors)
    reconciler = world.reconciler()

    async def story() -> list[Verdict]:
        return [await reconciler.reconcile(KEY) for _ in range(passes)]

    verdicts = asyncio.run(story())
    return world.log.count(SOURCE), verdicts


def test_a_source_that_may_not_be_labelled_is_left_alone_and_stops_nothing() -> None:
    count, verdicts = labellings({LabelSource: Refused("a policy")}, 3)
    assert count == 1
    assert not any(verdict.failed for verdict in verdicts)


def test_a_source_that_could_not_be_labelled_is_tried_again() -> None:
    count, verdicts = labellings({LabelSource: Unavailable("away")}, 3)
    assert count == 3
    assert not any(verdict.failed for verdict in verdicts)
