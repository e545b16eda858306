"""A service whose behaviour is in the messages that it gets."""

from __future__ import annotations

from quorate.service.api import ClientSession, CloseReason, ClusteredService


class ParrotService(ClusteredService):
    """Repeats what it hears, unless the message asks for something else.

    ``quiet…`` is not answered, ``twice…`` twice, ``fail…`` raises, ``close…`` closes the
    session, ``burst N M`` answers N times with M bytes.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self.heard: list[tuple[int, bytes]] = []
        """Session and message of everything applied, in order."""
        self.closed: list[tuple[int, CloseReason]] = []

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Do what the message says."""
        assert session is not None, "nobody here sends messages to itself"
        self.heard.append((session.session_id, message))
        word = message.split(b" ", 1)[0]
        if word.startswith(b"quiet"):
            return
        if word.startswith(b"fail"):
            raise RuntimeError("asked to fail")
        if word.startswith(b"close"):
            session.close()
        elif word == b"burst":
            _, count, length = message.split()
            for _ in range(int(count)):
                session.offer(bytes(int(length)))
        else:
            session.offer(message)
            if word.startswith(b"twice"):
                session.offer(message)

    def on_session_close(self, session: ClientSession, timestamp: int, reason: CloseReason) -> None:
        """Remember why."""
        self.closed.append((session.session_id, reason))
