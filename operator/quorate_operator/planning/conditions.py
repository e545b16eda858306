"""The five conditions: each true or false for one reason, in words that a human can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from quorate_operator.model import ConditionRow, LeaderRow, OperationRow, QuorumRow
from quorate_operator.planning import founding, health, operations, times
from quorate_operator.planning.claims import unlike
from quorate_operator.planning.health import Health
from quorate_operator.planning.problem import Problem
from quorate_operator.planning.update import Update
from quorate_operator.planning.view import Seat, View
from quorate_operator.reasons import Condition, Reason

MESSAGE_CHARACTERS_MAX = 1000
_MS = 1e-3
LOST = (
    "the cluster was founded and every member has an empty volume: nothing is founded again by "
    "itself; bring the volumes back, or delete this resource and its claims and make a new one"
)
_DEGRADED = (
    (Health.FOUNDING_BROKEN, Reason.FOUNDING_BROKEN),
    (Health.DIVERGED, Reason.MEMBER_DIVERGED),
    (Health.VOLUME_LOST, Reason.VOLUME_LOST),
    (Health.FOREIGN, Reason.MEMBER_FOREIGN),
    (Health.BROKEN, Reason.MEMBER_BROKEN),
    (Health.MISSING, Reason.MEMBER_MISSING),
    (Health.LEAVING, Reason.MEMBER_MISSING),
    (Health.RECOVERING, Reason.MEMBER_RECOVERING),
)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the stories of a plan have found, for the conditions to tell."""

    problem: Problem | None
    update: Update
    operation: OperationRow | None
    message: str
    """About the operation."""
    is_paused: bool
    leader: LeaderRow | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition without its times."""

    type: Condition
    status: bool
    reason: Reason
    message: str


def quorum(view: View, leader: LeaderRow | None) -> QuorumRow:
    """Return how many voters there must be, are well, and could be lost."""
    well = sum(health.is_well(view, seat) for seat in view.seats) if leader is not None else 0
    return QuorumRow(view.required, well, max(0, well - view.required))


def verdicts(view: View, findings: Findings) -> tuple[Verdict, ...]:
    """Return all conditions, in the order in which they are shown."""
    return (
        _ready(view, findings),
        _quorate(view, findings),
        _progressing(view, findings),
        _degraded(view),
        _reconciled(view, findings),
    )


def dated(view: View, found: Iterable[Verdict]) -> Iterator[ConditionRow]:
    """Yield the conditions with their times; the time of a transition stays while it holds."""
    before = {row.type: row for row in view.observed.resource.status.conditions}
    now = times.written(view.observed.now_s)
    for verdict in found:
        old = before.get(verdict.type)
        is_same = old is not None and old.status is verdict.status
        yield ConditionRow(
            verdict.type,
            verdict.status,
            verdict.reason,
            cut(verdict.message),
            view.observed.resource.generation,
            old.last_transition if old is not None and is_same else now,
        )


def cut(text: str) -> str:
    """Return a message within the bound of the schema."""
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else text[: MESSAGE_CHARACTERS_MAX - 1] + "…"


def _ready(view: View, findings: Findings) -> Verdict:
    def no(reason: Reason, message: str) -> Verdict:
        return Verdict(Condition.READY, False, reason, message)

    if founding.are_all_volumes_lost(view):
        return no(Reason.ALL_VOLUMES_LOST, LOST)
    if not view.founded:
        return no(Reason.NOT_FOUNDED, "the cluster has not been founded yet")
    if findings.leader is None:
        words = "no member leads; members elect a leader by themselves"
        is_moving = _is_moving(view, findings, Condition.READY)
        return no(Reason.HANDING_OVER if is_moving else Reason.NO_LEADER, words)
    behind = _names(seat for seat in view.seats if not health.is_well(view, seat))
    if behind:
        return no(Reason.MEMBERS_CATCHING_UP, f"not caught up: {behind}")
    words = "a leader has committed and every member has caught up"
    return Verdict(Condition.READY, True, Reason.ALL_MEMBERS_CAUGHT_UP, words)


def _quorate(view: View, findings: Findings) -> Verdict:
    def no(reason: Reason, message: str) -> Verdict:
        return Verdict(Condition.QUORATE, False, reason, message)

    if founding.are_all_volumes_lost(view):
        return no(Reason.ALL_VOLUMES_LOST, LOST)
    if not view.founded:
        return no(Reason.NOT_FOUNDED, "the cluster has not been founded yet")
    leader = findings.leader
    following = sum(_follows(seat, leader) for seat in view.seats)
    if following < view.required:
        words = f"{following} voters follow a leader, {view.required} are needed"
        if _is_moving(view, findings, Condition.QUORATE):
            return no(Reason.HANDING_OVER, words)
        no_leader = leader is None and _running(view) >= view.required
        return no(Reason.NO_LEADER if no_leader else Reason.MAJORITY_MISSING, words)
    words = "a majority of the voters follows one leader"
    return Verdict(Condition.QUORATE, True, Reason.LEADER_FOLLOWED, words)


def _progressing(view: View, findings: Findings) -> Verdict:
    row, update = findings.operation, findings.update
    if findings.is_paused:
        words = "spec.paused is set: nothing is changed"
        return Verdict(Condition.PROGRESSING, False, Reason.PAUSED, words)
    if row is None:
        return Verdict(Condition.PROGRESSING, False, Reason.STABLE, "nothing is to be done")
    stopped = row.reason in (Reason.UPDATE_STUCK, Reason.SERVICE_DIVERGED)
    if row is update.operation or stopped:
        return Verdict(Condition.PROGRESSING, not stopped, row.reason, update.message)
    is_watched = row.type in (operations.CREATE, operations.REPAIR)
    if is_watched and operations.is_overdue(view, row):
        cause = _degraded(view)
        reason = cause.reason if cause.status else row.reason
        words = f"{findings.message}; no progress since {row.since}"
        return Verdict(Condition.PROGRESSING, False, reason, words)
    return Verdict(Condition.PROGRESSING, True, row.reason, findings.message)


def _degraded(view: View) -> Verdict:
    words = {seat.number: health.health(view, seat) for seat in view.seats}
    for word, reason in _DEGRADED:
        found = [seat for seat in view.seats if words[seat.number] is word]
        if found and not _is_new(view, word):
            return Verdict(Condition.DEGRADED, True, reason, _reasons(view, found))
    low = [seat for seat in view.seats if seat.word is not None and seat.word.storage != "space"]
    if low:
        names = ", ".join(
            f"{seat.pod_name}: storage {seat.word.storage}" for seat in low if seat.word
        )
        return Verdict(Condition.DEGRADED, True, Reason.STORAGE_LOW, names)
    words_ = "no member is missing, broken, recovering or without its volume"
    return Verdict(Condition.DEGRADED, False, Reason.ALL_MEMBERS_WELL, words_)


def _reconciled(view: View, findings: Findings) -> Verdict:
    problem = findings.problem
    if problem is not None:
        return Verdict(Condition.RECONCILED, False, problem.reason, problem.message)
    if findings.is_paused:
        words = "spec.paused is set: objects are left as they are until it is taken away"
        return Verdict(Condition.RECONCILED, False, Reason.PAUSED, words)
    words = "objects are as the resource asks for"
    other = unlike(view.observed)
    if other:
        words = f"{words}, but for volumes, which stay as they were made: {other}"
    return Verdict(Condition.RECONCILED, True, Reason.APPLIED, words)


def _is_moving(view: View, findings: Findings, condition: Condition) -> bool:
    """Tell whether this is false only since we had leadership moved, within its time.

    Then the cluster is between two leaders by our own doing. A reason of its own makes what lasts
    longer a change of reason, and so an event.
    """
    status, spec = view.observed.resource.status, view.observed.resource.spec
    row = next((row for row in status.conditions if row.type is condition), None)
    if row is None or spec is None:
        return False
    if row.status is False and row.reason is Reason.HANDING_OVER:
        for_s = view.observed.now_s - times.read(row.last_transition)
        return for_s < spec.update.handover_timeout_ms * _MS
    moves = (status.operation, findings.operation)
    is_asked = any(move is not None and move.reason is Reason.HANDING_OVER for move in moves)
    return row.status is True and is_asked


def _is_new(view: View, word: Health) -> bool:
    """Tell whether this is only because the cluster is being made."""
    return not view.founded and word is Health.MISSING


def _follows(seat: Seat, leader: LeaderRow | None) -> bool:
    word = seat.word
    if leader is None or word is None or seat.is_broken or seat.is_leaving:
        return False
    if seat.number == leader.member:
        return True
    follows = word.leader == leader.member and word.leadership_term_id == leader.term
    return follows and any(row.member_id == word.member_id for row in word.voters)


def _running(view: View) -> int:
    return sum(seat.word is not None and not seat.is_broken for seat in view.seats)


def _reasons(view: View, seats: list[Seat]) -> str:
    rows = ((seat, health.health(view, seat), health.why(view, seat)) for seat in seats)
    return "; ".join(
        f"{seat.pod_name} is {word}" + (f" ({why})" if why else "") + health.remedy(seat)
        for seat, word, why in rows
    )


def _names(seats: Iterable[Seat]) -> str:
    return ", ".join(seat.pod_name for seat in seats)
