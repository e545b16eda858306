"""What is waited for without a hand of ours: the first pods, the founding, and repairs.

Kubernetes makes missing pods and restarts what crashed, members elect and catch up; the operator
says what it waits for and since when. It deletes no broken pod that is as its user wants it: the
kubelet restarts its container, and another pod would meet the same fate.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorate_operator.model import OperationRow
from quorate_operator.planning import founding, health, operations
from quorate_operator.planning.health import Health
from quorate_operator.planning.view import FOUNDABLE, Seat, View
from quorate_operator.reasons import Reason

_MS = 1e-3


@dataclass(frozen=True, slots=True)
class Watch:
    """What is waited for."""

    operation: OperationRow
    message: str
    look_again_s: float | None


def plan_watch(view: View) -> Watch | None:
    """Return what is waited for; None if everything is as it should be."""
    if founding.are_all_volumes_lost(view):
        return None
    unwell = [seat for seat in view.seats if health.health(view, seat) is not Health.WELL]
    if not unwell:
        return None
    if not view.founded:
        return _creation(view)
    seat = unwell[0]
    words = f"waiting for {seat.pod_name} to be well again"
    return _watch(view, operations.REPAIR, seat.pod_name, "wait", Reason.REPAIRING, words)


def _creation(view: View) -> Watch | None:
    mute = [seat for seat in view.seats if not _can_be_founded(seat)]
    name = view.observed.resource.name
    if mute:
        words = f"waiting for the first word of {', '.join(seat.pod_name for seat in mute)}"
        missing = [seat for seat in mute if seat.pod is None]
        if missing:
            names = ", ".join(seat.pod_name for seat in missing)
            words = f"{words}; not made yet: {names}{health.remedy(missing[0])}"
        return _watch(view, operations.CREATE, name, "create", Reason.CREATING, words)
    bare = ", ".join(seat.pod_name for seat in view.seats if not seat.has_volume)
    if bare:
        # What runs on a volume that goes needs another pod, which gets another volume.
        words = f"waiting for a volume that stays: delete pod {bare} to give it a new one"
        return _watch(view, operations.CREATE, name, "create", Reason.CREATING, words)
    words = "waiting for the members to found the cluster"
    return _watch(view, operations.CREATE, name, "found", Reason.FOUNDING, words)


def _can_be_founded(seat: Seat) -> bool:
    return seat.speaks and seat.state in FOUNDABLE


def _watch(
    view: View, kind: str, target: str, step: str, reason: Reason, message: str
) -> Watch | None:
    spec = view.observed.resource.spec
    if spec is None:
        return None
    within_s = spec.update.progress_deadline_ms * _MS
    row = operations.going_on(
        view, kind=kind, target=target, step=step, reason=reason, within_s=within_s
    )
    return Watch(row, message, operations.left_s(view, row))
