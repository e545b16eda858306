"""Which member a client dials next, and when. Pure.

A redirect's address is tried first, then the members in turn. A member that was lost, refused
or fell silent is *suspect* for a moment: the others may name it as leader until they have
noticed, and are then better waited at than left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_MS: Final = 1_000_000
BACKOFF_MIN_NS: Final = 10 * _MS
BACKOFF_MAX_NS: Final = 250 * _MS
_DOUBLINGS_MAX: Final = 5


class MemberRotation:
    """The addresses of a cluster's members as one client knows them."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """Begin with the addresses that the application gave, at least one."""
        assert addresses, "a client needs an address"
        self._given = tuple(dict.fromkeys(addresses))
        self._addresses = list(self._given)
        self._next = 0
        self._preferred: str | None = None
        self._suspects: dict[str, int] = {}
        self._failures = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses, in the order in which they are dialled."""
        return tuple(self._addresses)

    def learn(self, members: Sequence[str]) -> None:
        """Take the members' addresses from a session's answer; the given ones stay in reserve."""
        if members:
            self._addresses = list(dict.fromkeys((*members, *self._given)))

    def prefer(self, address: str) -> None:
        """Dial this one next: a redirect named it."""
        self._preferred = address

    def suspect(self, address: str, until: int) -> None:
        """Do not follow a redirect to this member before ``until``."""
        self._suspects[address] = until

    def suspect_until(self, address: str, now: int) -> int | None:
        """Return until when a member is suspect, or None when it is not."""
        until = self._suspects.get(address)
        return until if until is not None and now < until else None

    def on_failure(self) -> None:
        """An attempt ended without a session."""
        self._failures += 1

    def on_success(self) -> None:
        """A session is open: the next attempt comes without delay."""
        self._failures = 0
        self._suspects.clear()

    def next(self) -> str:
        """Return the address to dial now."""
        address, self._preferred = self._preferred, None
        if address is not None:
            if address in self._addresses:
                self._next = self._addresses.index(address) + 1
            return address
        address = self._addresses[self._next % len(self._addresses)]
        self._next = (self._next + 1) % len(self._addresses)
        return address

    @property
    def delay_ns(self) -> int:
        """How long to wait before the next attempt: none after a session, then doubling."""
        if self._failures == 0:
            return 0
        return min(BACKOFF_MAX_NS, BACKOFF_MIN_NS << min(self._failures - 1, _DOUBLINGS_MAX))
