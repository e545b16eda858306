"""Services that do what a service must not."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys

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


class EndsItsProcess(ClusteredService):
    """Leaves for ``leave``, fails for ``bad``, wants all memory at ``hoard``, says farewell.

    For ``vanish`` it ends without a word, for ``fork`` it goes on twice. For ``crash`` it does what
    compiled code with an error does; from ``hang`` it does not return.
    """

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Echo, raise, or end the process with the code of success."""
        if message == b"bad":
            raise ValueError("bad")
        if message == b"leave":
            sys.exit(0)
        if message == b"vanish":
            os._exit(0)
        if message == b"fork":
            os.fork()
        if message == b"hoard":
            bytes(1 << 62)
        if message == b"crash":
            ctypes.string_at(0)
        while message == b"hang":
            pass
        if session is not None:
            session.offer(message)

    def on_terminate(self) -> None:
        """Tell the log of the member."""
        logging.getLogger("author").warning("the service was told that its member ends")


class IsAskedMeanwhile(ClusteredService):
    """Its process is asked to end while code runs that catches everything."""

    def __init__(self) -> None:
        """Be asked, and go on."""
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:  # noqa: BLE001 - that is the case
            logging.getLogger("author").warning("caught %r", error)

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Never reached."""
