"""What people read of members' statuses, whichever command shows it to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quorate.control.status import MemberStatus


def leader_of(statuses: Iterable[MemberStatus]) -> MemberStatus | None:
    """Return the leader of the last term, if any of them leads.

    One that has been deposed and has not heard of it yet may have the longer log.
    """
    leaders = (status for status in statuses if status.role == "leader")
    return max(leaders, key=lambda status: status.leadership_term_id, default=None)


def lag(status: MemberStatus, leader: MemberStatus | None) -> str:
    """Return how many bytes of the leader's log a member lacks; ``-`` while nobody leads."""
    return "-" if leader is None else str(max(0, leader.written_position - status.append_position))


def remarks(status: MemberStatus) -> Iterator[str]:
    """Yield what needs words, without the name of the member."""
    if status.reason:
        yield f"{status.state.value}: {status.reason}"
    if status.possible_loss:
        yield "this term may lack messages acknowledged before it"
    yield from (f"ALARM {alarm.name}: {alarm.detail}" for alarm in status.alarms)
