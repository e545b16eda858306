"""A service that looks at its machine: one member of the cluster answers differently."""

from __future__ import annotations

import os
from pathlib import Path

from quorate.service.api import ClientSession, ClusteredService


class Odd(ClusteredService):
    """Answers ``odd`` in the first process of a cluster that starts, ``even`` in the others."""

    def __init__(self) -> None:
        """Let exactly one member be the odd one."""
        mark = Path(os.environ.get("TMPDIR", "/tmp")) / f"odd-{os.getppid()}"
        try:
            mark.touch(exist_ok=False)
            self._answer = b"odd"
        except FileExistsError:
            self._answer = b"even"

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Answer."""
        if session is not None:
            session.offer(self._answer)
