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
from typing import assert_never

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
from quorate_operator.kube import kinds
from quorate_operator.kube.act import Actor
from quorate_operator.kube.events import Herald
from quorate_operator.kube.observe import Absent, Observer
from quorate_operator.members import Members
from quorate_operator.metrics import Metrics
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeletePod,
    EvictPod,
    Found,
    LabelPod,
    Note,
    PatchClaim,
    Plan,
    Step,
    Transfer,
    WriteIdentity,
)
from quorate_operator.planning.observed import Observed, Resource
from quorate_operator.queue import Key, Verdict
from quorate_operator.reasons import Condition, Reason

LOGGER = logging.getLogger("quorate_operator.reconcile")

PASS_LIMIT_S = 120.0
"""Of one reconciliation: many calls of 10 s, and never for ever."""
DEFERRED_S = 2.0
"""Until a disruption that had to wait is tried again."""
REFUSED_S = 10.0
"""Shortest wait after the API server refused something: only a change there can help."""
UNANSWERED_PASSES = 4
"""In a row, until a change that the API server does not carry out stands in the status: an answer
may be lost now and then, but an admission webhook that is down fails every time."""
UNSETTLED_FIRST_S = 2.0
UNSETTLED_MAX_S = 15.0
"""Until a cluster that is not as it should be is looked at again and its members asked anew.
What a leader sees of a follower is no news to it: that one has caught up shows by asking."""
FOUGHT_TIMES, FOUGHT_S = 8, 300.0
"""An object that was applied so often within so long, each time the same, has another writer."""
BUSY_FIRST_S = 0.2
BUSY_MAX_S = 5.0
"""Steps are followed by another look, at first soon; a plan that never ends is slowed down."""
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
    _busy: dict[Key, int] = field(default_factory=dict)
    """Passes in a row that did something."""
    _unsettled: dict[Key, int] = field(default_factory=dict)
    """Passes in a row over a cluster that is not as it should be, without any change."""
    _refused: dict[Key, str] = field(default_factory=dict)
    """Uids of ConfigMaps that must not be labelled: a change of them shows at the resync."""
    _unanswered: dict[Key, int] = field(default_factory=dict)
    """Passes in a row in which the API server did not carry out a change, and did not refuse it."""
    _changed: dict[Key, list[str]] = field(default_factory=dict)
    """What status must say of steps of the pass that runs, though they were done."""
    _applied: dict[Key, dict[str, tuple[str, list[float]]]] = field(default_factory=dict)
    """Of each object: the hash of what was applied last, and when that was, in seconds."""
    _to_ask: set[Key] = field(default_factory=set)
    """Whose plan wanted the members' present word at its next look."""

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
        self._changed.pop(key, None)  # of a pass that was cut off
        if observed is None:
            self._forget(key)
            return Verdict(forget=True), "absent"
        if not self.is_schema_current():
            return await self._refuse(observed)
        plan = self.planner(observed)
        if plan.ask_members:
            self._to_ask.add(key)
        done, failed, error = await self._carry_out(key, observed, plan)
        status, notes = plan.status, plan.notes
        words = self._hindrance(key, observed, failed, error)
        changed = self._changed.pop(key, ())
        words = "; ".join(word for word in (words, *(changed or self._fought(key))) if word)
        if words:
            resource, now_s = observed.resource, observed.now_s
            status = with_problem(status, Reason.API_REFUSED, words, resource, now_s)
            notes = (*notes, *_refusal(resource, Reason.API_REFUSED, words))
        written = False
        has_identity = any(isinstance(step, WriteIdentity) for step in plan.steps)
        if not (done and has_identity) or isinstance(failed, WriteIdentity):
            # Else the version is another one by our own doing, and the next look comes at once.
            written = await self.actor.report(observed.resource, status)
        # The status that was just written is what later notes are told against: now or never.
        is_whole = done == len(plan.steps)
        untrue = frozenset() if is_whole else _OF_STEPS
        if isinstance(failed, LabelPod):
            untrue |= {Reason.MEMBER_LABELLED}
        told = (note for note in notes if note.reason not in untrue)
        await self._tell(observed.resource, tuple(told))
        if error is not None:
            raise error
        await self._label_source(key, observed, plan)
        busy = self._busy[key] = self._busy.get(key, 0) + 1 if done else 0
        again = _again_s(plan, busy, self._settling_s(key, status, changed=bool(done) or written))
        return Verdict(again), "acted" if done else "reported" if written else "unchanged"

    def _forget(self, key: Key) -> None:
        """Keep nothing of a key that is gone: keys come and go, and the next of a name is new."""
        for kept in (self._busy, self._unsettled, self._refused, self._unanswered, self._applied):
            kept.pop(key, None)

    def _settling_s(self, key: Key, status: ClusterStatus, *, changed: bool) -> float | None:
        """Return when a cluster that is not as it should be is looked at again; None if it is."""
        if _is_settled(status):
            self._unsettled.pop(key, None)
            return None
        self._to_ask.add(key)
        count = self._unsettled[key] = 0 if changed else self._unsettled.get(key, -1) + 1
        return min(UNSETTLED_FIRST_S * 1.5 ** min(count, 10), UNSETTLED_MAX_S)

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

    async def _carry_out(
        self, key: Key, observed: Observed, plan: Plan
    ) -> tuple[int, Step | None, OperatorError | None]:
        """Do the steps in order; after an error only those that do not build on what failed.

        Returns:
            How many were done; the first that failed; and its error, which of several refusals
            names each.

        """
        done = 0
        failures: list[tuple[Step, OperatorError]] = []
        for step in plan.steps:
            if failures and not _is_apart(step, *failures[-1]):
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
            return done, None, None
        failed, first = failures[0]
        if isinstance(first, Refused):
            refusals = [str(other) for _, other in failures if isinstance(other, Refused)]
            first = Refused("; ".join(refusals))
        return done, failed, first

    def _hindrance(
        self, key: Key, observed: Observed, step: Step | None, error: OperatorError | None
    ) -> str:
        """Return what status says of the step that failed; empty if it may work next time."""
        if isinstance(error, Refused):
            return str(error)
        is_asked = step is not None and not isinstance(step, Found | Transfer)
        if not (is_asked and isinstance(error, Unavailable)):
            self._unanswered.pop(key, None)
            return ""
        count = self._unanswered[key] = self._unanswered.get(key, 0) + 1
        rows = observed.resource.status.conditions
        told = next((row.message for row in rows if row.reason is Reason.API_REFUSED), "")
        if not told and count < UNANSWERED_PASSES:
            return ""
        assert step is not None
        head = f"{_named(step)} does not get through"
        # An answer may name a port or a time, and is no news for that.
        if told.startswith(head):
            return told
        return f"{head}: {error}; see whether an admission webhook is down or slow"

    async def _step(self, key: Key, observed: Observed, step: Step) -> bool:
        """Do one step; return False for a disruption that does not come out the same again."""
        if isinstance(step, Transfer | EvictPod | DeletePod):
            again = await self._observe(key, live=True)
            second = None if again is None else _disruption(self.planner(again))
            if again is None or second is None or not _is_same(step, second):
                LOGGER.info("%s/%s: %s is not wanted any more", key.namespace, key.name, step)
                self.metrics.deferred.labels("changed").inc()
                return False
            observed, step = again, second
        words = await self._do(observed, step)
        if words:
            self._changed.setdefault(key, []).append(words)
        elif isinstance(step, ApplyChild):
            self._note_applied(key, step)
        action = type(step).__name__
        self.metrics.actions.labels(action).inc()
        LOGGER.info("%s/%s: %s", key.namespace, key.name, _told(step))
        return True

    def _note_applied(self, key: Key, step: ApplyChild) -> None:
        annotations = lenient.mapping(lenient.metadata(step.body).get("annotations"))
        wanted = lenient.text(annotations.get(labels.APPLIED_HASH_ANNOTATION))
        held = self._applied.setdefault(key, {})
        name = _named(step).removeprefix("ApplyChild ")
        before, times = held.get(name, ("", []))
        now_s = self.clock.monotonic() * _S
        held[name] = wanted, [*(times if before == wanted else []), now_s][-FOUGHT_TIMES:]

    def _fought(self, key: Key) -> tuple[str, ...]:
        """Return what status says of objects that somebody changes back each time.

        Each change looks like any other that is repaired at once; and where it is the StatefulSet,
        no update goes on, or pods come and go with its number.
        """
        held = self._applied.get(key)
        if held is None:
            return ()
        since = self.clock.monotonic() * _S - FOUGHT_S
        return tuple(
            f"{name} is changed or deleted each time it has been applied: see in its "
            "metadata.managedFields and in the audit log who else writes it, such as an autoscaler"
            for name, (_, times) in sorted(held.items())
            if len(times) == FOUGHT_TIMES and times[0] > since
        )

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
                pod = observed.pods.get(seat)
                if pod is None or pod.uid != pod_uid:
                    raise Conflict(f"the pod in seat {seat} is another one by now")
                self.guard()
                await self.members.found(pod, admin_token(observed))
            case Transfer(leader, pod_uid, to):
                pod = observed.pods.get(leader)
                if pod is None or pod.uid != pod_uid:
                    raise Conflict(f"the pod in seat {leader} is another one by now")
                self.guard()
                await self.members.transfer(pod, admin_token(observed), to)
            case _:
                return await self.actor.act(observed.resource, step)
        return ""

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
        await self.actor.report(resource, status)
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


def admin_token(observed: Observed) -> str:
    """Return the bearer token of admin actions from the Secret of the cluster.

    Raises:
        Unavailable: There is no Secret, or no token in it.

    """
    name = labels.auth_secret_name(observed.resource.name)
    for child in observed.children:
        if child.kind == kinds.SECRET.name and child.name == name:
            data = lenient.text(lenient.mapping(child.body.get("data")).get(labels.TOKEN_KEY))
            try:
                token = base64.b64decode(data, validate=True).decode("ascii").strip()
            except (binascii.Error, ValueError):
                token = ""
            if token:
                return token
    raise Unavailable(f"the Secret {name} has no {labels.TOKEN_KEY}")


def _disruption(plan: Plan) -> Transfer | EvictPod | DeletePod | None:
    found = (step for step in plan.steps if isinstance(step, Transfer | EvictPod | DeletePod))
    return next(found, None)


def _is_same(
    first: Transfer | EvictPod | DeletePod, second: Transfer | EvictPod | DeletePod
) -> bool:
    """Compare two disruptions.

    A newer version of the same pod is no difference, nor is another heir: under traffic the
    closest follower is another one from look to look, and the later plan vouches for its own.
    """
    return _bare(first) == _bare(second)


def _bare(step: Transfer | EvictPod | DeletePod) -> Transfer | EvictPod | DeletePod:
    if isinstance(step, Transfer):
        return step if step.to is None else replace(step, to=0)
    return replace(step, resource_version="")


def _refusal(resource: Resource, reason: Reason, words: str) -> tuple[Note, ...]:
    """Return the event of a refusal, none while the recorded status tells of it."""
    is_told = any(row.reason is reason for row in resource.status.conditions)
    return () if is_told else (Note(reason, words, warning=True),)


def _is_apart(step: Step, failed: Step, error: OperatorError) -> bool:
    """Tell whether a step is done though one before it failed.

    By the labels of pods clients find the leader, so these wait for no child; but the new leader's
    comes before the old one's goes. A child that is refused, as a quota or a policy does it for
    weeks, keeps neither the others from being repaired nor the claims from being marked, while pods
    need all of them. Where no answer comes, each other call might take its whole limit as well.
    """
    if isinstance(step, LabelPod):
        return not isinstance(failed, LabelPod)
    if not isinstance(error, Refused) or isinstance(failed, WriteIdentity):
        return False
    if isinstance(step, ApplyChild | CreateChild):
        return step.body.get("kind") != kinds.STATEFUL_SET.name
    return isinstance(step, PatchClaim)


def _is_settled(status: ClusterStatus) -> bool:
    rows = {row.type: row.status for row in status.conditions}
    return rows.get(Condition.READY) is True and rows.get(Condition.PROGRESSING) is not True


def _again_s(plan: Plan, busy: int, settling_s: float | None) -> float | None:
    times = [time for time in (plan.look_again_s, settling_s) if time is not None]
    if busy:
        times.append(min(BUSY_FIRST_S * 2.0 ** min(busy - 1, 10), BUSY_MAX_S))
    return min(times, default=None)


def _told(step: Step) -> str:
    """Return a step in one line without the body of an object, which may hold secrets."""
    return repr(step) if getattr(step, "body", None) is None else _named(step)


def _named(step: Step) -> str:
    """Return what a step does to which object."""
    name, body = type(step).__name__, getattr(step, "body", None)
    if body is None:
        return f"{name} {getattr(step, 'name', '')}".strip()
    return f"{name} {body.get('kind')}/{lenient.text(lenient.metadata(body).get('name'))}"


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
