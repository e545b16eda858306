"""Mutants of the gateway that some or all clients would have felt, and that once survived."""

from __future__ import annotations

from mutant import Mutant

CLIENTS = (
    Mutant(
        "refused-at-the-first-patrol",
        "gateway/patrol.py",
        "if since > self._open_timeout_ns and connection.is_reading:",
        "if connection.is_reading:",
        "who has connected has its time to open a session",
    ),
    Mutant(
        "cut-off-before-it-can-read-why",
        "gateway/patrol.py",
        "                if since > self._open_timeout_ns:\n                    # The client takes",
        "                if True:\n                    # The client takes",
        "who is closed is told why",
    ),
    Mutant(
        "silent-under-another-leader",
        "gateway/gateway.py",
        "self.now)\n        if self._full_log.is_full:\n            return\n",
        "self.now) if False else None\n        if self._full_log.is_full:\n            return\n",
        "time without a leader is nobody's silence",
    ),
    Mutant(
        "a-turn-without-an-end",
        "gateway/connection.py",
        "min(budget.left, budget.each - self._taken)",
        "budget.each - self._taken",
        "all connections together take no more than a turn holds",
    ),
    Mutant(
        "in-pieces-without-an-end",
        "gateway/connection.py",
        "                self._taken += len(messages)\n",
        "",
        "one connection takes no more of a turn than its share",
    ),
    Mutant(
        "answered-and-not-read-again",
        "gateway/egress.py",
        '            connection.resume_reading("overrun")\n            self._awaiting.pop(',
        "            self._awaiting.pop(",
        "who overran its credit is read from again when it is answered",
    ),
    Mutant(
        "credit-kept-to-itself",
        "gateway/egress.py",
        "            pieces.append(encode_credit(limit))\n",
        "            pass\n",
        "a client is told of the credit that it is granted",
    ),
    Mutant(
        "written-to-while-full",
        "gateway/egress.py",
        "if connection.is_lagging or batches[0]",
        "if batches[0]",
        "what one connection leaves unread is bounded",
    ),
    Mutant(
        "acknowledged-when-others-send",
        "gateway/egress.py",
        "        self._is_urgent = True\n",
        "",
        "who has caught up is acknowledged, though nothing else happens",
    ),
    Mutant(
        "credit-used-up-for-good",
        "gateway/credit.py",
        "        else:\n            self.applied_bytes = self.received_bytes\n",
        "        else:\n            pass\n",
        "ingress that was dropped takes no credit once the rest is applied",
    ),
    Mutant(
        "came-and-never-went",
        "gateway/crowd.py",
        "        self._unopened.pop(connection, None)\n        self.on_writable(",
        "        self.on_writable(",
        "nothing is kept of a connection that is gone",
    ),
    Mutant(
        "gone-and-still-unread",
        "gateway/crowd.py",
        "        self._lagging_bytes -= limit\n",
        "",
        "only what is buffered counts as buffered",
    ),
    Mutant(
        "answers-to-nobody",
        "gateway/gateway.py",
        "        if connection is not None and batches:\n",
        "        if batches:\n",
        "answers to a client that is gone are kept, and the leader goes on",
    ),
    Mutant(
        "opened-for-nobody",
        "gateway/doorkeeper.py",
        "if connection is None or connection.open is None or view is None:",
        "if connection.open is None or view is None:",
        "a session may be opened whose client is gone",
    ),
    Mutant(
        "opened-twice",
        "gateway/doorkeeper.py",
        "        if connection.state not in (ConnectionState.NEW, ConnectionState.DETACHED):\n",
        "        if False:\n",
        "a connection asks for one session",
    ),
)
