"""The status that follows from one look; unchanged in every byte while nothing worth telling is.

Lag changes all the time, so it is written only together with something else.
"""

from __future__ import annotations

from dataclasses import replace

from quorate_operator.model import ClusterStatus, MemberRow, TransferRow
from quorate_operator.planning import conditions, health
from quorate_operator.planning.conditions import Findings, Verdict
from quorate_operator.planning.leadership import lost_leader
from quorate_operator.planning.view import View
from quorate_operator.reasons import Condition, Reason

BLOCKED = "Blocked"
DELETING = "Deleting"
VOLUMES_LOST = "VolumesLost"


def make_status(view: View, findings: Findings, transfer: TransferRow | None) -> ClusterStatus:
    """Return the status; identity fields as recorded."""
    resource = view.observed.resource
    recorded = resource.status
    found = conditions.verdicts(view, findings)
    status = replace(
        recorded,
        observed_generation=resource.generation,
        leader=findings.leader,
        lost_leader=lost_leader(view, findings.leader),
        quorum=conditions.quorum(view, findings.leader) if view.cluster_id else None,
        members=tuple(health.rows(view)) if view.cluster_id else (),
        operation=None if findings.is_paused else findings.operation,
        update=findings.update.row,
        last_transfer=transfer or recorded.last_transfer,
        conditions=tuple(conditions.dated(view, found)),
        state=_state(found),
        version=_version(view),
    )
    return settled(status, recorded)


def with_reconciled(view: View, findings: Findings) -> ClusterStatus:
    """Return the recorded status with ``Reconciled`` as it is now.

    For the moment after a start, in which members have not been heard yet: what is recorded of
    them is the better guess.
    """
    recorded = view.observed.resource.status
    wanted = [v for v in conditions.verdicts(view, findings) if v.type is Condition.RECONCILED]
    (row,) = conditions.dated(view, wanted)
    rows = tuple(row if old.type is Condition.RECONCILED else old for old in recorded.conditions)
    return replace(recorded, conditions=rows)


def settled(status: ClusterStatus, recorded: ClusterStatus) -> ClusterStatus:
    """Return what is recorded if nothing but lag is different."""
    lags = {row.seat: row.lag_bytes for row in recorded.members}
    members = tuple(_with_lag(row, lags.get(row.seat, row.lag_bytes)) for row in status.members)
    return recorded if replace(status, members=members) == recorded else status


def _with_lag(row: MemberRow, lag_bytes: int) -> MemberRow:
    return replace(row, lag_bytes=lag_bytes)


def _version(view: View) -> str:
    if view.leader is not None and view.leader.word is not None:
        return view.leader.word.version
    return view.observed.resource.status.version


def _state(found: tuple[Verdict, ...]) -> str:
    """Return one word for people: the first of these that is so."""
    by_type = {verdict.type: verdict for verdict in found}
    ready, progressing = by_type[Condition.READY], by_type[Condition.PROGRESSING]
    reconciled = by_type[Condition.RECONCILED]
    blocked = {Reason.PAUSED: "Paused", Reason.BEING_DELETED: DELETING}
    is_founding = progressing.reason is Reason.FOUNDING
    is_active = progressing.status and progressing.reason is not Reason.REPAIRING
    is_degraded = not ready.status or by_type[Condition.DEGRADED].status
    words = (
        (ready.reason is Reason.ALL_VOLUMES_LOST, VOLUMES_LOST),
        (not reconciled.status, blocked.get(reconciled.reason, BLOCKED)),
        (progressing.reason in (Reason.UPDATE_STUCK, Reason.SERVICE_DIVERGED), "Stuck"),
        (ready.reason is Reason.NOT_FOUNDED, "Founding" if is_founding else "Creating"),
        (not by_type[Condition.QUORATE].status, "NotQuorate"),
        (is_active, str(progressing.reason)),
        (is_degraded, "Degraded"),
    )
    return next((word for applies, word in words if applies), "Ready")
