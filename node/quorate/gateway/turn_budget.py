"""How much connections may bring in one turn of the loop; what is too much waits for its next turn.

Credit bounds what waits behind the gateway; this bounds how long one turn takes, and shares it:
whoever has brought its share is not read from until the others have had theirs.
"""

from __future__ import annotations

from typing import Final, Protocol

MESSAGES_PER_TURN: Final = 2048
"""Of all connections together in one turn of the agent. So clients that flood their leader with
small messages, which no credit bounds, delay each other and not the heartbeats."""
MESSAGES_PER_TURN_EACH: Final = 16
"""The share of one connection does not fall below this, however many there are."""
BYTES_PER_TURN: Final = 1024 * 1024
"""Shared likewise. A connection is not read from behind the piece that exceeds it."""
BYTES_PER_TURN_EACH: Final = 64 * 1024


class Waiting(Protocol):
    """A connection that has brought enough."""

    def go_on(self) -> None:
        """Take what it has brought, as far as this turn has room for it."""


class TurnBudget:
    """The present turn's room for messages, and who waits for the next."""

    __slots__ = ("_active", "_held", "bytes_each", "each", "left", "turn")

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self.turn = 0
        self.left = MESSAGES_PER_TURN
        """Messages that may still be taken in this turn, of all connections."""
        self.each = MESSAGES_PER_TURN
        """Messages that one connection may bring in this turn."""
        self.bytes_each = BYTES_PER_TURN
        self._held: dict[Waiting, None] = {}
        self._active = 1

    def begin(self, active: int) -> None:
        """Begin a turn, which ``active`` connections share: those that wait come first.

        Those for whom this turn has no room come first in the next, ahead of those who had
        some: so everybody gets his turn, however many flood.
        """
        self.turn += 1
        self.left = MESSAGES_PER_TURN
        if active != self._active:
            self._active = active
            self.each = max(MESSAGES_PER_TURN_EACH, MESSAGES_PER_TURN // active)
            self.bytes_each = max(BYTES_PER_TURN_EACH, BYTES_PER_TURN // active)
        if not self._held:
            return
        waiting, self._held = self._held, {}
        for connection in list(waiting):
            if self.left <= 0:
                break
            # One that is lost meanwhile is not in `waiting` any more, but has nothing either.
            del waiting[connection]
            connection.go_on()
        self._held = {**waiting, **self._held}

    def hold(self, connection: Waiting) -> None:
        """Let a connection go on in a later turn."""
        self._held[connection] = None

    def forget(self, connection: Waiting) -> None:
        """Wait no more for a connection that is gone."""
        self._held.pop(connection, None)
