"""Services that do what a service must not."""

from __future__ import annotations

from quorate.service.api import ClientSession, Cluster, ClusteredService, SnapshotInput


class RaisesAtStart(ClusteredService):
    """Cannot start."""

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Raise."""
        raise RuntimeError("no such file: rates.csv")

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Never reached."""


class RaisesOnMessage(ClusteredService):
    """Fails for the message ``bad`` and echoes the others."""

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Echo or raise."""
        if message == b"bad":
            raise ValueError("a text that no client may see")
        if session is not None:
            session.offer(message)


class NotAService:
    """Something else."""
