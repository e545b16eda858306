"""The gateway: client connections of one member, as the leader serves them or redirects them.

The agent calls ``on_outbox`` with what applying the log produced, ``on_turn`` once per loop
turn behind that, and ``on_serving_changed`` whenever role, term or leader have changed. All of
it, and everything that connections receive, runs on the one loop thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from quorate.config import ClusterConstants, Durability, GatewayConfig
from quorate.errors import RemoteProtocolError
from quorate.gateway.connection import ClientConnection, ConnectionState
from quorate.gateway.credit_pool import CreditPool
from quorate.gateway.crowd import Crowd
from quorate.gateway.doorkeeper import Doorkeeper, Terms
from quorate.gateway.egress import EgressPublisher
from quorate.gateway.full_log import FullLog
from quorate.gateway.patrol import Patrol
from quorate.gateway.ports import IngressPort
from quorate.gateway.refusals import Refusal, RefusalCounts
from quorate.gateway.turn_budget import TurnBudget
from quorate.protocol.entry_bodies import CloseReason, encode_session_close
from quorate.protocol.ingress_run import join_ingress_run
from quorate.protocol.log_codec import (
    ENTRY_ALIGNMENT,
    ENTRY_HEADER_LENGTH,
    EntryType,
    encode_entry,
    entries_length_max,
)
from quorate.protocol.session_codec import (
    CLIENT_MESSAGE_BYTES_MAX,
    INGRESS_HEADER_LENGTH,
    decode_message,
    encode_credit,
    encode_redirect,
    encode_rewind,
)
from quorate.protocol.session_messages import (
    ClientMessageType,
    Close,
    EgressAcknowledge,
    KeepAlive,
    LinkError,
    Open,
    RawMessage,
)
from quorate.service.outbox import (
    EgressBatch,
    Outbound,
    SequenceGap,
    SessionClosed,
    SessionOpened,
)

RETRY_NS: Final = 100_000_000
"""After the log took nothing it is asked again this much later."""


def batch_bytes_max(constants: ClusterConstants) -> int:
    """Return the longest ingress batch that one client message and one log frame can hold."""
    entries = entries_length_max(constants.segment_length, constants.frame_bytes_max)
    room = entries // ENTRY_ALIGNMENT * ENTRY_ALIGNMENT - ENTRY_HEADER_LENGTH
    return min(room, CLIENT_MESSAGE_BYTES_MAX - INGRESS_HEADER_LENGTH)


class Gateway:
    """All client connections of this member."""

    def __init__(
        self,
        *,
        config: GatewayConfig,
        port: IngressPort,
        durability: Durability = Durability.FSYNC,
        constants: ClusterConstants | None = None,
    ) -> None:
        """Serve nobody before ``start``.

        Args:
            config: Limits of connections.
            port: The member's side of client traffic.
            durability: Of this member's log, told to clients.
            constants: Of the cluster's log; they bound a batch.

        """
        self.now = 0
        self.budget = TurnBudget()
        self.refusals = RefusalCounts()
        self.ingress_messages = 0
        self.ingress_batches = 0
        self.ingress_bytes = 0
        self._crowd = Crowd(config)
        self._config = config
        self._port = port
        self._batch_bytes_max = batch_bytes_max(constants or ClusterConstants())
        self._egress = EgressPublisher(port)
        self._full_log = FullLog(port, self.refusals)
        self._pool = CreditPool(config.credit_bytes)
        self._doorkeeper = Doorkeeper(
            port,
            self._egress,
            self.refusals,
            self._pool,
            self._crowd,
            Terms(durability, self._batch_bytes_max),
        )
        self._patrol = Patrol(config, port, self._doorkeeper)
        self._server: asyncio.Server | None = None
        self._serving_term: int | None = None
        self._redirected_to: str | None = ""
        self._is_paused = False
        self._retry_at: int | None = None
        """When to begin anew because the log took something not; None without a reason."""

    # What the runtime calls

    async def start(self, host: str | None, port: int) -> tuple[str, int]:
        """Listen; return host and port, which matters if ``port`` is 0.

        Raises:
            OSError: The address cannot be listened on.

        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(self), host, port, backlog=1024
        )
        name = self._server.sockets[0].getsockname()
        return name[0], name[1]

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end_with(LinkError.SHUTTING_DOWN)
        for connection in list(self.connections):
            if connection.buffered_bytes:
                connection.abort()
        await self._crowd.is_empty.wait()

    async def wait_empty(self) -> None:
        """Wait until no client is connected, such as after all were redirected."""
        await self._crowd.is_empty.wait()

    @property
    def connections(self) -> set[ClientConnection]:
        """Everybody who is connected."""
        return self._crowd.all

    @property
    def egress_messages(self) -> int:
        """Messages written to clients, those sent again included."""
        return self._egress.messages

    @property
    def egress_bytes(self) -> int:
        """Batch bytes written to clients."""
        return self._egress.bytes

    @property
    def attached_sessions(self) -> int:
        """Sessions that have a connection here."""
        return len(self._doorkeeper.attached)

    def pause(self) -> None:
        """Append nothing more, leave the clients' bytes waiting: leadership is handed over."""
        self._is_paused = True
        for connection in self.connections:
            connection.pause_reading("paused")

    def resume(self) -> None:
        """Read again, as leader or not."""
        if self._is_paused:
            self._is_paused = False
            # Nobody could be heard meanwhile, here or on a connection that was to come.
            self._patrol.clocks.start(self._port.container.session_ids(), self.now)
            for connection in self.connections:
                connection.heard_at = self.now
                connection.resume_reading("paused")
        self.on_serving_changed()

    def refuse_ingress(self) -> None:
        """Append nothing that clients send until ``take_ingress``: the log has no room."""
        self._full_log.is_full = True

    def take_ingress(self) -> None:
        """Take what clients send, and have sent again what was refused; as leader or not."""
        if not self._full_log.is_full:
            return
        self._full_log.is_full = False
        self._full_log.rewind_all()
        # Room also comes with the loss of leadership, of which `on_serving_changed` tells next.
        if self._serving_term is not None and self._port.serving:
            self._let_in()

    def on_serving_changed(self) -> None:
        """Follow a change of role, term or leader: attach, detach, redirect.

        A paused leader stays what it is here until ``resume``, or until the term has passed.
        """
        if self._is_paused and self._port.leadership_term_id == self._serving_term:
            return
        term = self._port.leadership_term_id if self._port.serving else None
        if term != self._serving_term:
            if self._serving_term is not None:
                self._stop_serving()
            self._serving_term = term
            if term is not None:
                self._begin_serving()
        if term is None:
            self._redirect_all(self._port.leader_client_address or "")

    def on_rejected(self) -> None:
        """The log has not taken what was appended: have it sent again, in a while.

        Until then nothing is acknowledged, and what clients send behind it is a gap.
        """
        if self._retry_at is None:
            self._retry_at = self.now + RETRY_NS

    def on_outbox(self, outbox: Iterable[Outbound]) -> None:
        """Send what applying the log produced; only the serving leader sends anything."""
        if self._serving_term is None:
            return
        batches: dict[int, list[EgressBatch]] = {}
        for item in outbox:
            match item:
                case EgressBatch():
                    batches.setdefault(item.session_id, []).append(item)
                case SessionOpened():
                    self._doorkeeper.on_opened(item)
                case SessionClosed():
                    self._publish(item.session_id, batches.pop(item.session_id, None))
                    if self._port.container.session(item.session_id) is None:
                        self._patrol.clocks.forget(item.session_id)
                    self._doorkeeper.on_closed(item)
                case SequenceGap():
                    self._on_gap(item)
        for session_id, session_batches in batches.items():
            self._publish(session_id, session_batches)

    def on_turn(self, now_loop_ns: int, positions: tuple[int, int, int]) -> None:
        """Acknowledge, grant credit, and judge who has been silent for too long.

        Args:
            now_loop_ns: Loop time.
            positions: Written, commit and service position of this member's log.

        """
        self.now = now_loop_ns
        if self._crowd.all:
            self.budget.begin(self._pool.sharers)
        if self._retry_at is not None and now_loop_ns >= self._retry_at:
            self._begin_anew()
        if self._serving_term is not None:
            pool = self._pool
            pool.on_turn(now_loop_ns, self._egress.applied_bytes, positions)
            self._egress.on_turn(0 if self._full_log.is_full else pool.share, positions[2])
        if self._patrol.is_due(now_loop_ns):
            is_held = self._is_paused or self._full_log.is_full
            serves = self._serving_term is not None and not is_held
            self._patrol.walk(self, now_loop_ns, serves=serves)

    # What connections call

    def on_connected(self, connection: ClientConnection) -> None:
        """Let a client in, unless there are too many."""
        refused = self._crowd.add(connection)
        if refused is not None:
            who, reason = refused
            self.refuse(who, reason, LinkError.OVERLOADED)
        if self._is_paused:
            connection.pause_reading("paused")

    def on_messages(self, connection: ClientConnection, messages: Sequence[RawMessage]) -> None:
        """Take what a client sent, in order; ingress that continues itself is taken together."""
        index = 0
        while index < len(messages) and not connection.is_ended:
            if messages[index].message_type is ClientMessageType.INGRESS:
                index = self._on_ingress(connection, messages, index)
            else:
                self._on_other(connection, messages[index])
                index += 1

    def _on_other(self, connection: ClientConnection, raw: RawMessage) -> None:
        if connection.count_aside():
            self.refusals.count(Refusal.FLOOD)
        message = decode_message(raw)
        match message:
            case Open():
                self._on_open(connection, message)
            case KeepAlive():
                self._on_keep_alive(connection)
            case EgressAcknowledge(session_id, sequence):
                if self._is_attached(connection, session_id):
                    self._on_egress_acknowledge(connection, sequence)
            case Close(session_id):
                if self._is_attached(connection, session_id) and not self._lacks(connection):
                    self.append_close(session_id, CloseReason.CLIENT)
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} from a client")

    def on_incomplete(self, more_bytes: int) -> None:
        """Count what is held of messages that are not whole; drop who holds most of too much."""
        greediest = self._crowd.on_incomplete(more_bytes)
        if greediest is not None:
            self.refusals.count(Refusal.INCOMPLETE)
            greediest.abort()

    def on_lagging(self, connection: ClientConnection) -> None:
        """A client reads more slowly than it is answered; too many of these make room."""
        longest = self._crowd.on_lagging(connection)
        if longest is not None:
            self.refusals.count(Refusal.NOT_READ)
            longest.abort()

    def on_writable(self, connection: ClientConnection) -> None:
        """Send what was held back while the connection's buffer was full."""
        self._crowd.on_writable(connection)
        if connection.state is ConnectionState.ATTACHED:
            self._egress.catch_up(connection)

    def on_lost(self, connection: ClientConnection) -> None:
        """Forget a connection; its session lives on."""
        if self._doorkeeper.attached.get(connection.session_id) is connection:
            self._patrol.clocks.heard(connection.session_id, connection.heard_at)
        self._doorkeeper.on_lost(connection)
        self._full_log.forget(connection)
        self.budget.forget(connection)
        self._crowd.remove(connection)

    def refuse(self, connection: ClientConnection, reason: Refusal, code: LinkError) -> None:
        """Count why, tell the client, and end the connection; its session lives on."""
        if connection.state is not ConnectionState.ENDED:
            self.refusals.count(reason)
            connection.end_with(code)

    def append_close(self, session_id: int, reason: CloseReason) -> None:
        """Put a session's close into the log, once."""
        if session_id in self._doorkeeper.closing:
            return
        self._doorkeeper.closing.add(session_id)
        self._port.append_entry(
            encode_entry(EntryType.SESSION_CLOSE, session_id, encode_session_close(reason))
        )

    # Messages

    def _on_open(self, connection: ClientConnection, message: Open) -> None:
        self._crowd.on_open(connection)
        problem = self._doorkeeper.on_open(connection, message)
        if problem is not None:
            self.refuse(connection, *problem)
        elif self._serving_term is None:
            self._doorkeeper.redirect(connection)
        elif self._full_log.is_full:
            self._full_log.refuse_open()
        else:
            self._doorkeeper.admit(connection)

    def _on_ingress(
        self, connection: ClientConnection, messages: Sequence[RawMessage], begin: int
    ) -> int:
        """Make the ingress at ``begin``, and what continues it, one entry; return what is next."""
        ingress, end, last_length = join_ingress_run(messages, begin, self._batch_bytes_max)
        session_id, first, acknowledged, count, batch = ingress
        if not self._is_attached(connection, session_id):
            return end
        if len(batch) > self._batch_bytes_max:
            self.refuse(connection, Refusal.TOO_LARGE, LinkError.TOO_LARGE)
            return end
        if self._full_log.is_full:
            self._full_log.refuse_ingress(connection, first, len(batch))
            self._egress.look_at(connection)
            return end
        if connection.rewound_to:
            if first > connection.rewound_to:
                self.refusals.count(Refusal.GAP)
                connection.credit.on_dropped(len(batch))
                self._egress.look_at(connection)
                return end
            connection.rewound_to = 0
        self.ingress_messages += count
        self.ingress_batches += end - begin
        self.ingress_bytes += len(batch)
        if not connection.credit.on_ingress(first + count - 1, len(batch), last_length):
            self.refusals.count(Refusal.OVERRUN)
            connection.pause_reading("overrun")
        if connection.active_in != self._pool.round:
            connection.active_in = self._pool.round
            self._pool.active += 1
        self._egress.expect(connection)
        self._port.append_entry(
            encode_entry(
                EntryType.SESSION_INGRESS,
                session_id,
                batch,
                first_sequence=first,
                message_count=count,
                egress_acknowledged=acknowledged,
            )
        )
        return end

    def _on_keep_alive(self, connection: ClientConnection) -> None:
        if connection.buffered_bytes > self._config.send_buffer_bytes_max:
            self.refusals.count(Refusal.NOT_READ)
            connection.abort()
        elif self._serving_term is not None:
            connection.write(encode_credit(connection.credit.granted_bytes))
        else:
            self._doorkeeper.redirect(connection)

    def _on_egress_acknowledge(self, connection: ClientConnection, sequence: int) -> None:
        # Only what goes beyond the last one, and was sent: nobody can fill the log with these.
        if connection.acknowledgement_logged < sequence <= connection.egress_sent:
            connection.acknowledgement_logged = sequence
            self._port.append_entry(
                encode_entry(
                    EntryType.EGRESS_ACKNOWLEDGEMENT,
                    connection.session_id,
                    b"",
                    egress_acknowledged=sequence,
                )
            )

    def _lacks(self, connection: ClientConnection) -> bool:
        """Tell whether ingress was not taken that the client sends again.

        A close comes behind all ingress: it is not taken either, and asked for again as well.
        """
        is_rejected = self._retry_at is not None
        return is_rejected or connection.rewound_to > 0 or self._full_log.has_refused(connection)

    def _is_attached(self, connection: ClientConnection, session_id: int) -> bool:
        """Tell whether a message of this session may be taken from this connection."""
        if connection.state is ConnectionState.ATTACHED:
            if connection.session_id == session_id:
                return True
            self.refuse(connection, Refusal.WRONG_SESSION, LinkError.WRONG_SESSION)
        elif connection.state is ConnectionState.DETACHED:
            # Sent before the client could read the redirect; it sends it again once resumed.
            self.refusals.count(Refusal.NOT_ATTACHED)
        else:
            raise RemoteProtocolError("a message of a session before one is open")
        return False

    # Serving

    def _begin_serving(self) -> None:
        self._redirected_to = self._retry_at = None
        self._pool.begin(self.now, self._egress.applied_bytes)
        self._let_in()

    def _let_in(self) -> None:
        """Give every session its time anew, and admit the opens that wait."""
        self._patrol.clocks.start(self._port.container.session_ids(), self.now)
        if self._full_log.is_full:
            return
        for connection in list(self.connections):
            if connection.state is ConnectionState.OPENING:
                self._doorkeeper.admit(connection)

    def _stop_serving(self) -> None:
        """Every session must resume, here in a later term or at the new leader."""
        self._doorkeeper.detach_all()
        self._full_log.forget_all()
        self._redirected_to = None
        if self._port.serving:
            # Another term of its own already: no other member is the one to go to.
            self._redirect_all("")

    def _begin_anew(self) -> None:
        """Have every session resume, and put the opens that wait into the log again."""
        if self._is_paused:
            return
        self._retry_at = None
        if self._serving_term is not None:
            self._stop_serving()
            self._begin_serving()

    def _redirect_all(self, address: str) -> None:
        if address == self._redirected_to:
            return
        self._redirected_to = address
        for connection in list(self.connections):
            if connection.state in (ConnectionState.OPENING, ConnectionState.DETACHED):
                connection.state_since = self.now
                connection.write(encode_redirect(address))

    def _publish(self, session_id: int, batches: list[EgressBatch] | None) -> None:
        connection = self._doorkeeper.attached.get(session_id)
        if connection is not None and batches:
            self._egress.publish(connection, batches)

    def _on_gap(self, gap: SequenceGap) -> None:
        self.refusals.count(Refusal.GAP)
        connection = self._doorkeeper.attached.get(gap.session_id)
        if connection is not None and connection.rewound_to != gap.next_sequence:
            connection.rewound_to = gap.next_sequence
            connection.credit.on_gap()
            connection.write(encode_rewind(gap.next_sequence))
