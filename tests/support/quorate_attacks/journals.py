"""A journal for each session, so that what attackers get accepted changes nobody's answers."""

from __future__ import annotations

from quorate.service.api import ClientSession, CloseReason, ClusteredService
from quorate_processes.journal import chain


class Journals(ClusteredService):
    """Answers each session with count and hash of its own messages.

    ``burst N M`` is answered N times with M bytes more, for clients that do not read.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self._journals: dict[int, tuple[int, bytes]] = {}

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Chain and answer."""
        assert session is not None, "nobody here sends messages to itself"
        count, before = self._journals.get(session.session_id, (0, bytes(16)))
        state = (count + 1, chain(before, message))
        self._journals[session.session_id] = state
        if message.startswith(b"burst "):
            times, length = map(int, message.split()[1:])
            for _ in range(times):
                session.offer(bytes(length))
        session.offer(b"%d %s" % (state[0], state[1].hex().encode()))

    def on_session_close(self, session: ClientSession, timestamp: int, reason: CloseReason) -> None:
        """Forget."""
        self._journals.pop(session.session_id, None)
