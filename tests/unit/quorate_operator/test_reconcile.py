"""One pass: what is done, in which order, and what is not done when the world has changed."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from quorate_fake_api.virtual_loop import VirtualClock
from quorate_operator.conditions import with_problem
from quorate_operator.errors import (
    Conflict,
    Deferred,
    Gone,
    LeaseLost,
    OperatorError,
    Refused,
    Unavailable,
)
from quorate_operator.kube.act import Actor
from quorate_operator.kube.events import Herald
from quorate_operator.kube.observe import Absent, Observer
from quorate_operator.members import Members
from quorate_operator.metrics import Metrics
from quorate_operator.model import ClusterStatus, ConditionRow, MemberRow
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeletePod,
    EvictPod,
    Found,
    LabelPod,
    LabelSource,
    Note,
    Plan,
    Step,
    Transfer,
    WriteIdentity,
)
from quorate_operator.planning.observed import Child, Member, Observed, Pod, Resource
from quorate_operator.queue import Key, Verdict
from quorate_operator.reasons import Condition, Reason
from quorate_operator.reconcile import (
    BUSY_MAX_S,
    DEFERRED_S,
    REFUSED_S,
    UNSETTLED_FIRST_S,
    UNSETTLED_MAX_S,
    Reconciler,
    admin_token,
)

KEY = Key("ns", "bank")
TOKEN = base64.b64encode(b"a-token").decode()
SECRET = Child("Secret", "bank-auth", "s", "1", "u", {"data": {"token": TOKEN}})


def pod(seat: int, uid: str = "p") -> Pod:
    return Pod(
        seat=seat,
        name=f"bank-{seat}",
        uid=f"{uid}{seat}",
        resource_version="1",
        controller_uid="set",
        created_s=0.0,
        deleting=False,
        scheduled=True,
        running=True,
        ready=True,
        reason="",
        restarts=0,
        last_exit_code=None,
        node="n",
        ip="127.0.0.1",
        image="i",
        input_hash="",
        role="",
        term=-1,
        not_running_since_s=None,
    )


def observed(version: str = "1") -> Observed:
    resource = Resource("bank", "ns", "u", version, 1, None, RECORDED)
    pods = {seat: pod(seat) for seat in range(3)}
    return Observed(0.0, "i", resource, None, pods, {}, {}, (SECRET,))


EVICT = EvictPod(1, "bank-1", "p1", "1", Reason.UPDATING)
DELETE = DeletePod(1, "bank-1", "p1", "1", Reason.MEMBER_BROKEN)
TRANSFER = Transfer(0, "p0", None, Reason.UPDATING)
LABEL = LabelPod("bank-0", "p0", {"quorate.io/role": "leader"}, {})
APPLY = ApplyChild({"kind": "Service", "metadata": {"name": "bank"}}, "")


@dataclass
class World:
    """Fakes at the edges, and a transcript of what reaches them."""

    plans: deque[Plan]
    looks: deque[Observed | Absent | OperatorError] = field(default_factory=deque)
    log: list[object] = field(default_factory=list)
    errors: dict[type, OperatorError] = field(default_factory=dict)
    schema_current: bool = True
    statuses: list[ClusterStatus] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    may_act: bool = True

    async def observe(self, namespace: str, name: str) -> Observed | Absent:
        self.log.append("observe")
        look = self.looks.popleft() if self.looks else observed()
        if isinstance(look, OperatorError):
            raise look
        return look

    def plan(self, seen: Observed) -> Plan:
        self.log.append("plan")
        return self.plans.popleft() if len(self.plans) > 1 else self.plans[0]

    async def act(self, resource: Resource, step: Step) -> None:
        await self._do(step)

    async def label_source(self, resource: Resource, step: LabelSource) -> None:
        await self._do(step)

    async def found(self, pod: Pod, token: str) -> str:
        await self._do(("found", pod.seat, token))
        return ""

    async def transfer(self, pod: Pod, token: str, to: int | None) -> str:
        await self._do(("transfer", pod.seat, token, to))
        return ""

    async def _do(self, what: object) -> None:
        self.log.append(what)
        error = self.errors.get(type(what))
        if error is not None:
            raise error

    async def report(self, resource: Resource, status: ClusterStatus) -> bool:
        self.statuses.append(status)
        return status != resource.status

    async def tell(self, resource: Resource, note: Note) -> None:
        self.notes.append(note)
        if Note in self.errors:
            raise self.errors[Note]

    async def follow(self, key: Key, cluster_id: str, pods: dict[int, Pod]) -> None:
        self.followed.append(cluster_id)

    async def forget(self, key: Key) -> None:
        self.log.append("forget")

    def heard(self, key: Key) -> dict[int, Member]:
        return {}

    async def ask(self, key: Key) -> dict[int, Member]:
        self.log.append("ask")
        return {}

    def reconciler(self) -> Reconciler:
        return Reconciler(
            cast("Observer", self),
            self.plan,
            cast("Actor", self),
            cast("Members", self),
            cast("Herald", self),
            self.metrics,
            VirtualClock(),
            lambda: self.schema_current,
            self.guard,
        )

    def guard(self) -> None:
        if not self.may_act:
            raise LeaseLost("held by another")

    metrics: Metrics = field(default_factory=Metrics)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"quorate_operator_{name}", labels) or 0.0


def row(type_: Condition, *, status: bool) -> ConditionRow:
    return ConditionRow(type_, status, Reason.STABLE, "", 1, "2026-01-01T00:00:00Z")


READY = (row(Condition.READY, status=True), row(Condition.PROGRESSING, status=False))
RECORDED = ClusterStatus(cluster_id="c" * 32, conditions=READY)


def plan_of(
    *steps: Step,
    again: float | None = None,
    notes: tuple[Note, ...] = (),
    status: ClusterStatus = RECORDED,
) -> Plan:
    return Plan(steps, status, notes, again)


def reconciled(world: World, passes: int = 1) -> Verdict:
    async def story() -> Verdict:
        reconciler = world.reconciler()
        for _ in range(passes - 1):
            await reconciler.reconcile(KEY)
        return await reconciler.reconcile(KEY)

    return asyncio.run(story())


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
    [({}, "Secret"), ({"token": "%%"}, "Secret"), ({"token": ""}, "Secret"), ({}, "ConfigMap")],
)
def test_without_a_token_nobody_is_asked(data: dict[str, str], kind: str) -> None:
    child = replace(SECRET, body={"data": data}, kind=kind)
    with pytest.raises(Unavailable, match="bank-auth has no token"):
        admin_token(replace(observed(), children=(child,)))


@pytest.mark.parametrize("error", [Conflict("c"), Gone("g"), Unavailable("u"), Refused("r")])
def test_the_first_error_ends_the_steps_and_status_is_reported_all_the_same(
    error: OperatorError,
) -> None:
    world = World(deque([plan_of(LABEL, APPLY)]), errors={LabelPod: error})
    verdict = reconciled(world)
    assert APPLY not in world.log
    assert len(world.statuses) == 1
    assert verdict.failed


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


@pytest.mark.parametrize(("before", "word"), [("Ready", "Blocked"), ("VolumesLost", "VolumesLost")])
def test_the_one_word_for_people_does_not_say_ready_while_nothing_can_be_made(
    before: str, word: str
) -> None:
    status = replace(RECORDED, state=before)
    shown = with_problem(status, Reason.API_REFUSED, "forbidden by policy x", observed())
    assert shown.state == word


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
    reconciled(World(deque([plan_of(CreateChild(body))])))
    assert "CreateChild Secret/bank-auth" in caplog.text
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
