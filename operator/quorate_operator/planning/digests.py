"""Whether new code answers as the old code did: by digests at positions that both have passed.

A digest covers everything since the log began. An updated member has replayed the log with its new
code; agreement counts at a position no earlier than where the reference stood when the new process
was first heard, because up to there the member has computed everything anew.
"""

from __future__ import annotations

import re
from enum import Enum

from quorate.control.status import MemberState, MemberStatus
from quorate_operator.planning.view import Seat, View

_NOTED = re.compile(r"answers of ([0-9a-zA-Z-]{1,16}) past ([0-9]{1,19})$")
_DIFFERED = re.compile(
    r"as ([0-9a-zA-Z-]{1,16}) answers differently(?: from ([0-9a-zA-Z-]{1,16}))?$"
)


class Agreement(Enum):
    """What two members' digests say."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """They have no position in common yet that is late enough."""


def compare(one: MemberStatus, other: MemberStatus, past: int) -> Agreement:
    """Compare all positions in common; equality counts at ``past`` or later only."""
    left = {row.position: row.digest for row in one.digests}
    right = {row.position: row.digest for row in other.digests}
    common = left.keys() & right.keys()
    if any(left[position] != right[position] for position in common):
        return Agreement.DIFFERENT
    late = any(position >= past for position in common)
    return Agreement.EQUAL if late else Agreement.UNKNOWN


def reference(view: View, updated: Seat) -> Seat | None:
    """Return whom an updated member is compared with: the leader, or one with the old code."""
    if view.leader is not None and view.leader.number != updated.number:
        return view.leader
    able = (seat for seat in view.seats if view.has_caught_up(seat))
    return next((seat for seat in able if not view.runs_wanted_code(seat)), None)


def reached(word: MemberStatus) -> int:
    """Return how far a member has computed its digests."""
    return max((row.position for row in word.digests), default=word.commit_position)


def note(seat: Seat, past: int) -> str:
    """Return the words of a step that remember from where on agreement counts."""
    return f"comparing answers of {_pod(seat)} past {past}"


def differed(seat: Seat, other: Seat | None = None) -> str:
    """Return the words of a step that remember that a process answered differently.

    Under traffic, words that were heard at different moments share no position.

    Args:
        seat: Of the process.
        other: Whom it was compared with; None if the members found it out.

    """
    return f"as {_pod(seat)} answers differently" + (f" from {_pod(other)}" if other else "")


def remembered(view: View, step: str, seat: Seat) -> str:
    """Return such words of a recorded step, if they are about the pod that is there now.

    They count no more once whom it was compared with turns out to be the odd one.
    """
    found = _DIFFERED.search(step)
    if found is None or found[1] != _pod(seat):
        return ""
    odd = (_pod(other) for other in view.seats if other.state is MemberState.DIVERGED)
    return "" if found[2] is not None and found[2] in odd else found[0]


def agreed(seat: Seat) -> str:
    """Return the words of a step that remember that the pod that is there now agrees."""
    return f"after {seat.pod_name} ({_pod(seat)}) agreed"


def noted(step: str, seat: Seat) -> int | None:
    """Return the position in such words, if they are about the pod that is there now."""
    found = _NOTED.search(step)
    if found is None or found[1] != _pod(seat):
        return None
    return int(found[2])


def _pod(seat: Seat) -> str:
    return "-" if seat.pod is None else seat.pod.uid[:8] or "-"
