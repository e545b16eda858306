"""Opens and resumes: who gets which session on which connection.

Only a serving leader answers. Everywhere else an open waits on its connection, which is told
where the leader is, now and whenever that changes.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.config import Durability
from quorate.gateway.connection import ClientConnection, ConnectionState
from quorate.gateway.credit import CreditAccount
from quorate.gateway.credit_pool import CreditPool
from quorate.gateway.crowd import Crowd
from quorate.gateway.egress import EgressPublisher
from quorate.gateway.ports import IngressPort
from quorate.gateway.refusals import Refusal, RefusalCounts
from quorate.protocol.entry_bodies import (
    CloseReason,
    SessionOpenBody,
    encode_session_open,
    session_key_hash,
)
from quorate.protocol.log_codec import EntryType, encode_entry
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    CLIENT_PROTOCOL_VERSION,
    encode_closed,
    encode_opened,
    encode_redirect,
)
from quorate.protocol.session_messages import LinkError, Open, Opened
from quorate.service.outbox import SessionClosed, SessionOpened, SessionView


class Terms(NamedTuple):
    """What is the same for every session."""

    durability: Durability
    batch_bytes_max: int
    """Longest ingress batch that fits into the log."""


class Doorkeeper:
    """Attaches sessions to connections; at most one connection per session."""

    def __init__(
        self,
        port: IngressPort,
        egress: EgressPublisher,
        refusals: RefusalCounts,
        pool: CreditPool,
        crowd: Crowd,
        terms: Terms,
    ) -> None:
        """Let in what ``port`` can serve.

        Args:
            port: The member.
            egress: Sends kept egress to sessions that resume.
            refusals: Where refusals are counted.
            pool: How much credit one begins with.
            crowd: Whether there is room for one more.
            terms: What clients are told.

        """
        self.attached: dict[int, ClientConnection] = {}
        self.closing: set[int] = set()
        """Sessions whose close this leader has put into the log."""
        self._port = port
        self._egress = egress
        self._refusals = refusals
        self._pool = pool
        self._crowd = crowd
        self._terms = terms
        self._waiting: dict[bytes, ClientConnection] = {}
        """By key hash: connections whose open is in the log."""

    def on_open(
        self, connection: ClientConnection, message: Open
    ) -> tuple[Refusal, LinkError] | None:
        """Take an open; return why the connection must end instead, or None."""
        if not message.version_min <= CLIENT_PROTOCOL_VERSION <= message.version_max:
            return Refusal.VERSION, LinkError.VERSION
        if message.cluster_id not in (ANY_CLUSTER, self._port.cluster_id):
            return Refusal.CLUSTER_ID, LinkError.CLUSTER_ID
        if connection.state not in (ConnectionState.NEW, ConnectionState.DETACHED):
            return Refusal.MALFORMED, LinkError.MALFORMED
        connection.open = message
        connection.key_hash = session_key_hash(message.session_key)
        connection.change_state(ConnectionState.OPENING)
        return None

    def admit(self, connection: ClientConnection) -> None:
        """Put a connection's open into the log, which answers it; the member is serving.

        A resume goes there as well: a leader that has been replaced and does not know it yet
        must not tell a client how far its session is.
        """
        message = connection.open
        assert message is not None, "admitted without an open"
        if not self._is_refused(connection, message) and self._wait(connection):
            self._append_open(connection, message)

    def _is_refused(self, connection: ClientConnection, message: Open) -> bool:
        """Refuse a session that would be new and for which there is no room.

        The log would refuse it too, at the price of an entry that nobody bounds. Nothing is lost
        if a session has ended meanwhile, nor if this member does not lead any more: whoever
        asks for a new session has sent nothing yet.
        """
        container = self._port.container
        if message.cluster_session_id or container.find_session(connection.key_hash) is not None:
            return False
        if container.sessions_count >= container.settings.sessions_max:
            self._refusals.count(Refusal.SESSIONS)
            connection.end(encode_closed(0, CloseReason.SESSIONS))
            return True
        if self._crowd.is_full_for_new_sessions:
            self._refusals.count(Refusal.CONNECTIONS)
            connection.end_with(LinkError.OVERLOADED)
            return True
        return False

    def on_opened(self, event: SessionOpened) -> None:
        """A session's open was applied: answer whoever waits for it."""
        connection = self._waiting.get(event.key_hash)
        view = self._port.container.session(event.session_id)
        if connection is None or connection.open is None or view is None:
            # Without a view it was closed in the same slice, which the next event says.
            return
        del self._waiting[event.key_hash]
        if connection.is_ended:
            # The session stays where it is, if it is anywhere.
            return
        if connection.open.cluster_session_id in (0, view.session_id):
            self._attach(connection, connection.open, view)
            return
        self._refusals.count(Refusal.NOT_LIVE)
        connection.end(encode_closed(connection.open.cluster_session_id, CloseReason.EXPIRED))

    def on_closed(self, event: SessionClosed) -> None:
        """A session has ended, or was not opened: tell the client and end its connection.

        An open that named a session which its key does not hold ends no session: if that one
        lives, its connection stays.
        """
        self.closing.discard(event.session_id)
        asked = self._waiting.pop(event.key_hash, None)
        if asked is not None and event.reason is CloseReason.EXPIRED:
            self._refusals.count(Refusal.NOT_LIVE)
        is_over = self._port.container.session(event.session_id) is None
        owner = self.attached.pop(event.session_id, None) if is_over else None
        for connection in {owner, asked} - {None}:
            assert connection is not None
            self._egress.forget(connection)
            connection.end(encode_closed(event.session_id, event.reason))

    def on_lost(self, connection: ClientConnection) -> None:
        """Forget a connection that is gone."""
        self._egress.forget(connection)
        if self._waiting.get(connection.key_hash) is connection:
            del self._waiting[connection.key_hash]
        if self.attached.get(connection.session_id) is connection:
            del self.attached[connection.session_id]

    def detach_all(self) -> None:
        """This member serves no more: sessions must resume, opens in the log ask again."""
        for connection in self.attached.values():
            self._egress.forget(connection)
            connection.session_id = 0
            connection.change_state(ConnectionState.DETACHED)
            connection.resume_reading("overrun")
        self.attached.clear()
        self._waiting.clear()
        self.closing.clear()

    def redirect(self, connection: ClientConnection) -> None:
        """Tell a connection where the leader is, as far as it is known."""
        connection.write(encode_redirect(self._port.leader_client_address or ""))

    def _wait(self, connection: ClientConnection) -> bool:
        """Note who waits for this key; tell whether nobody did before."""
        older = self._waiting.get(connection.key_hash)
        self._waiting[connection.key_hash] = connection
        if older is None or older is connection:
            return older is None
        older.end_with(LinkError.REPLACED)
        return False

    def _append_open(self, connection: ClientConnection, message: Open) -> None:
        body = SessionOpenBody(connection.key_hash, b"", message.name, message.message_bytes_max)
        named = message.cluster_session_id
        entry = encode_entry(EntryType.SESSION_OPEN, named, encode_session_open(body))
        self._port.append_entry(entry)

    def _attach(self, connection: ClientConnection, message: Open, view: SessionView) -> None:
        older = self.attached.get(view.session_id)
        if older is not None:
            # Before the answer, so that nothing the older one sends is taken behind it.
            self._egress.forget(older)
            older.end_with(LinkError.REPLACED)
        self.attached[view.session_id] = connection
        connection.change_state(ConnectionState.ATTACHED)
        connection.open = None
        connection.session_id = view.session_id
        first = self._pool.first(len(self._crowd.all))
        connection.credit = CreditAccount(first, view.last_ingress_sequence)
        # A client that claims more than there is would never get it, and could acknowledge
        # (which takes room in the log) what was never sent.
        connection.egress_sent = min(message.egress_received, view.last_egress_sequence)
        connection.acknowledgement_logged = view.egress_acknowledged
        connection.ingress_said = 0
        connection.rewound_to = 0
        connection.write(encode_opened(self._opened(connection, view)))
        self._egress.catch_up(connection)

    def _opened(self, connection: ClientConnection, view: SessionView) -> Opened:
        return Opened(
            version=CLIENT_PROTOCOL_VERSION,
            durability=self._terms.durability,
            cluster_session_id=view.session_id,
            ingress_applied=view.last_ingress_sequence,
            credit=connection.credit.granted_bytes,
            session_timeout_ns=self._port.container.settings.session_timeout_ns,
            message_bytes_max=view.message_bytes_max,
            batch_bytes_max=self._terms.batch_bytes_max,
            members=self._port.member_client_addresses,
        )
