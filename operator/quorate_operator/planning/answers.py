"""Whether members with the wanted code answer as the others do, and who is odd if they do not.

What was seen is remembered in the step of the recorded operation: words that members say at
different moments may have no position in common again.
"""

from __future__ import annotations

from quorate.control.status import MemberState
from quorate_operator.planning import digests, operations
from quorate_operator.planning.digests import Agreement
from quorate_operator.planning.view import Seat, View


def last_recoded(view: View) -> Seat | None:
    """Return the youngest member that has the wanted code and has caught up."""
    able = (seat for seat in view.seats if view.has_caught_up(seat))
    return max((seat for seat in able if view.runs_wanted_code(seat)), key=_age, default=None)


def to_compare(view: View) -> tuple[Seat, Seat, int] | None:
    """Return the last member with the wanted code while it has not answered as its reference does.

    Returns:
        That member, its reference, and the position from which on agreement counts.

    """
    last = last_recoded(view)
    if last is None or last.word is None:
        return None
    other = digests.reference(view, last)
    if other is None or other.word is None:
        return None
    before = operations.recorded(view, operations.UPDATE)
    if before is not None and before.step.endswith(digests.agreed(last)):
        return None  # words of different moments may lack a position in common again
    past = None
    if before is not None and before.target == last.pod_name:
        past = digests.noted(before.step, last)
    if past is None:
        past = digests.reached(other.word)
    if digests.compare(last.word, other.word, past) is Agreement.EQUAL:
        return None
    return last, other, past


def differed(view: View, seat: Seat) -> str:
    """Return the words that remember that a member answers differently; empty if it does not."""
    before = operations.recorded(view, operations.UPDATE)
    words = "" if before is None else digests.remembered(view, before.step, seat)
    if words or seat.state is MemberState.DIVERGED:
        return words or digests.differed(seat)
    other = digests.reference(view, seat)
    if other is None or other.word is None or seat.word is None:
        return ""
    is_different = digests.compare(seat.word, other.word, 0) is Agreement.DIFFERENT
    return digests.differed(seat, other) if is_different else ""


def difference(view: View, seat: Seat) -> str:
    """Return what is told of a member that answers differently."""
    pods = (other for other in view.seats if other.pod is not None)
    if all(view.runs_wanted_code(other) for other in pods):
        return (
            f"{seat.pod_name} answers differently from the others, which run the same code: look "
            "for what is not deterministic in the service"
        )
    return (
        f"{seat.pod_name}, updated, answers differently from the others: set image, code "
        "and configuration back to what the others run"
    )


def odd_ones(view: View, outdated: list[Seat], *, is_refuted: bool) -> list[Seat]:
    """Return those with other code that are the odd ones out: their turn heals the cluster.

    The members find that out by themselves each few MiB of log; before they have, it is so if the
    leader and a majority with it run what is wanted and answer alike.

    Args:
        view: What is.
        outdated: Those whose turn is to come.
        is_refuted: Whether the wanted code was seen to answer differently. Unless a majority runs
            it, it heals nobody then, and with each member it gets it comes closer to one.

    """
    old = [seat for seat in outdated if not view.runs_wanted_code(seat)]
    diverged = [seat for seat in old if seat.state is MemberState.DIVERGED]
    if _is_majoritys(view):
        return diverged or [seat for seat in old if differed(view, seat)]
    return [] if is_refuted else diverged


def _is_majoritys(view: View) -> bool:
    """Tell whether the leader and a majority with it run the wanted code and answer alike."""
    leader = view.leader
    if leader is None or not view.runs_wanted_code(leader):
        return False
    others = (seat for seat in view.seats if seat is not leader and view.has_caught_up(seat))
    alike = sum(view.runs_wanted_code(seat) and not differed(view, seat) for seat in others)
    return alike + 1 >= view.required


def _age(seat: Seat) -> tuple[float, int]:
    return (0.0 if seat.pod is None else seat.pod.created_s, seat.number)
