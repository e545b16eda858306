"""A world of fakes around one reconciler: looks, plans and errors as a test writes them down."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from quorate_fake_api.virtual_loop import VirtualClock
from quorate_operator.errors import LeaseLost, OperatorError
from quorate_operator.kube.act import Actor
from quorate_operator.kube.events import Herald
from quorate_operator.kube.observe import Absent, Observer
from quorate_operator.members import Members
from quorate_operator.metrics import Metrics
from quorate_operator.model import ClusterStatus, ConditionRow
from quorate_operator.planning.actions import (
    ApplyChild,
    DeletePod,
    EvictPod,
    LabelPod,
    LabelSource,
    Note,
    Plan,
    Step,
    Transfer,
)
from quorate_operator.planning.observed import Child, Member, Observed, Pod, Resource
from quorate_operator.queue import Key, Verdict
from quorate_operator.reasons import Condition, Reason
from quorate_operator.reconcile import Reconciler

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
    asking_s: float = 0.0
    """How long the members take to answer."""
    planned: list[Observed] = field(default_factory=list)
    may_act: bool = True
    found_resource: Resource | Absent = field(default_factory=lambda: observed().resource)
    changed: str = ""
    """What becomes of a child that is applied."""

    async def observe(self, namespace: str, name: str) -> Observed | Absent:
        self.log.append("observe")
        look = self.looks.popleft() if self.looks else observed()
        if isinstance(look, OperatorError):
            raise look
        return look

    async def find(self, namespace: str, name: str) -> Resource | Absent:
        self.log.append("find")
        return self.found_resource

    def plan(self, seen: Observed) -> Plan:
        self.log.append("plan")
        self.planned.append(seen)
        return self.plans.popleft() if len(self.plans) > 1 else self.plans[0]

    async def act(self, resource: Resource, step: Step) -> str:
        await self._do(step)
        return self.changed if isinstance(step, ApplyChild) else ""

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
        await asyncio.sleep(self.asking_s)
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
