"""The one act that makes a cluster out of blank members.

Asked for only while nothing that could remember a founding does, and every member says that it is
blank or has begun; then as often as needed, since members repeat the same founding. A volume that
is about to go is not founded on: its seat would be lost with the end of its first pod.
"""

from __future__ import annotations

from quorate.control.status import MemberState
from quorate_operator.planning.actions import Found
from quorate_operator.planning.view import FOUNDABLE, Seat, View


def plan_founding(view: View) -> Found | None:
    """Return the request to found, if every seat is ready for it."""
    if view.founded or not view.seats or not all(_is_ready(view, seat) for seat in view.seats):
        return None
    first = min(view.seats, key=lambda seat: seat.number)
    assert first.pod is not None, f"seat {first.number} speaks and has no pod"
    return Found(first.number, first.pod.uid)


def broken_founding(view: View) -> str:
    """Return which members say that a seat changed during the founding; empty for none."""
    said = [
        f"{seat.pod_name}: {seat.word.reason or 'a seat changed during the founding'}"
        for seat in view.seats
        if seat.word is not None and seat.word.state is MemberState.FOUNDING_BROKEN
    ]
    return "; ".join(said)


def are_all_volumes_lost(view: View) -> bool:
    """Tell whether a cluster that was founded has only members that know nothing of it."""
    return view.founded and bool(view.seats) and all(_is_blank(seat) for seat in view.seats)


def _is_ready(view: View, seat: Seat) -> bool:
    if not seat.speaks or seat.word is None or not view.is_ours(seat) or not seat.has_volume:
        return False
    return seat.word.state in FOUNDABLE and not seat.word.founded


def _is_blank(seat: Seat) -> bool:
    return seat.word is not None and seat.word.state in FOUNDABLE and not seat.word.founded
