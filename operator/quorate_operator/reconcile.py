"""One reconciliation: observe, plan, act, report; and what its errors mean.

Before a disruptive step everything is read again and planned again: the world may have changed
since, and the step is done only if it comes out the same.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, assert_never

from quorate.clock import Clock
from quorate_operator import labels, lenient
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
from quorate_operator.hindrances import Hindrances
from quorate_operator.kube import kinds
from quorate_operator.kube.act import Actor
from quorate_operator.kube.events import Herald
from quorate_operator.kube.observe import Absent, Observer
from quorate_operator.members import Members
from quorate_operator.metrics import Metrics
from quorate_operator.model import ClusterStatus
from quorate_operator.pacing import Pacing
from quorate_operator.planning.actions import (
    Disruption,
    Found,
    LabelPod,
    Note,
    Plan,
    Step,
    Transfer,
    WriteIdentity,
)
from quorate_operator.planning.observed import Observed, Pod, Resource
from quorate_operator.queue import Key, Verdict
from quorate_operator.reasons import Condition, Reason
from quorate_operator.steps import disruption, is_apart, is_same, told

LOGGER = logging.getLogger("quorate_operator.reconcile")

PASS_LIMIT_S = 120.0
"""Of one reconciliation: many calls of 10 s, and never for ever."""
DEFERRED_S = 2.0
"""Until a disruption that had to wait is tried again."""
REFUSED_S = 10.0
"""Shortest wait after the API server refused something: only a change there can help."""
_OF_STEPS = frozenset(
    {
        Reason.IDENTITY_CHOSEN,
        Reason.IDENTITY_TAKEN_OVER,
        Reason.FOUNDED,
        Reason.MEMBER_EVICTED,
    }
)
"""Notes that would not be true if a step was not done; they come again with the step."""
_S = 1e-9


class _Outcome(NamedTuple):
    """What came of the steps of a plan."""

    done: int
    failed: Step | None = None
    """The first that failed."""
    error: OperatorError | None = None
    """Its error, which of several refusals names each."""


@dataclass(slots=True)
class Reconciler:
    """Carries out reconciliations, several keys at a time, one of each key."""

    observer: Observer
    planner: Callable[[Observed], Plan]
    actor: Actor
    members: Members
    herald: Herald
    metrics: Metrics
    clock: Clock
    is_schema_current: Callable[[], bool] = lambda: True
    guard: Callable[[], None] = lambda: None
    """Called directly before a member is asked to act; raises if this process must not."""
    _hindrances: Hindrances = field(init=False)
    _pacing: Pacing = field(default_factory=Pacing)
    _refused: dict[Key, str] = field(default_factory=dict)
    """Uids of ConfigMaps that must not be labelled: a change of them shows at the resync."""
    _to_ask: set[Key] = field(default_factory=set)
    """Where the members' present word is wanted at the next look."""

    def __post_init__(self) -> None:
        self._hindrances = Hindrances(self.clock)

    async def reconcile(self, key: Key) -> Verdict:
        """Reconcile one key; return when to look again.

        Raises:
            LeaseLost: This process must not act any more.

        Blocking: at most ``PASS_LIMIT_S``.

        """
        began = self.clock.monotonic()
        try:
            async with asyncio.timeout(PASS_LIMIT_S):
                verdict, result = await self._pass(key)
        except LeaseLost:
            raise
        except (OperatorError, TimeoutError) as error:
            verdict, result = _judge(key, error)
        except Exception:  # a bug in one key's pass must not end the others; it is told
            LOGGER.exception("reconciling %s/%s failed: this is a bug", key.namespace, key.name)
            verdict, result = Verdict(failed=True), "bug"
        self.metrics.reconciles.labels(result).inc()
        self.metrics.reconcile_seconds.observe((self.clock.monotonic() - began) * _S)
        return verdict

    async def _pass(self, key: Key) -> tuple[Verdict, str]:
        try:
            observed = await self._observe(key, live=key in self._to_ask)
        except Refused as refusal:
            await self._report_unread(key, refusal)
            raise
        self._to_ask.discard(key)
        self._hindrances.begin(key)
        if observed is None:
            self._forget(key)
            return Verdict(forget=True), "absent"
        if not self.is_schema_current():
            return await self._refuse(observed)
        plan = self.planner(observed)
        if plan.ask_members:
            self._to_ask.add(key)
        outcome = await self._carry_out(key, observed, plan)
        status, written = await self._report(key, observed, plan, outcome)
        if outcome.error is not None:
            raise outcome.error
        await self._label_source(key, observed, plan)
        settled, acted = _is_settled(status), outcome.done > 0
        if not settled:
            self._to_ask.add(key)
        again_s = self._pacing.again_s(
            key, plan.look_again_s, acted=acted, written=written, settled=settled
        )
        return Verdict(again_s), "acted" if acted else "reported" if written else "unchanged"

    def _forget(self, key: Key) -> None:
        """Keep nothing of a key that is gone: keys come and go, and the next of a name is new."""
        self.metrics.conditions.forget(key)
        self._hindrances.forget(key)
        self._pacing.forget(key)
        self._refused.pop(key, None)

    async def _observe(self, key: Key, *, live: bool = False) -> Observed | None:
        """Return all that is, members included, which are asked anew if ``live``."""
        observed = await self.observer.observe(key.namespace, key.name)
        if isinstance(observed, Absent):
            LOGGER.info("%s/%s: %s", key.namespace, key.name, observed.why)
            await self.members.forget(key)
            return None
        cluster_id = observed.resource.status.cluster_id
        await self.members.follow(key, cluster_id, observed.pods)
        heard = await self.members.ask(key) if live else self.members.heard(key)
        return replace(observed, members=heard, now_s=self.clock.wall() * _S)

    async def _carry_out(self, key: Key, observed: Observed, plan: Plan) -> _Outcome:
        """Do the steps in order; after an error only those that do not build on what failed."""
        done = 0
        failures: list[tuple[Step, OperatorError]] = []
        for step in plan.steps:
            if failures and not is_apart(step, *failures[-1]):
                continue
            try:
                is_done = await self._step(key, observed, step)
            except LeaseLost:
                raise
            except OperatorError as error:
                if isinstance(error, Deferred):
                    self.metrics.deferred.labels(type(step).__name__).inc()
                failures.append((step, error))
                continue
            if not is_done:
                break
            done += 1
        if not failures:
            return _Outcome(done)
        failed, first = failures[0]
        if isinstance(first, Refused):
            refusals = [str(other) for _, other in failures if isinstance(other, Refused)]
            first = Refused("; ".join(refusals))
        return _Outcome(done, failed, first)

    async def _step(self, key: Key, observed: Observed, step: Step) -> bool:
        """Do one step; return False for a disruption that does not come out the same again."""
        if isinstance(step, Disruption):
            again = await self._observe(key, live=True)
            second = None if again is None else disruption(self.planner(again))
            if again is None or second is None or not is_same(step, second):
                LOGGER.info("%s/%s: %s is not wanted any more", key.namespace, key.name, step)
                self.metrics.deferred.labels("changed").inc()
                return False
            observed, step = again, second
        words = await self._do(observed, step)
        self._hindrances.note_done(key, step, words)
        action = type(step).__name__
        self.metrics.actions.labels(action).inc()
        LOGGER.info("%s/%s: %s", key.namespace, key.name, told(step))
        return True

    async def _label_source(self, key: Key, observed: Observed, plan: Plan) -> None:
        """Label the source of the code; what goes wrong is only logged."""
        step = plan.label_source
        if step is None or self._refused.get(key) == step.uid:
            return
        try:
            await self.actor.label_source(observed.resource, step)
        except LeaseLost:
            raise
        except OperatorError as error:
            if isinstance(error, Refused):
                self._refused[key] = step.uid
            LOGGER.warning("%s/%s was not labelled: %s", key.namespace, step.name, error)
        else:
            self.metrics.actions.labels(type(step).__name__).inc()

    async def _do(self, observed: Observed, step: Step) -> str:
        """Do it; return what status must say of it, if anything."""
        match step:
            case Found(seat, pod_uid):
                pod = _same_pod(observed, seat, pod_uid)
                self.guard()
                await self.members.found(pod, admin_token(observed))
            case Transfer(leader, pod_uid, to):
                pod = _same_pod(observed, leader, pod_uid)
                self.guard()
                await self.members.transfer(pod, admin_token(observed), to)
            case _:
                return await self.actor.act(observed.resource, step)
        return ""

    async def _report(
        self, key: Key, observed: Observed, plan: Plan, outcome: _Outcome
    ) -> tuple[ClusterStatus, bool]:
        """Record the status and tell the events; return the status, and whether it is news."""
        status, notes, resource = plan.status, plan.notes, observed.resource
        words = self._hindrances.words(key, resource.status, outcome.failed, outcome.error)
        if words:
            status = with_problem(status, Reason.API_REFUSED, words, resource, observed.now_s)
            notes = (*notes, *_refusal(resource, Reason.API_REFUSED, words))
        written = False
        has_identity = any(isinstance(step, WriteIdentity) for step in plan.steps)
        if not (outcome.done and has_identity) or isinstance(outcome.failed, WriteIdentity):
            # Else the version is another one by our own doing, and the next look comes at once.
            written = await self._record(resource, status)
        # The status that was just written is what later notes are told against: now or never.
        untrue = _untrue(plan, outcome)
        await self._tell(resource, tuple(note for note in notes if note.reason not in untrue))
        return status, written

    async def _record(self, resource: Resource, status: ClusterStatus) -> bool:
        """Write the status where it differs from what is recorded; return whether it did."""
        key = Key(resource.namespace, resource.name)
        if resource.held_by:  # its members are meant to go, and no alert is for that
            self.metrics.conditions.forget(key)
        else:
            self.metrics.conditions.found(key, status.conditions)
        return await self.actor.report(resource, status)

    async def _refuse(self, observed: Observed) -> tuple[Verdict, str]:
        """Do nothing but say that the served schema is too old for this operator."""
        words = "the CustomResourceDefinition is older than this operator: install its release's"
        await self._report_problem(observed.resource, Reason.SCHEMA_TOO_OLD, words)
        return Verdict(), "refused"

    async def _report_unread(self, key: Key, refusal: Refused) -> None:
        """Say which read is refused where people look, if the resource itself can be read."""
        resource = await self.observer.find(key.namespace, key.name)
        if not isinstance(resource, Absent):
            await self._report_problem(resource, Reason.API_REFUSED, str(refusal))

    async def _report_problem(self, resource: Resource, reason: Reason, words: str) -> None:
        """Leave the status as it is but for a problem because of which nothing is planned."""
        now_s = self.clock.wall() * _S
        status = with_problem(resource.status, reason, words, resource, now_s)
        await self._record(resource, status)
        await self._tell(resource, _refusal(resource, reason, words))

    async def _tell(self, resource: Resource, notes: tuple[Note, ...]) -> None:
        """Tell events; one that cannot be told is only logged."""
        for note in notes:
            try:
                await self.herald.tell(resource, note)
            except LeaseLost:
                raise
            except OperatorError as error:
                LOGGER.warning("an event was not told: %s: %s", note.reason, error)


def _same_pod(observed: Observed, seat: int, uid: str) -> Pod:
    pod = observed.pods.get(seat)
    if pod is None or pod.uid != uid:
        raise Conflict(f"the pod in seat {seat} is another one by now")
    return pod


def admin_token(observed: Observed) -> str:
    """Return the bearer token of admin actions from the Secret of the cluster.

    Raises:
        Unavailable: There is no Secret, or no token in it that a request can carry.

    """
    name = labels.auth_secret_name(observed.resource.name)
    for child in observed.children:
        if child.kind == kinds.SECRET.name and child.name == name:
            data = lenient.text(lenient.mapping(child.body.get("data")).get(labels.TOKEN_KEY))
            try:
                token = base64.b64decode(data, validate=True).decode("ascii").strip()
            except (binascii.Error, ValueError):
                token = ""
            # Members take one word only; and a line's end has no place in the header of a request.
            if len(token.split()) == 1 and token.isprintable():
                return token
    raise Unavailable(f"the Secret {name} has no {labels.TOKEN_KEY} of one word")


def _untrue(plan: Plan, outcome: _Outcome) -> frozenset[Reason]:
    """Return the reasons of notes that would tell of steps that were not done."""
    reasons = frozenset() if outcome.done == len(plan.steps) else _OF_STEPS
    return reasons | {Reason.MEMBER_LABELLED} if isinstance(outcome.failed, LabelPod) else reasons


def _refusal(resource: Resource, reason: Reason, words: str) -> tuple[Note, ...]:
    """Return the event of a refusal, none while the recorded status tells of it."""
    is_told = any(row.reason is reason for row in resource.status.conditions)
    return () if is_told else (Note(reason, words, warning=True),)


def _is_settled(status: ClusterStatus) -> bool:
    rows = {row.type: row.status for row in status.conditions}
    return rows.get(Condition.READY) is True and rows.get(Condition.PROGRESSING) is not True


def _judge(key: Key, error: OperatorError | TimeoutError) -> tuple[Verdict, str]:
    """Say once what an error means, and when to look again."""
    place = f"{key.namespace}/{key.name}"
    match error:
        case Deferred():
            LOGGER.info("%s: put off: %s", place, error)
            return Verdict(DEFERRED_S), "deferred"
        case Conflict() | Gone():
            LOGGER.info("%s: changed meanwhile: %s", place, error)
            return Verdict(failed=True), "conflict"
        case Refused():
            LOGGER.error("%s: refused: %s", place, error)
            return Verdict(REFUSED_S, failed=True), "refused"
        case Unavailable():
            LOGGER.warning("%s: try later: %s", place, error)
            return Verdict(error.retry_after_s, failed=True), "unavailable"
        case TimeoutError():
            LOGGER.warning("%s: not done within %g s", place, PASS_LIMIT_S)
            return Verdict(failed=True), "timeout"
        case OperatorError():
            LOGGER.error("%s: %s", place, error)
            return Verdict(failed=True), "error"
        case _:
            assert_never(error)
