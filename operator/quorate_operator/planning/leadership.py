"""Who leads as status tells it, who led before, and how long nobody did."""

from __future__ import annotations

from quorate_operator.model import LeaderRow
from quorate_operator.planning import times
from quorate_operator.planning.actions import Note
from quorate_operator.planning.view import Seat, View
from quorate_operator.reasons import Reason


def leader_row(view: View) -> LeaderRow | None:
    """Return who leads, by its own word or that of a majority of its followers."""
    found = _by_itself(view) or _by_followers(view)
    if found is None:
        return None
    seat, term = found
    before = view.observed.resource.status.leader
    since = times.written(view.observed.now_s)
    if before is not None and (before.member, before.term) == (seat.number, term):
        since = before.since
    return LeaderRow(seat.number, seat.pod_name, term, since)


def lost_leader(view: View, leader: LeaderRow | None) -> LeaderRow | None:
    """Return who led last while nobody does, and since when it is missed."""
    status = view.observed.resource.status
    if leader is not None:
        return None
    before = status.leader
    if before is None:
        return status.lost_leader
    missed = times.written(view.observed.now_s - _missed_s(view, before))
    return LeaderRow(before.member, before.pod, before.term, missed)


def change(view: View, leader: LeaderRow | None) -> tuple[Note, ...]:
    """Return the report of a change of leader, with the time in which nobody led."""
    status = view.observed.resource.status
    before = status.leader or status.lost_leader
    if leader is None or before is None:
        return ()
    if (before.member, before.term) == (leader.member, leader.term):
        return ()
    if status.leader is None:
        gap_s = max(0.0, view.observed.now_s - times.read(before.since))
    else:
        gap_s = _missed_s(view, before)
    gap = f"nobody led for about {gap_s:.1f} s" if gap_s else "no time without a leader was seen"
    earlier = f"before {before.pod} in term {before.term}"
    words = f"{leader.pod} leads in term {leader.term}, {earlier}; {gap}"
    return (Note(Reason.LEADER_CHANGED, words),)


def _missed_s(view: View, before: LeaderRow) -> float:
    """Return how long the process that led has not answered; 0 if it does."""
    seat = next((seat for seat in view.seats if seat.number == before.member), None)
    return 0.0 if seat is None else seat.silent_s


def _by_itself(view: View) -> tuple[Seat, int] | None:
    return None if view.leader is None else (view.leader, view.term)


def _by_followers(view: View) -> tuple[Seat, int] | None:
    """Return a leader that does not answer us but whom most others still follow."""
    for seat in view.seats:
        if seat.pod is None or seat.is_leaving or seat.is_broken or seat.speaks:
            continue
        terms = [
            other.word.leadership_term_id
            for other in view.seats
            if other.speaks and other.word is not None and other.word.leader == seat.number
        ]
        term = max(terms, default=-1)
        if terms.count(term) >= view.required and term >= 0:
            return seat, term
    return None
