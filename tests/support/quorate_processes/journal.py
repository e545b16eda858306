"""A service whose answers prove the whole history: count and hash of all inputs so far.

If the answers of one client equal those of ``expected_answers``, every message was applied
exactly once, in order, and nothing else was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from quorate.service.api import ClientSession, ClusteredService


class Journal(ClusteredService):
    """Chains every message into a hash and answers with count and hash."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._count = 0
        self._hash = bytes(16)

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Chain and answer."""
        self._count += 1
        self._hash = chain(self._hash, message)
        if session is not None:
            session.offer(b"%d %s" % (self._count, self._hash.hex().encode()))


def chain(before: bytes, message: bytes) -> bytes:
    """Return the hash behind ``message``."""
    return hashlib.blake2b(before + message, digest_size=16).digest()


def expected_answers(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what a cluster that has applied just these messages answers."""
    state = bytes(16)
    for count, message in enumerate(messages, 1):
        state = chain(state, message)
        yield b"%d %s" % (count, state.hex().encode())
