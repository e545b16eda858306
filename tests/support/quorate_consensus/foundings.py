"""Members of a cluster that is not founded yet."""

from __future__ import annotations

from collections.abc import Callable

from quorate.consensus.types import FoundingState
from quorate_consensus.driven import Driven, hello, lowest
from quorate_consensus.logs import HandLog, node_state

BLANK = node_state(founded=False)


def blank(
    seat: int,
    formatting: int = 0,
    *,
    by_hand: bool = False,
    held: HandLog | None = None,
    random: Callable[[int, int], int] = lowest,
) -> Driven:
    """Return a member without the mark; ``held`` is what its disk has of a founding."""
    log = HandLog(frames=()) if held is None else held
    return Driven(log, seat, state=BLANK, formatting=formatting, by_hand=by_hand, random=random)


def greeted(seat: int = 0, *, held: HandLog | None = None) -> Driven:
    """Return a member without the mark that two blank ones have greeted.

    Each of its attempts at a founding draws another number, as in production.
    """
    draws = iter(range(2, 100))  # The frames of `logs` are of attempt 1.
    member = blank(seat, held=held, random=lambda _low, _high: next(draws))
    others = [other for other in range(3) if other != seat]
    member.link(*others)
    for other in others:
        member.receive(other, hello(FoundingState.BLANK))
    member.clear()
    return member


def found(member: Driven, *, discard: bool = False) -> str | None:
    """Ask a member to found, or to discard; return the refusal."""
    refusal = member.module.request_found(member.now, discard=discard)
    member.drain()
    return refusal
