"""From what is observed to the next safe step."""

from __future__ import annotations

from quorate_operator.planning.actions import Plan
from quorate_operator.planning.observed import Observed


def plan(observed: Observed) -> Plan:
    """Return what to do now; nothing yet."""
    return Plan((), observed.resource.status)
