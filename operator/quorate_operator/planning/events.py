"""What is told as events: each change of condition for the worse, and what was begun and done."""

from __future__ import annotations

from quorate_operator.model import ClusterStatus, ConditionRow
from quorate_operator.planning.actions import Note
from quorate_operator.planning.operations import UPDATE
from quorate_operator.reasons import Condition, Reason

_GOOD = {
    Condition.READY: True,
    Condition.QUORATE: True,
    Condition.DEGRADED: False,
    Condition.RECONCILED: True,
}
_QUIET = frozenset(
    {
        Reason.NOT_FOUNDED,
        Reason.MEMBERS_CATCHING_UP,
        Reason.STABLE,
        Reason.CREATING,
        Reason.HANDING_OVER,
        Reason.REPAIRING,
        Reason.PAUSED,
    }
)
"""Reasons of what is normal for a while."""


def changes(before: ClusterStatus, now: ClusterStatus) -> tuple[Note, ...]:
    """Return what is worth telling of the way from one status to the next."""
    old = {row.type: row for row in before.conditions}
    notes = [
        Note(row.reason, row.message, warning=True)
        for row in now.conditions
        if _is_bad(row)
        and not _is_planned(now, row)
        and (_is_news(old.get(row.type), row) or _is_planned(before, old.get(row.type)))
    ]
    if _was_paused(before) and not _was_paused(now):
        notes.append(Note(Reason.RESUMED, "spec.paused was taken away"))
    if before.update is not None and now.update is None:
        notes.append(Note(Reason.UPDATE_FINISHED, "every member runs what the resource asks for"))
    return tuple(notes)


def _is_bad(row: ConditionRow) -> bool:
    if row.reason in _QUIET:
        return False
    if row.type is Condition.PROGRESSING:
        return row.status is False
    return row.status is not _GOOD[row.type]


def _is_news(old: ConditionRow | None, row: ConditionRow) -> bool:
    return old is None or old.reason is not row.reason or old.status is not row.status


def _is_planned(status: ClusterStatus, row: ConditionRow | None) -> bool:
    """Tell whether all that is missing is the one member that an update replaces, within its time.

    What takes longer is told as an update that is stuck.
    """
    work = status.operation
    if row is None or work is None or work.type != UPDATE or work.reason is Reason.UPDATE_STUCK:
        return False
    is_alone = row.message.startswith(f"{work.target} is ") and ";" not in row.message
    return row.type is Condition.DEGRADED and row.reason is Reason.MEMBER_MISSING and is_alone


def _was_paused(status: ClusterStatus) -> bool:
    return any(
        row.type is Condition.RECONCILED and row.reason is Reason.PAUSED
        for row in status.conditions
    )
