"""Small lies in the birth of a cluster, and around attempts to lead or hand over that fail."""

from __future__ import annotations

from mutant import Mutant

FOUNDING = (
    Mutant(
        "discard-of-another-founding",
        "consensus/founding.py",
        "if message.chain != held:\n            core.send_durable(",
        "if False:\n            core.send_durable(",
        "a discard that comes late makes a seat drop what the others are founded with",
    ),
    Mutant(
        "discard-of-what-was-shown",
        "consensus/founding.py",
        "for chain in sorted({core.hellos[seat].founding_chain} | own):",
        "for chain in sorted({core.hellos[seat].founding_chain}):",
        "a seat keeps the frame that it was sent, and no founding goes on",
    ),
    Mutant(
        "counted-for-the-next-founding",
        "consensus/founding.py",
        "        self._asked = True\n        self._stored = set()\n",
        "        self._asked = True\n",
        "who held the discarded frame counts for the next one",
        (
            (
                "        self._forwarded = False\n        self._stored = set()\n",
                "        self._forwarded = False\n",
            ),
        ),
    ),
    Mutant(
        "forwarded-in-vain",
        "consensus/founding.py",
        "            refusal = self._broken()\n        if refusal is not None:\n"
        "            return refusal\n        core.send(",
        "            refusal = self._broken()\n        core.send(",
        "who asks another seat to found waits out its time where that must be refused",
    ),
    Mutant(
        "broken-untold",
        "consensus/founding.py",
        "if self._forwarded and is_broken and peer.seat == self._maker:",
        "if False:",
        "who has asked another seat waits out its time when that breaks the founding",
    ),
)

FAILED_ATTEMPTS = (
    Mutant(
        "opened-while-handing-over",
        "consensus/room.py",
        "            if not self._transfer.is_running:\n                core.set_ingress(",
        "            if True:\n                core.set_ingress(",
        "a disk that has space again opens a leader that hands over",
    ),
    Mutant(
        "token-leaves-the-leader-heard",
        "consensus/election.py",
        "        self.unanimous = False\n        core.leader_unheard = True\n",
        "        self.unanimous = False\n",
        "who stood with a token in vain waits for nothing any more",
    ),
    Mutant(
        "dead-attempt-goes-on",
        "consensus/election.py",
        "            self.yield_to_higher_term()\n            # With a token",
        "            # With a token",
        "a campaign that a later term has ended lasts to the end of its time",
    ),
)
