"""The label that the leader Service selects by: set on the new leader before it leaves the old one.

Each change is stamped with the leadership term. A term older than a stamp changes nothing, so news
that come late cannot move the Service back.
"""

from __future__ import annotations

from quorate_operator import labels
from quorate_operator.planning.actions import LabelPod
from quorate_operator.planning.observed import Pod
from quorate_operator.planning.view import View


def plan_labels(view: View) -> tuple[LabelPod, ...]:
    """Return the changes of labels; without a leader everything stays as it is."""
    leader, term = view.leader, view.term
    if leader is None or leader.pod is None or leader.is_leaving:
        return ()
    pods = view.observed.pods
    if term < max((pod.term for pod in pods.values()), default=-1):
        return ()
    steps = []
    chosen = leader.pod
    if chosen.role != labels.ROLE_LEADER or chosen.term != term:
        steps.append(_stamped(chosen, labels.ROLE_LEADER, term))
    steps += [
        _stamped(pod, None, term)
        for seat, pod in sorted(pods.items())
        if seat != leader.number and pod.role and not pod.deleting
    ]
    return tuple(steps)


def _stamped(pod: Pod, role: str | None, term: int) -> LabelPod:
    marks = {labels.ROLE_LABEL: role}
    return LabelPod(pod.name, pod.uid, marks, {labels.TERM_ANNOTATION: str(term)})
