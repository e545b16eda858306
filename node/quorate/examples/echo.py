"""The smallest service: it answers every message with the message.

Run it with ``quorate dev --service quorate.examples.echo:Echo``.
"""

from __future__ import annotations

from quorate.service import ClientSession, ClusteredService


class Echo(ClusteredService):
    """Answers every message with itself; it has no state, so it needs no snapshot either."""

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Send the message back to whom it came from."""
        del timestamp  # an echo does not depend on when
        if session is not None:
            session.offer(message)
