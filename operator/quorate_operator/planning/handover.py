"""Leadership moved on purpose: on request, and away from a node that is being emptied.

A request is an annotation with an id of its own; it is done when ``status.lastTransfer`` names
it. What is about to be asked is recorded before it is asked, so an operator that ends in between
knows from whom, and asks nobody twice who has done it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from quorate_operator.model import OperationRow, TransferRow
from quorate_operator.planning import operations, times
from quorate_operator.planning.actions import Note, Transfer
from quorate_operator.planning.view import Seat, View
from quorate_operator.reasons import Reason

TRANSFER_S = 30.0
"""From the first question until a hand-over on request has failed."""
CORDON_S = 60.0
"""Between two hand-overs because of cordoned nodes."""
REQUEST_CHARACTERS_MAX = 253
_REQUEST = re.compile(r"([a-z0-9][a-z0-9-]{0,62})/([A-Za-z0-9][A-Za-z0-9._-]{0,127})")
_FROM = re.compile(r"from seat ([0-9]{1,3}) in term ([0-9]{1,19})$")
ANY = "any"


@dataclass(frozen=True, slots=True)
class Handover:
    """What becomes of a hand-over."""

    result: TransferRow | None = None
    """None: as recorded."""
    operation: OperationRow | None = None
    disruption: Transfer | None = None
    message: str = ""
    notes: tuple[Note, ...] = ()
    look_again_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    text: str
    target: Seat | None
    """None: anybody."""


def plan_request(view: View, *, is_free: bool) -> Handover | None:
    """Return what becomes of the hand-over that the user asks for; None if there is none to do.

    Args:
        view: What is.
        is_free: Whether no member is away because of an update.

    """
    text = _shown(view.observed.resource.transfer_request)
    last = view.observed.resource.status.last_transfer
    if not text or (last is not None and last.request == text):
        return None
    request = _read(view, text)
    if isinstance(request, str):
        return _ended(view, text, "Invalid", Reason.TRANSFER_INVALID, request)
    begun = operations.recorded(view, operations.TRANSFER)
    if begun is None or begun.target != text or _FROM.search(begun.step) is None:
        return _begin(view, request, is_free=is_free)
    return _go_on(view, request, begun, is_free=is_free)


def plan_cordon(view: View, *, is_free: bool) -> Handover | None:
    """Return the hand-over away from a cordoned node; None if there is no reason for one."""
    leader = view.leader
    if leader is None or leader.pod is None or leader.pod.node not in view.observed.cordoned:
        return None
    heir = next((seat for seat in view.heirs() if _is_on_free_node(view, seat)), None)
    if heir is None:
        return None
    asked = operations.recorded(view, operations.LEAVE_NODE)
    words = f"{leader.pod_name} leads on node {leader.pod.node}, which is cordoned"
    if asked is not None and asked.target == leader.pod_name:
        left = operations.left_s(view, asked)
        if left is not None:
            return Handover(operation=asked, message=words, look_again_s=left)
    wait = _settled_in(view)
    if wait > 0 or not is_free or not _is_safe(view, leader, heir):
        return Handover(look_again_s=wait if wait > 0 else None)
    now_s = view.observed.now_s
    row = OperationRow(
        operations.LEAVE_NODE,
        leader.pod_name,
        "hand-over",
        Reason.HANDING_OVER,
        times.written(now_s),
        times.written(now_s + CORDON_S),
    )
    step = Transfer(leader.number, leader.pod.uid, heir.number, Reason.HANDING_OVER)
    return Handover(operation=row, disruption=step, message=words, look_again_s=CORDON_S)


def _begin(view: View, request: _Request, *, is_free: bool) -> Handover:
    leader = view.leader
    if leader is not None and leader is request.target:
        return _done(view, request, leader)
    if leader is None or not is_free:
        return Handover()  # the request stands; what is in the way is told elsewhere
    row = operations.going_on(
        view,
        kind=operations.TRANSFER,
        target=request.text,
        step=f"hand-over from seat {leader.number} in term {view.term}",
        reason=Reason.HANDING_OVER,
        within_s=TRANSFER_S,
    )
    return Handover(operation=row, message=_words(request), look_again_s=0.0)


def _go_on(view: View, request: _Request, row: OperationRow, *, is_free: bool) -> Handover:
    leader, found = view.leader, _FROM.search(row.step)
    assert found is not None, f"the step {row.step!r} was checked"
    before, term = int(found[1]), int(found[2])
    if leader is not None:
        is_other = request.target is None and view.term > term and leader.number != before
        if leader is request.target or is_other:
            return _done(view, request, leader)
    if operations.is_overdue(view, row):
        return _ended(
            view, request.text, "Failed", Reason.TRANSFER_FAILED, _hindrance(view, request)
        )
    left = operations.left_s(view, row)
    heir = request.target if request.target is not None else next(view.heirs(), None)
    step = _asked(view, request, leader, heir) if is_free else None
    return Handover(operation=row, disruption=step, message=_words(request), look_again_s=left)


def _asked(
    view: View, request: _Request, leader: Seat | None, heir: Seat | None
) -> Transfer | None:
    if leader is None or leader.pod is None or heir is None or not _is_safe(view, leader, heir):
        return None
    to = None if request.target is None else heir.number
    return Transfer(leader.number, leader.pod.uid, to, Reason.HANDING_OVER)


def _is_safe(view: View, leader: Seat, heir: Seat) -> bool:
    """Tell whether leadership can move now: both are well, within a majority that is."""
    able = view.is_ours(leader) and view.is_ours(heir) and view.has_caught_up(heir)
    return able and view.has_caught_up(leader) and view.caught_up() >= view.required


def _hindrance(view: View, request: _Request) -> str:
    if view.leader is None:
        return "there was no leader to ask"
    heir = request.target
    if heir is not None and not view.has_caught_up(heir):
        return f"{heir.pod_name} was not a voter that had caught up; ask again when it is"
    return f"{view.leader.pod_name} still leads; its log says why it did not hand over"


def _done(view: View, request: _Request, leader: Seat) -> Handover:
    words = f"{leader.pod_name} leads in term {view.term}"
    return _ended(view, request.text, "Done", Reason.TRANSFER_DONE, words, leader.number)


def _ended(
    view: View, text: str, result: str, reason: Reason, message: str, leader: int | None = None
) -> Handover:
    at = times.written(view.observed.now_s)
    row = TransferRow(text, result, leader, message, at)
    note = Note(reason, f"{text}: {message}", warning=reason is not Reason.TRANSFER_DONE)
    return Handover(result=row, notes=(note,))


def _shown(text: str) -> str:
    """Return a request as status can hold it; one that is too long is invalid anyway."""
    return text if len(text) <= REQUEST_CHARACTERS_MAX else text[: REQUEST_CHARACTERS_MAX - 1] + "…"


def _read(view: View, text: str) -> _Request | str:
    """Return the request, or what is wrong with it and how it should be."""
    found = _REQUEST.fullmatch(text)
    names = ", ".join(seat.pod_name for seat in view.seats)
    if found is None:
        return f"a request reads <member or any>/<id of your choice>; members are {names}"
    who = found[1]
    if who == ANY:
        if len(view.seats) == 1:
            return "the only member has nobody to hand over to; raise the number of replicas first"
        return _Request(text, None)
    for seat in view.seats:
        if who in (seat.pod_name, str(seat.number)):
            return _Request(text, seat)
    return f"there is no member {who}; name one of {names}, or any"


def _words(request: _Request) -> str:
    whom = "another voter" if request.target is None else request.target.pod_name
    return f"leadership is handed to {whom}, as request {request.text} asks"


def _is_on_free_node(view: View, seat: Seat) -> bool:
    return seat.pod is not None and seat.pod.node not in view.observed.cordoned


def _settled_in(view: View) -> float:
    """Return how long the leader must still be in office before a cordon moves it."""
    row = view.observed.resource.status.leader
    if row is None or row.term != view.term:
        return CORDON_S  # not recorded yet: a later look finds since when
    return CORDON_S - (view.observed.now_s - times.read(row.since))
