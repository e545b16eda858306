"""Puts a problem that only shows when acting into a status that was planned without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from quorate_operator.model import ClusterStatus, ConditionRow
from quorate_operator.planning.observed import Resource
from quorate_operator.planning.status import BLOCKED, VOLUMES_LOST, settled
from quorate_operator.reasons import Condition, Reason

MESSAGE_CHARACTERS_MAX = 1000


def with_problem(
    status: ClusterStatus, reason: Reason, message: str, resource: Resource, now_s: float
) -> ClusterStatus:
    """Return ``status`` with ``Reconciled`` false for this reason, in conditions and in one word.

    The time of the transition is kept while the recorded condition was false already, and what is
    recorded is returned if nothing but lag is different: a problem may last, and traffic too.
    """
    wanted = Condition.RECONCILED
    recorded = resource.status.conditions
    before = next((row for row in recorded if row.type is wanted), None)
    now = datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    since = before.last_transition if before is not None and before.status is False else now
    row = ConditionRow(
        type=wanted,
        status=False,
        reason=reason,
        message=message[:MESSAGE_CHARACTERS_MAX],
        observed_generation=resource.generation,
        last_transition=since,
    )
    others = (other for other in status.conditions if other.type is not wanted)
    state = status.state if status.state == VOLUMES_LOST else BLOCKED
    changed = replace(status, conditions=(*others, row), state=state)
    return settled(changed, resource.status)
