"""A resource that is being deleted, while a finalizer of somebody else holds it.

That may last for days, and the members go on meanwhile: so the leader Service goes on following
their leader, and status tells how they are. Nothing else is done. What the garbage collector has
taken must not be made again, as in a deletion in the foreground, which is such a finalizer as well.
"""

from __future__ import annotations

from quorate_operator.planning import leadership
from quorate_operator.planning.actions import Plan
from quorate_operator.planning.conditions import Findings
from quorate_operator.planning.leader_label import plan_labels
from quorate_operator.planning.problem import Problem
from quorate_operator.planning.status import make_status, with_reconciled
from quorate_operator.planning.update import Update
from quorate_operator.planning.view import HEAR_S, View
from quorate_operator.reasons import Reason


def plan_ending(view: View, *, is_unheard: bool) -> Plan:
    """Return the labels of pods and the status, without any other step.

    Args:
        view: What is.
        is_unheard: Whether words are missing only because the operator has just begun to ask.

    """
    leader = leadership.leader_row(view)
    findings = Findings(_problem(view), Update(), None, "", is_paused=False, leader=leader)
    if is_unheard:
        return Plan(plan_labels(view), with_reconciled(view, findings), (), HEAR_S)
    status = make_status(view, findings, None)
    # That members go is meant: no warning tells of it.
    return Plan(plan_labels(view), status, leadership.change(view, leader))


def _problem(view: View) -> Problem:
    holders = ", ".join(view.observed.resource.held_by)
    return Problem(
        Reason.BEING_DELETED,
        f"the resource is being deleted and held by {holders}: the leader Service follows its "
        "leader while members run, and nothing else is made, repaired or updated; nobody can take "
        "the deletion back, so let whoever has set that finalizer finish",
    )
