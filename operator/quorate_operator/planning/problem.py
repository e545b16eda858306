"""Why a plan does less than the resource asks for."""

from __future__ import annotations

from dataclasses import dataclass

from quorate_operator.reasons import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """What stands in the way, with its remedy: ``Reconciled`` is false for it."""

    reason: Reason
    message: str
    stops: bool = True
    """Whether nothing is founded and no member is taken away because of it."""
