"""Pods under our names that lack our label: ours get it back, others are named.

Without the label no Service, no disruption budget and no StatefulSet counts the pod: its controller
lets it go and cannot make another one, because the name is taken. The process in it goes on as a
member all the while, so it is labelled again and not replaced; its controller then takes it back.
"""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.planning.actions import LabelPod, Note
from quorate_operator.planning.observed import Pod
from quorate_operator.planning.problem import Problem
from quorate_operator.planning.view import View
from quorate_operator.reasons import Reason


def plan_strays(view: View) -> tuple[LabelPod, ...]:
    """Return the labels to be set again."""
    mark = {labels.CLUSTER_LABEL: view.observed.resource.name}
    return tuple(
        LabelPod(pod.name, pod.uid, mark, {}) for pod in _unlabelled(view) if _is_member(view, pod)
    )


def notes(steps: tuple[LabelPod, ...]) -> tuple[Note, ...]:
    """Return what is told of the labels that are set again."""
    return tuple(
        Note(
            Reason.MEMBER_LABELLED,
            f"{step.name} had lost the label {labels.CLUSTER_LABEL}, by which Services, the "
            "disruption budget and the StatefulSet know it: set again",
            warning=True,
        )
        for step in steps
    )


def foreign(view: View) -> Problem | None:
    """Return what is wrong if a pod under our names is no member's."""
    names = [pod.name for pod in _unlabelled(view) if not _is_member(view, pod)]
    if not names:
        return None
    return Problem(
        Reason.OWNERSHIP_CONFLICT,
        f"pod {', '.join(names)} has the name of a member, without its label "
        f"{labels.CLUSTER_LABEL} or its claim: waiting for its end; delete it if nothing else does",
    )


def _unlabelled(view: View) -> list[Pod]:
    name = view.observed.resource.name
    found = (seat.pod for seat in view.seats)
    return [
        pod for pod in found if pod is not None and not pod.deleting and pod.cluster_label != name
    ]


def _is_member(view: View, pod: Pod) -> bool:
    """Tell whether it is one of ours: nobody else controls it, and it uses its seat's volume."""
    claim = labels.claim_name(view.observed.resource.name, pod.seat)
    return pod.claim == claim and bool(view.set_uid) and pod.controller_uid in ("", view.set_uid)
