"""A service that tells how the interpreter of its member is set."""

from __future__ import annotations

import gc
import sys

from quorate.service.api import ClientSession, ClusteredService


class Interpreter(ClusteredService):
    """Answers thresholds, whether objects are frozen, and the switch interval."""

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Answer, alike on all members."""
        if session is not None:
            settings = (gc.get_threshold(), gc.get_freeze_count() > 0, sys.getswitchinterval())
            session.offer(repr(settings).encode())
