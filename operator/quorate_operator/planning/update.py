"""Bringing pods to what the user wants, one at a time, the leader last.

First the dead and outdated, which have nothing to lose; while one member is away nothing that is
well is touched, nor what its kubelet has just begun to restart. A pod that runs is evicted only if
a majority that has caught up remains, the members updated before have caught up, and the last of
them answers as the reference does. The leader hands over to an updated member before its own turn.

A process that is silent while its container runs is left to the kubelet's liveness probe, which
ends it after a minute; only if it is outdated as well, not ready, and a majority remains, is its
pod deleted: an eviction would wait for a readiness that does not come. So is a member that has
diverged; its log still counts, so it waits for a majority as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from quorate.control.status import MemberState
from quorate_operator.model import OperationRow, UpdateRow
from quorate_operator.planning import answers, digests, health, operations
from quorate_operator.planning.actions import DeletePod, Disruption, EvictPod, Note, Transfer
from quorate_operator.planning.view import OUTSIDE, SILENT_S, Seat, View
from quorate_operator.reasons import Reason

_AWAY = "recover"
LOOK_S = 1.0
"""Between looks while digests are compared."""
_MS = 1e-3


@dataclass(frozen=True, slots=True)
class Update:
    """How far an update is, and its next step."""

    row: UpdateRow | None = None
    """None: there is none."""
    operation: OperationRow | None = None
    disruption: Disruption | None = None
    message: str = ""
    notes: tuple[Note, ...] = ()
    look_again_s: float | None = None
    ask_members: bool = False
    is_in_flight: bool = False
    """A member is away because of it, within its time: no hand-over on request meanwhile."""


@dataclass(frozen=True, slots=True)
class _Stage:
    seat: Seat
    step: str
    reason: Reason
    message: str
    disruption: Disruption | None = None
    look_again_s: float | None = None


def plan_update(view: View, *, may_disrupt: bool) -> Update:
    """Return the state of the update.

    Args:
        view: What is.
        may_disrupt: Whether children and identity allow that a pod is replaced.

    """
    outdated = [seat for seat in view.seats if view.is_outdated(seat)]
    began = view.observed.resource.status.update
    if not view.wanted_hash:
        # Without its code, or a spec that can be read, what was begun is not finished.
        return Update(row=began)
    if not outdated and began is None:
        return Update()
    stage = _stage(view, outdated)
    if stage is None:
        return Update()
    if not may_disrupt:
        stage = replace(stage, disruption=None)
    return _told(view, stage)


def _told(view: View, stage: _Stage) -> Update:
    spec = view.observed.resource.spec
    assert spec is not None, "there is no wanted hash without a spec"
    updated = sum(view.is_updated(seat) for seat in view.seats)
    row = operations.going_on(
        view,
        kind=operations.UPDATE,
        target=stage.seat.pod_name,
        step=stage.step,
        reason=stage.reason,
        within_s=spec.update.progress_deadline_ms * _MS,
    )
    message = stage.message
    is_overdue = operations.is_overdue(view, row) and stage.reason is not Reason.SERVICE_DIVERGED
    if is_overdue:
        message = f"{message}; no progress since {row.since}"
        row = replace(row, reason=Reason.UPDATE_STUCK)
    looks = (stage.look_again_s, operations.left_s(view, row))
    is_away = _away(view) is not None
    return Update(
        row=UpdateRow(view.wanted_hash, updated, len(view.seats)),
        operation=row,
        disruption=stage.disruption,
        message=message,
        notes=_notes(view, stage),
        look_again_s=operations.soonest(looks),
        ask_members=stage.look_again_s is not None,
        is_in_flight=is_away and not operations.is_overdue(view, row),
    )


def _notes(view: View, stage: _Stage) -> tuple[Note, ...]:
    notes = []
    if view.observed.resource.status.update is None:
        words = f"pods are brought to input {view.wanted_hash}, one at a time, the leader last"
        if len(view.seats) == 1:
            words = "the only member is restarted: with one replica there is no service meanwhile"
        notes.append(Note(Reason.UPDATE_STARTED, words, warning=len(view.seats) == 1))
    if isinstance(stage.disruption, EvictPod | DeletePod):
        words = f"{stage.disruption.name} is replaced: {stage.message}"
        notes.append(Note(Reason.MEMBER_EVICTED, words))
    return tuple(notes)


def _stage(view: View, outdated: list[Seat]) -> _Stage | None:
    """Return what the update does now; None when it is done."""
    diverged, away = _diverged(view, outdated), _away(view)
    odd = answers.odd_ones(view, outdated, is_refuted=diverged is not None)
    is_calm = away is None and (diverged is None or bool(odd))
    dead = [seat for seat in outdated if seat.is_dead and view.is_ours(seat)]
    lost = next((seat for seat in dead if _is_lost(view, seat, is_calm=is_calm)), None)
    if lost is not None:
        return _deletion(lost, f"outdated and broken ({_why(lost)})")
    if diverged is not None and not odd:
        return diverged
    if away is not None:
        return _recovery(view, away)
    if not view.founded:
        return _unfounded(outdated)
    if outdated and len(view.seats) > 1 and not _is_led(view):
        return _Stage(
            outdated[0], "replace", Reason.WAITING_FOR_MAJORITY, "no leader that has caught up"
        )
    return _next(view, outdated, odd)


def _next(view: View, outdated: list[Seat], odd: list[Seat]) -> _Stage | None:
    comparing = _comparison(view)
    if not outdated:
        return comparing
    victim = odd[0] if odd else _victim(view, outdated)
    # A member that is of no use as it is may be healed by what its user wants now, so it does not
    # wait for others to agree.
    if comparing is not None and not odd and view.has_caught_up(victim):
        return comparing
    stage = _turn(view, victim)
    if odd:
        return replace(stage, step=f"{stage.step} {answers.differed(view, victim)}")
    last = answers.last_recoded(view)
    if comparing is not None or last is None:
        return stage
    return replace(stage, step=f"{stage.step} {digests.agreed(last)}")


def _turn(view: View, victim: Seat) -> _Stage:
    """Return what is done to the one whose turn it is."""
    if victim is view.leader and len(view.seats) > 1:
        return _hand_over(view, victim)
    if len(view.seats) > 1 and not view.spares(victim):
        words = f"without {victim.pod_name} no majority of {view.required} would have caught up"
        return _Stage(victim, "replace", Reason.WAITING_FOR_MAJORITY, words)
    return _replacement(view, victim)


def _replacement(view: View, victim: Seat) -> _Stage:
    """Return the end of a pod: by eviction, unless it is of no use and never becomes ready."""
    if len(view.seats) == 1:
        # The budget of one pod allows no eviction while that pod is not ready.
        is_ready = victim.pod is not None and victim.pod.ready
        why = "outdated, the only member, and not ready"
        return _eviction(view, victim) if is_ready else _deletion(victim, why)
    if victim.pod is not None and victim.pod.ready:
        # Its kubelet calls it well, so we may be the deaf ones, and a drain counts on it.
        return _eviction(view, victim)
    if victim.is_mute:
        return _deletion(victim, f"outdated and silent for {int(SILENT_S)} s")
    if victim.state is MemberState.DIVERGED:
        return _deletion(victim, "outdated and diverged, so it does not serve")
    return _eviction(view, victim)


def _victim(view: View, outdated: list[Seat]) -> Seat:
    """Return whose turn it is: those of least use first, the leader last."""

    def order(seat: Seat) -> tuple[bool, bool, int, int]:
        return (seat is view.leader, view.has_caught_up(seat), -view.lag(seat), seat.number)

    return min(outdated, key=order)


def _is_lost(view: View, seat: Seat, *, is_calm: bool) -> bool:
    """Tell whether nothing is lost with a pod whose process does not run.

    A process that has just ended is back in seconds with what it ran before. It may complete a
    majority that the new image, if it is bad, would not; and where new code was seen to answer
    differently, one more member with that code could make it the majority's.

    Args:
        view: What is.
        seat: A dead one.
        is_calm: Whether nobody else is away, and the update has not stopped.

    """
    pod = seat.pod
    if len(view.seats) == 1 or not view.founded or pod is None or "BackOff" in pod.reason:
        return True
    since, now_s = pod.not_running_since_s, view.observed.now_s
    return (is_calm and view.spares(seat)) or since is None or now_s - since >= SILENT_S


def _away(view: View) -> Seat | None:
    """Return a member that is on its way, or that an update must not go on without."""
    for seat in view.seats:
        if seat.pod is None or seat.is_leaving or not view.is_ours(seat):
            return seat
    for seat in view.seats:
        if view.is_updated(seat) and not _is_back(view, seat):
            return seat
    return None


def _is_back(view: View, seat: Seat) -> bool:
    """Tell whether an updated member is as it should be."""
    if seat.speaks and seat.state in OUTSIDE:
        return True  # it waits for its replacement; an update neither helps nor harms it
    if not view.founded:
        return seat.speaks
    return view.has_caught_up(seat) if view.leader is not None else seat.speaks


def _is_led(view: View) -> bool:
    return view.leader is not None and view.has_caught_up(view.leader)


def _recovery(view: View, seat: Seat) -> _Stage:
    if seat.pod is None:
        words = f"waiting for {seat.pod_name} to be made again"
    elif seat.is_leaving:
        words = f"waiting for the end of {seat.pod_name}"
    elif not seat.pod.controller_uid:
        words = f"waiting for the StatefulSet to take {seat.pod_name} back"
    elif not view.is_ours(seat):
        words = f"{seat.pod_name} is controlled by another StatefulSet: waiting for its end"
    elif seat.is_broken:
        words = f"{seat.pod_name} does not run: {_why(seat)}"
    else:
        words = f"waiting for {seat.pod_name} to catch up"
    return _Stage(seat, _AWAY, Reason.UPDATING, words)


def _unfounded(outdated: list[Seat]) -> _Stage | None:
    """Replace members of a cluster that has not begun: nothing is lost, none of them is ready."""
    if not outdated:
        return None
    # Who is ready has a leader, whatever we have heard: its cluster was founded behind our back.
    blank = [seat for seat in outdated if seat.pod is not None and not seat.pod.ready]
    if not blank:
        words = f"{outdated[0].pod_name} is ready and has not said whether it was founded"
        return _Stage(outdated[0], "replace", Reason.WAITING_FOR_MAJORITY, words)
    return _deletion(blank[0], "outdated, of a cluster that is not founded yet")


def _comparison(view: View) -> _Stage | None:
    """Return the wait for the last member with the wanted code to answer as its reference does."""
    found = answers.to_compare(view)
    if found is None:
        return None
    last, other, past = found
    step = f"recover {digests.note(last, past)}"
    words = f"comparing what {last.pod_name} answers with {other.pod_name}"
    return _Stage(last, step, Reason.UPDATING, words, look_again_s=LOOK_S)


def _diverged(view: View, outdated: list[Seat]) -> _Stage | None:
    """Return the stop of an update whose new code answers differently."""
    began = view.observed.resource.status.update is not None
    for seat in view.seats:
        if not view.runs_wanted_code(seat) or not seat.speaks or not (outdated or began):
            continue
        words = answers.differed(view, seat)
        if words:
            step = f"stop {words}"
            return _Stage(seat, step, Reason.SERVICE_DIVERGED, answers.difference(view, seat))
    return None


def _hand_over(view: View, leader: Seat) -> _Stage:
    heirs = [seat for seat in view.heirs() if view.is_updated(seat)]
    cordoned = view.observed.cordoned
    free = [seat for seat in heirs if seat.pod is not None and seat.pod.node not in cordoned]
    heir = next(iter(free or heirs), None)
    if heir is None or leader.pod is None:
        words = f"no updated voter that has caught up could take over from {leader.pod_name}"
        return _Stage(leader, "hand-over", Reason.WAITING_FOR_MAJORITY, words)
    step = Transfer(leader.number, leader.pod.uid, heir.number, Reason.UPDATING)
    words = f"{leader.pod_name} hands over to {heir.pod_name} before its own turn"
    return _Stage(leader, "hand-over", Reason.HANDING_OVER, words, step)


def _deletion(seat: Seat, why: str) -> _Stage:
    pod = seat.pod
    assert pod is not None, f"{seat.pod_name} is outdated and not there"
    step = DeletePod(seat.number, pod.name, pod.uid, pod.resource_version, Reason.UPDATING)
    return _Stage(seat, "replace", Reason.UPDATING, why, step)


def _eviction(view: View, seat: Seat) -> _Stage:
    pod = seat.pod
    assert pod is not None, f"{seat.pod_name} is outdated and not there"
    step = EvictPod(seat.number, pod.name, pod.uid, pod.resource_version, Reason.UPDATING)
    others = (other for other in view.seats if other is not seat)
    waits = [other.pod_name for other in others if other.pod is None or not other.pod.ready]
    if waits:
        words = f"the disruption budget allows no eviction until {', '.join(waits)} is ready"
        return _Stage(seat, "replace", Reason.WAITING_FOR_DISRUPTION_BUDGET, words, step)
    return _Stage(seat, "replace", Reason.UPDATING, "its turn to be updated", step)


def _why(seat: Seat) -> str:
    pod = seat.pod
    if pod is None:
        return "no pod"
    exit_code = "" if pod.last_exit_code is None else f", last exit code {pod.last_exit_code}"
    return f"{pod.reason or seat.problem or 'silent'}{exit_code}{health.remedy(seat)}"
