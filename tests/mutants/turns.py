"""Lies in the turns of a member's loop that no test noticed once."""

from __future__ import annotations

from mutant import Mutant

TURNS = (
    Mutant(
        "slice-without-a-next-one",
        "runtime/agent.py",
        "            self._loop.call_soon(self.wake)\n",
        "            pass\n",
        "what one slice leaves of the log is applied without waiting for another input",
    ),
    Mutant(
        "spin-beside-a-read",
        "runtime/agent.py",
        "if applier.can_go_on and self.diverged_at is None:",
        "if applier.is_behind and self.diverged_at is None:",
        "a member that waits for its recording leaves the processor to others",
    ),
    Mutant(
        "hanging-turn-not-seen",
        "runtime/agent.py",
        "return self._turn_began if self._in_turn else 0",
        "return 0",
        "a callback that never returns is told of",
    ),
    Mutant(
        "timer-left-to-the-next-turn",
        "runtime/agent.py",
        "        if self._core.has_news:\n"
        "            self._carry_out()\n"
        "        self._in_turn = False",
        "        self._in_turn = False",
        "what a turn itself adds is written in the same turn",
    ),
    Mutant(
        "status-in-one-piece",
        "control/client.py",
        "while data and not response.content.at_eof() and len(data) <= STATUS_BYTES_MAX:",
        "while False:",
        "a status that comes in pieces is read to its end",
    ),
)
