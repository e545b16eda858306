"""What clients are told while the log has no room: nothing is taken, and nothing is lost.

Ingress is dropped and counted, and no credit is granted, so clients soon wait with their
messages pending. When there is room again each is told the sequence to go back to. Opens wait
at the door meanwhile, keep-alives are answered, and no session expires.
"""

from __future__ import annotations

from quorate.gateway.connection import ClientConnection, ConnectionState
from quorate.gateway.ports import IngressPort
from quorate.gateway.refusals import Refusal, RefusalCounts
from quorate.protocol.session_codec import encode_rewind


class FullLog:
    """Refuses while ``is_full``; remembers from where on each client has to send again."""

    def __init__(self, port: IngressPort, refusals: RefusalCounts) -> None:
        """Begin with room."""
        self.is_full = False
        self._port = port
        self._refusals = refusals
        self._refused_from: dict[ClientConnection, int] = {}

    def refuse_ingress(self, connection: ClientConnection, sequence: int, length: int) -> None:
        """Drop ingress that begins at ``sequence``, ``length`` bytes of batches.

        What lies behind a gap needs no rewind: the client goes back to the gap by itself.
        """
        self._refusals.count(Refusal.STORAGE_FULL)
        connection.credit.on_dropped(length)
        if connection.rewound_to and sequence > connection.rewound_to:
            return
        known = self._refused_from.get(connection, sequence)
        self._refused_from[connection] = min(known, sequence)

    def has_refused(self, connection: ClientConnection) -> bool:
        """Tell whether there is ingress that the client is to send again."""
        return connection in self._refused_from

    def refuse_open(self) -> None:
        """Count an open that has to wait."""
        self._refusals.count(Refusal.STORAGE_FULL)

    def forget(self, connection: ClientConnection) -> None:
        """The connection is gone."""
        self._refused_from.pop(connection, None)

    def forget_all(self) -> None:
        """Every session resumes, and sends again what is missing."""
        self._refused_from.clear()

    def rewind_all(self) -> None:
        """There is room again: tell every client that was refused where to go back to."""
        refused, self._refused_from = self._refused_from, {}
        for connection, sequence in refused.items():
            view = self._port.container.session(connection.session_id)
            if connection.state is ConnectionState.ATTACHED and view is not None:
                # A batch sent again may begin with what is applied already, and is not asked
                # for any more.
                connection.rewound_to = max(sequence, view.last_ingress_sequence + 1)
                connection.write(encode_rewind(connection.rewound_to))
