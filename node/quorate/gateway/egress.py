"""Writes numbered egress and acknowledgements to connections, each message in order.

What a connection cannot take now is not queued here: the container keeps egress until the
client acknowledges it, and the connection catches up from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.gateway.connection import ClientConnection, ConnectionState
from quorate.gateway.ports import IngressPort
from quorate.protocol.session_codec import egress_header, encode_credit
from quorate.service.outbox import EgressBatch

_WRITE_BYTES: Final = 256 * 1024
"""Written between two looks at whether the connection still takes it."""


class EgressPublisher:
    """Sends what the service produced, and what of a client's ingress is applied."""

    def __init__(self, port: IngressPort) -> None:
        """Publish from the container of ``port``."""
        self._port = port
        self.messages = 0
        self.bytes = 0
        self.applied_bytes = 0
        """Batch bytes of ingress that were applied, of all connections."""
        self._awaiting: dict[ClientConnection, bool] = {}
        """True: look at it in the coming turn even if nothing more has been applied."""
        self._is_urgent = False
        """Whether any of them is to be looked at so."""
        self._progress = -1
        self._share = 0
        """Batch bytes that one connection may have under way, as of the last turn."""

    def expect(self, connection: ClientConnection) -> None:
        """Acknowledge to this connection, and renew its credit, as its ingress is applied."""
        self._awaiting.setdefault(connection, False)

    def look_at(self, connection: ClientConnection) -> None:
        """Acknowledge and renew credit in the coming turn, whatever is applied until then."""
        self._awaiting[connection] = True
        self._is_urgent = True

    def forget(self, connection: ClientConnection) -> None:
        """Stop; the connection has no session any more."""
        self._awaiting.pop(connection, None)

    def publish(self, connection: ClientConnection, batches: Sequence[EgressBatch]) -> None:
        """Send new egress of a session, the acknowledgement with the last batch only.

        An acknowledgement tells the client that every answer to the message has been sent, so
        it must not travel before them.
        """
        if connection.is_lagging or batches[0].first_egress_sequence > connection.egress_sent + 1:
            # Something before it has not been sent yet, and is taken from what is kept.
            self.catch_up(connection)
            return
        new = [b for b in batches if b.last_egress_sequence > connection.egress_sent]
        if new:
            self._write(connection, new)

    def _write(self, connection: ClientConnection, new: Sequence[EgressBatch]) -> None:
        pieces: list[bytes] = []
        size = 0
        for batch in new[:-1]:
            self._add(pieces, connection, batch, connection.ingress_said)
            size += len(batch.batch)
            if size >= _WRITE_BYTES:
                connection.write_pieces(pieces)
                pieces, size = [], 0
                if connection.is_lagging:
                    # The rest is kept, and sent when the client has read this.
                    return
        applied = new[-1].last_ingress_sequence
        self._add(pieces, connection, new[-1], applied)
        self.applied_bytes += connection.credit.on_applied(applied)
        limit = connection.credit.grant(self._share)
        if limit is not None:
            # With the answers: a write of its own would cost as much as they do.
            pieces.append(encode_credit(limit))
        connection.write_pieces(pieces)
        if connection.credit.is_settled and not connection.is_lagging:
            # All that it sent is applied and said: nothing is left for the turn's end.
            connection.resume_reading("overrun")
            self._awaiting.pop(connection, None)

    def catch_up(self, connection: ClientConnection) -> None:
        """Send kept egress until everything is sent or the connection has enough."""
        kept = self._port.container.egress_after(connection.session_id, connection.egress_sent)
        for batch in kept:
            if connection.is_lagging or connection.state is not ConnectionState.ATTACHED:
                return
            pieces: list[bytes] = []
            self._add(pieces, connection, batch, connection.ingress_said)
            connection.write_pieces(pieces)
        self.look_at(connection)

    def on_turn(self, share: int, service_position: int) -> None:
        """Acknowledge ingress that the service did not answer, and renew credit.

        Args:
            share: Batch bytes that one connection may have under way now.
            service_position: Up to where the container has applied the log.

        """
        is_new_share = share != self._share
        self._share = share
        if not self._awaiting:
            return
        # A large frame of a slow service takes many turns, and frees credit in each.
        progress = service_position + self._port.container.applied_messages
        has_applied = progress != self._progress
        if not (has_applied or is_new_share or self._is_urgent):
            return
        self._progress, self._is_urgent = progress, False
        for connection, is_urgent in list(self._awaiting.items()):
            is_said = (has_applied or is_urgent) and self._acknowledge(connection)
            self._renew_credit(connection, share)
            if is_said and connection.credit.is_settled:
                del self._awaiting[connection]
            elif is_urgent:
                self._awaiting[connection] = False

    def _acknowledge(self, connection: ClientConnection) -> bool:
        """Tell whether the client has been told all that is applied of its ingress."""
        progress = self._port.container.progress_of(connection.session_id)
        if progress is None:
            return False
        applied, last_egress, is_flushed = progress
        self.applied_bytes += connection.credit.on_applied(applied)
        is_sent = is_flushed and last_egress <= connection.egress_sent
        if connection.is_lagging or not is_sent:
            return False
        if applied > connection.ingress_said:
            connection.ingress_said = applied
            connection.write(egress_header(applied, last_egress, 0, 0))
        return True

    def _renew_credit(self, connection: ClientConnection, share: int) -> None:
        credit = connection.credit
        limit = credit.grant(share)
        if limit is not None:
            connection.write(encode_credit(limit))
        if not credit.is_used_up:
            connection.resume_reading("overrun")

    def _add(
        self, pieces: list[bytes], connection: ClientConnection, batch: EgressBatch, applied: int
    ) -> None:
        _, _, first, count, data = batch
        connection.egress_sent = first + count - 1
        connection.ingress_said = max(connection.ingress_said, applied)
        pieces.append(egress_header(applied, first, count, len(data)))
        pieces.append(data)
        self.messages += count
        self.bytes += len(data)
