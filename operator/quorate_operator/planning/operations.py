"""The one operation that status tells of: since when its present step runs, and until when it may.

It is read back from status, so an operator that starts anew neither forgets a deadline nor begins
one again. The first word of a step names it; what follows may change while the step runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate_operator.model import OperationRow
from quorate_operator.planning import times
from quorate_operator.planning.view import View
from quorate_operator.reasons import Reason

UPDATE = "Update"
TRANSFER = "Transfer"
LEAVE_NODE = "LeaveNode"
CREATE = "Create"
REPAIR = "Repair"


def recorded(view: View, kind: str) -> OperationRow | None:
    """Return the operation that status tells of, if it is of this kind."""
    row = view.observed.resource.status.operation
    return row if row is not None and row.type == kind else None


def going_on(
    view: View, *, kind: str, target: str, step: str, reason: Reason, within_s: float
) -> OperationRow:
    """Return the row of an operation; its times are kept while its step stays the same."""
    before = recorded(view, kind)
    if before is not None and before.target == target and _head(before.step) == _head(step):
        return OperationRow(kind, target, step, reason, before.since, before.deadline)
    now_s = view.observed.now_s
    end = times.written(now_s + within_s)
    return OperationRow(kind, target, step, reason, times.written(now_s), end)


def is_overdue(view: View, row: OperationRow) -> bool:
    """Tell whether an operation has had all the time that it may take."""
    return view.observed.now_s >= times.read(row.deadline)


def left_s(view: View, row: OperationRow) -> float | None:
    """Return the time until its deadline in seconds; None if that has passed."""
    left = times.read(row.deadline) - view.observed.now_s
    return left if left > 0 else None


def soonest(moments: Iterable[float | None]) -> float | None:
    """Return the earliest of some times to wait, if there is one."""
    return min((moment for moment in moments if moment is not None), default=None)


def _head(step: str) -> str:
    return step.partition(" ")[0]
