"""From what is observed to the next safe step.

Objects first, then what members and volumes carry, then at most one disruption, which is the last
step: nothing that only creates or repairs ever waits behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from quorate_operator import labels
from quorate_operator.model import OperationRow
from quorate_operator.planning import events, leadership, operations
from quorate_operator.planning.actions import DeletePod, Disruption, LabelSource, Note, Plan, Step
from quorate_operator.planning.children import Children, plan_children, wanted_hash
from quorate_operator.planning.claims import going, plan_claims
from quorate_operator.planning.conditions import Findings
from quorate_operator.planning.ending import plan_ending
from quorate_operator.planning.founding import plan_founding
from quorate_operator.planning.handover import Handover, plan_cordon, plan_request
from quorate_operator.planning.identity import Identity, identify
from quorate_operator.planning.leader_label import plan_labels
from quorate_operator.planning.observed import Observed
from quorate_operator.planning.ownership import annotation
from quorate_operator.planning.problem import Problem
from quorate_operator.planning.status import make_status, with_reconciled
from quorate_operator.planning.strays import foreign, notes, plan_strays
from quorate_operator.planning.update import Update, plan_update
from quorate_operator.planning.view import HEAR_S, SILENT_S, View, leader_of, seats_of
from quorate_operator.planning.watching import Watch, plan_watch
from quorate_operator.reasons import Reason
from quorate_operator.resources import placement_hash


def plan(observed: Observed) -> Plan:
    """Return what to do now; the same for the same observation."""
    other = _other_installation(observed)
    if other is not None:
        # Its status belongs to the other installation: two writers would never agree.
        note = Note(Reason.OTHER_INSTALLATION, other, warning=True)
        return Plan((), observed.resource.status, (note,))
    identity = identify(observed)
    view = _view(observed, identity)
    if observed.resource.held_by:
        return plan_ending(view, is_unheard=_is_unheard(view))
    is_paused = observed.resource.spec is not None and observed.resource.spec.paused
    children = _children(observed, identity, is_paused=is_paused)
    problem = _problem(view, identity, children)
    strays = () if is_paused else plan_strays(view)
    steps = (*_peaceful(view, identity, children, is_paused=is_paused), *strays)
    if _is_unheard(view):
        findings = Findings(problem, Update(), None, "", is_paused, None)
        status = with_reconciled(view, findings)
        return Plan(steps, status, (*identity.notes, *notes(strays)), HEAR_S)
    is_stopped = problem is not None and problem.stops
    may_disrupt = identity.step is None and not is_stopped and children.set_is_current
    course = _course(view, may_disrupt=may_disrupt, is_paused=is_paused)
    whole = _whole(view, identity, problem, course, steps)
    told = (*notes(strays), *whole.notes)
    return replace(whole, notes=told, label_source=None if is_paused else _unlabelled(observed))


@dataclass(frozen=True, slots=True)
class _Course:
    """What is under way, and the one disruption that is next."""

    update: Update
    handover: Handover
    watch: Watch | None
    is_paused: bool

    @property
    def operation(self) -> OperationRow | None:
        """The operation that status tells of."""
        if self.handover.operation is not None:
            return self.handover.operation
        if self.update.operation is not None or self.watch is None:
            return self.update.operation
        return self.watch.operation

    @property
    def message(self) -> str:
        """About the operation."""
        if self.handover.operation is not None:
            return self.handover.message
        if self.update.operation is not None or self.watch is None:
            return self.update.message
        return self.watch.message

    @property
    def disruption(self) -> Disruption | None:
        """The dead first, then what a user asked for, then the update."""
        if isinstance(self.update.disruption, DeletePod):
            return self.update.disruption
        if self.handover.operation is not None:
            return self.handover.disruption
        return self.update.disruption


def _course(view: View, *, may_disrupt: bool, is_paused: bool) -> _Course:
    update = plan_update(view, may_disrupt=may_disrupt and not is_paused)
    is_free = may_disrupt and not update.is_in_flight
    handover = plan_request(view, is_free=is_free)
    if handover is None and update.row is None and not is_paused:
        handover = plan_cordon(view, is_free=is_free)
    if is_paused:
        update = replace(update, operation=None, look_again_s=None, notes=())
    watch = plan_watch(view) if view.cluster_id and not is_paused else None
    return _Course(update, handover or Handover(), watch, is_paused)


def _whole(
    view: View,
    identity: Identity,
    problem: Problem | None,
    course: _Course,
    steps: tuple[Step, ...],
) -> Plan:
    leader = leadership.leader_row(view)
    findings = Findings(
        problem, course.update, course.operation, course.message, course.is_paused, leader
    )
    status = make_status(view, findings, course.handover.result)
    recorded = view.observed.resource.status
    disruption = course.disruption
    shown = course.update.notes if disruption is course.update.disruption else ()
    notes = (
        *identity.notes,
        *leadership.change(view, leader),
        *shown,
        *course.handover.notes,
        *events.changes(recorded, status),
    )
    looks = (
        course.update.look_again_s,
        course.handover.look_again_s,
        None if course.watch is None else course.watch.look_again_s,
        *(_until_mute(view)),
    )
    return Plan(
        steps if disruption is None else (*steps, disruption),
        status,
        notes,
        operations.soonest(looks),
        ask_members=course.update.ask_members,
    )


def _view(observed: Observed, identity: Identity) -> View:
    seats = seats_of(observed, identity.cluster_id) if identity.cluster_id else ()
    spec, live = observed.resource.spec, observed.stateful_set
    is_ours = live is not None and live.controller_uid == observed.resource.uid
    return View(
        observed=observed,
        cluster_id=identity.cluster_id,
        founded=identity.founded,
        seats=seats,
        wanted_hash=wanted_hash(observed),
        wanted_placement="" if spec is None else placement_hash(spec),
        set_uid=live.uid if live is not None and is_ours else "",
        leader=leader_of(seats),
    )


def _children(observed: Observed, identity: Identity, *, is_paused: bool) -> Children:
    if not identity.cluster_id or identity.problem is not None or is_paused:
        return Children()
    return plan_children(observed, identity.cluster_id, founded=identity.founded)


def _problem(view: View, identity: Identity, children: Children) -> Problem | None:
    resource = view.observed.resource
    if resource.spec is None:
        words = "; ".join(resource.problems) or "the spec cannot be read"
        return Problem(Reason.INVALID_SPEC, words)
    lost = going(view.observed, founded=view.founded)
    found = [p for p in (identity.problem, children.problem, foreign(view), lost) if p is not None]
    return min(found, key=lambda problem: not problem.stops, default=None)


def _peaceful(
    view: View, identity: Identity, children: Children, *, is_paused: bool
) -> tuple[Step, ...]:
    """Return the steps that disrupt nobody."""
    steps: list[Step] = [] if identity.step is None else [identity.step]
    if not identity.cluster_id:
        return tuple(steps)
    steps += children.steps
    if identity.problem is None:
        steps += plan_claims(view.observed, identity.cluster_id, founded=identity.founded)
        found = plan_founding(view)
        is_stopped = children.problem is not None and children.problem.stops
        if found is not None and not is_stopped and not is_paused:
            steps.append(found)
    # The leader Service must follow its leader also while everything else is paused.
    steps += plan_labels(view)
    return tuple(steps)


def _is_unheard(view: View) -> bool:
    """Tell whether words are missing only because the operator has just begun to ask."""
    known = bool(view.observed.resource.status.members)
    return known and any(seat.is_unheard for seat in view.seats)


def _unlabelled(observed: Observed) -> LabelSource | None:
    source = observed.source
    if source is None or source.is_labelled:
        return None
    return LabelSource(source.name, source.uid)


def _until_mute(view: View) -> tuple[float, ...]:
    waits = (SILENT_S - seat.silent_s for seat in view.seats if seat.silent_s)
    return tuple(wait for wait in waits if wait > 0)


def _other_installation(observed: Observed) -> str | None:
    stamp = annotation(observed.stateful_set, labels.INSTALLATION_ANNOTATION)
    if stamp in ("", observed.installation):
        return None
    return (
        f"StatefulSet {labels.stateful_set_name(observed.resource.name)} is looked after by the "
        f"installation {stamp}: this one ({observed.installation}) does nothing; to move it here, "
        f"uninstall that one and remove the annotation {labels.INSTALLATION_ANNOTATION}"
    )
