"""A pocket calculator for every session: keys go in, ``=`` answers.

The keys ``8``, ``x5``, ``+2``, ``=`` answer ``42``. A number starts anew; ``+``, ``-``, ``x`` and
``/`` (rounding down) with a number apply to what is shown; ``=`` answers that; ``C`` clears it.
Most keys are not answered: a client learns from the acknowledgement that they were applied.

What to learn here: state per session, answers only where there is something to say, bad input
as an answer and never as an exception, and a snapshot of fixed-size records.

Run it with ``quorate dev --service quorate.examples.calculator:Calculator``.
"""

from __future__ import annotations

import struct

from quorate.service import (
    ClientSession,
    CloseReason,
    Cluster,
    ClusteredService,
    SnapshotInput,
    SnapshotOutput,
)

SHOWN_MAX = 10**18 - 1
"""Eighteen digits. Without a bound a client could make numbers as long as the memory."""
DIGITS_MAX = 18

_RECORD = struct.Struct("<Qq")


class Calculator(ClusteredService):
    """Keeps what each session's calculator shows."""

    def __init__(self) -> None:
        """Begin without calculators."""
        self._shown: dict[int, int] = {}

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Load what every calculator shows."""
        for record in snapshot or ():
            session_id, shown = _RECORD.unpack(record)
            self._shown[session_id] = shown

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        """Write what every calculator shows, by session id: equal states, equal records."""
        for session_id, shown in sorted(self._shown.items()):
            snapshot.write(_RECORD.pack(session_id, shown))

    def on_session_open(self, session: ClientSession, timestamp: int) -> None:
        """Switch a calculator on."""
        self._shown[session.session_id] = 0

    def on_session_close(self, session: ClientSession, timestamp: int, reason: CloseReason) -> None:
        """Switch it off."""
        del self._shown[session.session_id]

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Press one key."""
        assert session is not None, "this service sends no messages to itself"
        session_id = session.session_id
        if message == b"=":
            session.offer(b"%d" % self._shown[session_id])
            return
        answer = press(self._shown[session_id], message)
        if isinstance(answer, int):
            self._shown[session_id] = answer
        else:
            session.offer(answer)


def press(shown: int, key: bytes) -> int | bytes:
    """Return what is shown after ``key``, or an error message that leaves it as it was."""
    if key == b"C":
        return 0
    operator = key[:1]
    digits = key if operator.isdigit() else key[1:]
    if not digits.isdigit() or len(digits) > DIGITS_MAX:
        return b"error: not a key: " + key[: DIGITS_MAX + 2]
    number = int(digits)
    if operator.isdigit():
        return number
    if operator == b"+":
        result = shown + number
    elif operator == b"-":
        result = shown - number
    elif operator == b"x":
        result = shown * number
    elif operator == b"/":
        if number == 0:
            return b"error: division by zero"
        result = shown // number
    else:
        return b"error: not a key: " + key[: DIGITS_MAX + 2]
    return result if abs(result) <= SHOWN_MAX else b"error: more than 18 digits"
