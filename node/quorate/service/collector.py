"""What one callback asks for, held back until it has returned without raising.

Answers go straight into the session's list, which is cut back if the callback raises; all else
(timers, messages to itself, closes) waits here. Between callbacks nothing is allowed.
"""

from __future__ import annotations

from typing import Protocol

from quorate.service.api import LimitExceeded, NotAllowedHere

OUTSIDE = "outside of a callback"
TIMER_MAX = 2**63


class Offered(Protocol):
    """What the collector must know of a session; ``sessions.Session`` is one."""

    session_id: int
    is_open: bool
    parts: list[bytes]


class Collector:
    """What the running callback has asked for so far.

    Invariant:
        ``dirty`` is False exactly when the callback has done nothing but offer to the session
        whose own message is being applied, so the path of a plain answer tests one flag.
    """

    __slots__ = (
        "closes",
        "dirty",
        "forbidden",
        "marks",
        "message_bytes_max",
        "self_messages",
        "self_messages_left",
        "timers",
        "timers_added",
    )

    def __init__(self) -> None:
        """Begin with nothing asked, and nothing allowed."""
        self.forbidden: str | None = OUTSIDE
        """Why effects are refused, or None while a callback may have them."""
        self.dirty = False
        self.marks: dict[Offered, int] = {}
        """Other sessions offered to, with the length of their lists before."""
        self.timers: dict[int, int | None] = {}
        """Deadline by timer id, None where cancelled."""
        self.timers_added = 0
        """By how many timers these changes raise the number pending."""
        self.self_messages: list[bytes] = []
        self.closes: dict[int, None] = {}
        """Ids of sessions to end, each once, in the order asked."""
        self.message_bytes_max = 0
        self.self_messages_left = 0
        """How many more messages to itself the present root event may lead to."""

    def admits(self, session: Offered) -> bool:
        """Note an offer to a session whose message is not being applied.

        Returns:
            False for a session that has ended: drop the message.

        Raises:
            NotAllowedHere: The running callback may not have effects.

        """
        self._check("session.offer")
        if not session.is_open:
            return False
        self.marks.setdefault(session, len(session.parts))
        self.dirty = True
        return True

    def ask_close(self, session: Offered) -> None:
        """Note that the service wants to end a session."""
        self._check("session.close")
        if session.is_open:
            self.closes[session.session_id] = None
            self.dirty = True

    def offer_to_itself(self, message: bytes) -> None:
        """Note a message of the service to itself."""
        self._check("cluster.offer")
        if message.__class__ is not bytes:
            raise TypeError(f"cluster.offer takes bytes, not {type(message).__name__}")
        if len(message) > self.message_bytes_max:
            limit = self.message_bytes_max
            raise LimitExceeded(f"message to itself of {len(message)} bytes exceeds {limit}")
        if len(self.self_messages) >= self.self_messages_left:
            raise LimitExceeded("more messages to itself than self_messages_max allows")
        self.self_messages.append(message)
        self.dirty = True

    def check_timer(self, what: str, timer_id: int, deadline: int) -> None:
        """Refuse what no timer can be."""
        self._check(what)
        for value in (timer_id, deadline):
            if value.__class__ is not int:
                raise TypeError(f"{what} takes integers, not {type(value).__name__}")
            if not 0 <= value < TIMER_MAX:
                raise ValueError(f"{what}: {value} is outside of 0..2**63-1")

    def set_timer(self, timer_id: int, deadline: int | None) -> None:
        """Note a timer that was set, or cancelled where ``deadline`` is None."""
        self.timers[timer_id] = deadline
        self.dirty = True

    def roll_back(self) -> None:
        """Drop everything that the callback has asked for."""
        for session, mark in self.marks.items():
            del session.parts[mark:]
        self.clear()

    def clear(self) -> None:
        """Begin anew for the next callback."""
        self.marks.clear()
        self.timers.clear()
        self.timers_added = 0
        self.self_messages.clear()
        self.closes.clear()
        self.dirty = False

    def _check(self, what: str) -> None:
        if self.forbidden is not None:
            raise NotAllowedHere(f"{what} is not allowed in {self.forbidden}")
