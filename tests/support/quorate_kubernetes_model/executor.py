"""An operator of paper: observe, plan, act and report, stopping before every call.

Each pass is a generator that yields where a real operator waits, so that anything may happen
there: other actors act, the operator ends, or it is frozen and acts late on what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from quorate.control.status import MemberStatus
from quorate_kubernetes_model.judge import Judge, Look
from quorate_kubernetes_model.machinery import Machinery
from quorate_operator.errors import Conflict, Deferred, Gone, OperatorError, Unavailable
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeleteChild,
    DeletePod,
    Disruption,
    EvictPod,
    Found,
    LabelPod,
    PatchClaim,
    Plan,
    Step,
    Transfer,
    WriteIdentity,
)
from quorate_operator.planning.observed import Member, Observed
from quorate_operator.planning.plan import plan

Planner = Callable[[Observed], Plan]
ObjectStep = WriteIdentity | CreateChild | ApplyChild | DeleteChild | PatchClaim | LabelPod
INSTALLATION = "quorate-system/quorate"
POLL_S = 10
"""Words that were heard are at most so old."""


@dataclass(slots=True)
class Executor:
    """One operator process."""

    machinery: Machinery
    judge: Judge
    chance: Random
    errors: float = 0.0
    """Share of calls that fail, before or after they take effect."""
    heard: dict[int, Member] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)
    """Seats whose control port this operator does not reach."""
    ask: bool = False
    last: Plan | None = None
    wrote: bool = False
    disturbed: bool = False
    """Whether time or a fault passed since the last look."""
    looked: Look | None = None

    def passes(self) -> Iterator[str]:
        """Reconcile once; yields before each call."""
        observed = yield from self.look(live=self.ask)
        if observed is None:
            return
        assert self.looked is not None
        made = self.judge.on_plan(self.looked, plan(observed))
        self.last, self.ask, self.wrote = made, made.ask_members, False
        try:
            for step in made.steps:
                if not (yield from self._step(step)):
                    break
        except (Conflict, Gone, Deferred, Unavailable):
            pass  # the status is written all the same
        yield "status"
        store = self.machinery.store
        try:
            self._fail()
            self.wrote = store.write_status(observed.resource, made.status)
        except OperatorError:
            return

    def _step(self, step: Step) -> Generator[str, None, bool]:
        if isinstance(step, Transfer | EvictPod | DeletePod):
            again = yield from self.look()
            second = None if again is None else _disruption(plan(again))
            if second is None or _versionless(second) != _versionless(step):
                self.judge.marks["second look differs"] += 1
                return False
            step = second
            if self.chance.random() < 0.5:
                yield "disrupt"
        else:
            yield "act"
        self._fail()
        self._do(step)
        self._fail()
        return True

    def _fail(self) -> None:
        if self.chance.random() < self.errors:
            raise Unavailable("no answer in time")

    def _do(self, step: Step) -> None:
        machinery, look = self.machinery, self.looked
        assert look is not None
        self.judge.before(step, look)
        match step:
            case EvictPod():
                machinery.evict(step)
            case DeletePod():
                machinery.delete(step)
            case Transfer():
                machinery.store.pod_of(step.pod_uid)
                if machinery.cluster.leader == step.leader:
                    machinery.cluster.transfer(step.to)
            case Found():
                machinery.store.pod_of(step.pod_uid)
                machinery.cluster.found()
            case _:
                self._write(step)
        self.judge.after(step, look, disturbed=self.disturbed)

    def _write(self, step: ObjectStep) -> None:
        store = self.machinery.store
        match step:
            case WriteIdentity():
                store.write_identity(step)
            case CreateChild():
                store.create(step)
            case ApplyChild():
                store.apply(step)
            case DeleteChild():
                store.delete_child(step)
            case PatchClaim():
                store.patch_claim(step)
            case LabelPod():
                store.label_pod(step)

    def look(self, *, live: bool = True) -> Generator[str, None, Observed | None]:
        """Look at everything; members are asked now if ``live``."""
        store = self.machinery.store
        resource = store.read_resource()
        if resource is None:
            return None
        if self.chance.random() < 0.1:
            yield "observing"
        self._hear(resource.status.cluster_id, live=live)
        self.disturbed = False
        live_set, children = store.read_children()
        observed = Observed(
            now_s=float(store.now),
            installation=INSTALLATION,
            resource=resource,
            stateful_set=live_set,
            pods={seat: held.pod for seat, held in store.pods.items()},
            claims={seat: kept.claim for seat, kept in store.claims.items()},
            members=dict(self.heard),
            children=children,
            cordoned=frozenset(self.machinery.cordoned),
            entropy=self.chance.randbytes(64),
        )
        self.looked = Look(observed, self.judge.witness())
        return observed

    def _hear(self, cluster_id: str, *, live: bool) -> None:
        """Ask members: all of them if ``live``, otherwise some; others are remembered."""
        now = float(self.machinery.store.now)
        pods = self.machinery.store.pods
        for seat in [s for s in self.heard if s not in pods]:
            del self.heard[seat]
        for seat, held in pods.items():
            before = self.heard.get(seat)
            if not cluster_id or not held.pod.ip:
                continue
            if before is None or before.pod_uid != held.pod.uid:
                before = self.heard[seat] = Member(seat, held.pod.uid, None, 0.0, now)
            is_due = now - before.answered_s >= POLL_S or self.chance.random() < 0.5
            if live or is_due or before.silent_since_s is not None:
                self.heard[seat] = self._asked(before, cluster_id, now)

    def _asked(self, before: Member, cluster_id: str, now: float) -> Member:
        word: MemberStatus | None = None
        if before.seat not in self.cut:
            word = self.machinery.cluster.word(before.seat)
        if word is not None and word.cluster_id == cluster_id:
            return Member(before.seat, before.pod_uid, word, now, None)
        problem = "timeout" if word is None else "wrong-cluster"
        since = now if before.silent_since_s is None else before.silent_since_s
        return replace(before, silent_since_s=since, problem=problem)


def _disruption(made: Plan) -> Disruption | None:
    found = (step for step in made.steps if isinstance(step, Transfer | EvictPod | DeletePod))
    return next(found, None)


def _versionless(step: Disruption) -> Disruption:
    return step if isinstance(step, Transfer) else replace(step, resource_version="")
