"""The client's side of a cluster session: numbers, re-sends, drops doubles, keeps alive. Pure.

Bytes, offers and the time go in; bytes and events come out; no socket, clock or random here.
One connection at a time: the owner calls ``on_connected`` and ``on_disconnected``, passes what
arrives to ``receive`` and what ``data_to_send`` returns to the socket, and calls ``on_tick``
when ``next_deadline`` has come.

Exactly once: every message keeps its sequence and stays here until the cluster acknowledges it
as committed and applied; after a reconnect everything behind the last one applied is sent
again, and the cluster skips what it has. Egress is numbered likewise: doubles are dropped here,
and a gap is an error of the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from quorate.client.batches import cut_egress
from quorate.client.ingress_window import IngressWindow
from quorate.client.session_events import (
    Acknowledged,
    EgressReceived,
    Ended,
    Established,
    Event,
    Granted,
    MemberLeaderless,
    MemberSilent,
    Redirected,
    Refused,
)
from quorate.errors import RemoteProtocolError
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    CLIENT_PROTOCOL_VERSION,
    EGRESS_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_egress,
    decode_message,
    encode_close,
    encode_egress_acknowledge,
    encode_keep_alive,
    encode_open,
    ingress_header,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    ClientMessageType,
    Closed,
    Credit,
    Egress,
    Error,
    LinkError,
    Open,
    Opened,
    Redirect,
    Rewind,
)

NEVER: Final = 2**63 - 1
_REASONS: Final = {int(reason): reason.name.lower() for reason in CloseReason} | {
    int(CloseReason.LOST): "the cluster may have lost what it had acknowledged"
}
_FATAL: Final[dict[int, str]] = {
    LinkError.VERSION: "no common protocol version",
    LinkError.CLUSTER_ID: "the members belong to another cluster",
    LinkError.AUTHENTICATION: "the credentials were refused",
}
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Limits and times of a client's session, in bytes and nanoseconds."""

    window_bytes: int = 8 * 1024 * 1024
    """Messages offered and not acknowledged; beyond it ``offer`` raises. Twice the credit that
    a member usually grants, so that the window is not what limits throughput."""
    unacknowledged_batches_max: int = 1
    """While so many batches are unacknowledged, small ones are not sent: messages gather until
    an acknowledgement comes. A frame costs all members much more than a message, so under load
    the answers to all come sooner."""
    gather_bytes: int = 16 * 1024
    """... or until so much has gathered, which is no small batch any more ..."""
    gather_ns: int = 2 * _MS
    """... or for so long: answers that take longer are late for other reasons than frames."""
    acknowledge_after_ns: int = 100 * _MS
    """Received egress is acknowledged this late when no ingress carries it earlier."""
    acknowledge_after_bytes: int = 1024 * 1024
    """... or as soon as this much is unacknowledged."""
    ping_after_ns: int = 250 * _MS
    """A member that owes an answer is asked for a sign of life after this silence."""
    silence_max_ns: int = 1_000 * _MS
    """... and given up after this one: longer than an election takes, so that the others know
    better by then."""
    leaderless_max_ns: int = 500 * _MS
    """How long to wait at a member that knows no leader: it may be cut off from the others."""


class SessionState(Enum):
    """Where the session stands."""

    DETACHED = "detached"
    """No connection."""
    OPENING = "opening"
    """An open is on its way, or waits at a member for a leader."""
    OPEN = "open"
    CLOSED = "closed"


class Session:
    """One cluster session of a client; see the module."""

    def __init__(
        self,
        *,
        session_key: bytes,
        name: str = "",
        cluster_id: bytes | None = None,
        settings: SessionSettings | None = None,
        on_unsent: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without a connection.

        Args:
            session_key: 16 bytes that nobody can guess: who has them holds the session.
            name: For people, at most 256 bytes.
            cluster_id: 16 bytes; None accepts whatever cluster answers.
            settings: Limits and times.
            on_unsent: Called when the first message since the last ``data_to_send`` is
                offered, so that the owner can send soon.

        """
        self.settings = settings or SessionSettings()
        self.state = SessionState.DETACHED
        self.ingress = IngressWindow(
            self.settings.window_bytes,
            on_unsent,
            unacknowledged_batches_max=self.settings.unacknowledged_batches_max,
            gather_bytes=self.settings.gather_bytes,
        )
        self.cluster_session_id = 0
        self.egress_received = 0
        self.egress_doubles = 0
        self._session_timeout_ns = 0
        self._key = session_key
        self._name = name
        self._cluster_id = cluster_id or ANY_CLUSTER
        self._splitter = MessageSplitter(EGRESS_MESSAGE_BYTES_MAX)
        self._events: list[Event] = []
        self._control: list[bytes] = []
        self._is_closing = False
        self._is_close_sent = False
        self._egress_said = 0
        self._egress_unsaid_bytes = 0
        self._acknowledge_at = NEVER
        self._heard_at = 0
        self._sent_at = 0
        self._is_ping_sent = False
        self._leaderless_at = NEVER
        self._gathered_at = NEVER
        self._has_gathered = False
        """The time to gather is over, whenever the owner can send."""

    @property
    def _is_attached(self) -> bool:
        return self.state in (SessionState.OPENING, SessionState.OPEN)

    def close(self, reason: str) -> None:
        """Close the session when everything offered before is acknowledged.

        Args:
            reason: Answers new offers.

        """
        self._is_closing = True
        self.ingress.stop(reason)

    def on_connected(self, now: int) -> None:
        """Take a new connection into use: ask for the session there."""
        assert self.state is SessionState.DETACHED, self.state
        self._splitter = MessageSplitter(EGRESS_MESSAGE_BYTES_MAX)
        self._leaderless_at = NEVER
        self._ask(now)

    def on_disconnected(self) -> None:
        """Forget the connection; what was sent on it stays pending."""
        self._control.clear()
        self._gathered_at, self._has_gathered = NEVER, False
        if self._is_attached:
            self.state = SessionState.DETACHED
            self.ingress.suspend()

    def receive(self, data: bytes, now: int) -> list[Event]:
        """Take bytes from the connection and return what they mean.

        Raises:
            RemoteProtocolError: The member does not speak the protocol: drop the connection.
                What came before is returned by ``take_events``.

        """
        self._heard_at = now
        self._is_ping_sent = False
        for raw in self._splitter.feed(data):
            if not self._is_attached:
                break
            if raw.message_type is ClientMessageType.EGRESS:
                self._on_egress(decode_egress(raw.body), now)
            else:
                self._on_message(decode_message(raw), now)
        return self.take_events()

    def take_events(self) -> list[Event]:
        """Return the events not returned yet."""
        events, self._events = self._events, []
        return events

    def data_to_send(self, now: int) -> list[bytes]:
        """Return what is to be sent now, in order, as pieces to be written together."""
        pieces, self._control = self._control, []
        if self.state is SessionState.OPEN:
            if not self._is_answer_owed:
                # Silence counts from the sending that asks for an answer.
                self._heard_at = now
            self._send_ingress(pieces, now)
            if self._is_closing and not self._is_close_sent and self.ingress.is_acknowledged:
                # Not right behind the last message: with the session the cluster drops what it
                # keeps of the answers, and a client that is slow has not been sent all of them.
                self._is_close_sent = True
                pieces.append(encode_close(self.cluster_session_id))
        if pieces:
            self._sent_at = now
        return pieces

    @property
    def wants_to_send(self) -> bool:
        """Whether ``data_to_send`` is worth calling now."""
        return bool(self._control) or (
            self.state is SessionState.OPEN and (self._is_closing or not self.ingress.is_sent)
        )

    @property
    def next_deadline(self) -> int:
        """When ``on_tick`` wants to be called at the latest; ``NEVER`` without a connection."""
        if not self._is_attached:
            return NEVER
        deadline = min(
            self._acknowledge_at, self._keep_alive_at, self._leaderless_at, self._gathered_at
        )
        if self._is_answer_owed:
            settings = self.settings
            wait = settings.silence_max_ns if self._is_ping_sent else settings.ping_after_ns
            deadline = min(deadline, self._heard_at + wait)
        return deadline

    def on_tick(self, now: int, *, is_reading: bool = True) -> list[Event]:
        """Do what is due: acknowledge egress, keep alive, notice a silent member.

        Args:
            now: The time.
            is_reading: False while the owner does not read from the connection, when the
                member's silence means nothing.

        """
        if not self._is_attached:
            return self.take_events()
        if now >= self._acknowledge_at:
            self._acknowledge_egress()
        if not is_reading:
            self._heard_at = now
        elif self._is_answer_owed:
            self._judge_silence(now)
        if now >= self._keep_alive_at:
            self._ping(now)
        if now >= self._gathered_at:
            # Sent with the next sending. Without a session or with a full socket there is none,
            # and a deadline that has passed would be due again at once, and again.
            self._gathered_at, self._has_gathered = NEVER, True
        if now >= self._leaderless_at:
            self._leaderless_at = NEVER
            self._events.append(MemberLeaderless())
        return self.take_events()

    # What arrives

    def _on_message(self, message: ClientLinkMessage, now: int) -> None:
        match message:
            case Opened():
                self._on_opened(message, now)
            case Credit(bytes_max):
                if self.state is SessionState.OPEN:
                    self.ingress.grant(bytes_max)
                    # Without an event nobody who waits for credit would look again.
                    self._events.append(Granted())
            case Rewind(sequence):
                self._require_open("rewind")
                self.ingress.rewind(sequence)
                # A close that was sent behind what is missing was not taken.
                self._is_close_sent = False
            case Redirect(address):
                self._on_redirect(address, now)
            case Closed(_, reason):
                self._end(_REASONS.get(reason, f"reason {reason}"))
            case Error(code):
                self._on_error(code)
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} from a member")

    def _on_opened(self, message: Opened, now: int) -> None:
        if self.state is not SessionState.OPENING:
            raise RemoteProtocolError("an answer to an open that is not under way")
        if message.version != CLIENT_PROTOCOL_VERSION:
            raise RemoteProtocolError(f"protocol version {message.version} was not offered")
        if self.cluster_session_id not in (0, message.cluster_session_id):
            raise RemoteProtocolError(
                f"session {message.cluster_session_id} instead of {self.cluster_session_id}"
            )
        if message.ingress_applied < self.ingress.acknowledged:
            self._end("the cluster has lost what it had acknowledged")
            return
        self.ingress.resume(
            applied=message.ingress_applied,
            credit=message.credit,
            message_bytes_max=message.message_bytes_max,
            batch_bytes_max=message.batch_bytes_max,
        )
        is_resumed = self.cluster_session_id != 0
        self.cluster_session_id = message.cluster_session_id
        self._session_timeout_ns = message.session_timeout_ns
        self.state = SessionState.OPEN
        self._is_close_sent = False
        self._leaderless_at = NEVER
        # Whether the last acknowledgement of egress was committed is unknown: say it again.
        self._egress_said = 0
        self._plan_acknowledgement(now)
        self._events.append(
            Established(message.cluster_session_id, is_resumed, message.durability, message.members)
        )

    def _on_egress(self, message: Egress, now: int) -> None:
        self._require_open("egress")
        applied, first, count, batch = message
        if count:
            expected = self.egress_received + 1
            if first > expected:
                raise RemoteProtocolError(f"egress {first} where {expected} was expected")
            doubles = min(count, expected - first)
            self.egress_doubles += doubles
            if doubles < count:
                items = cut_egress(batch, count)
                self.egress_received = first + count - 1
                self._events.append(EgressReceived(items[doubles:] if doubles else items))
                self._egress_unsaid_bytes += len(batch)
                self._plan_acknowledgement(now)
        if self.ingress.acknowledge(applied):
            self._events.append(Acknowledged(applied))

    def _on_redirect(self, address: str, now: int) -> None:
        if self.state is SessionState.OPEN:
            # The member takes nothing more on this connection until the session has resumed.
            self.ingress.suspend()
            self._ask(now)
        if address:
            self._leaderless_at = NEVER
        elif self._leaderless_at == NEVER:
            self._leaderless_at = now + self.settings.leaderless_max_ns
        self._events.append(Redirected(address))

    def _on_error(self, code: int) -> None:
        fatal = _FATAL.get(code)
        if fatal is not None:
            self._end(fatal, is_refused=True)
        else:
            self._events.append(Refused(code))

    def _require_open(self, what: str) -> None:
        if self.state is not SessionState.OPEN:
            raise RemoteProtocolError(f"{what} on a connection without a session")

    def _end(self, reason: str, *, is_refused: bool = False) -> None:
        self.state = SessionState.CLOSED
        self._control.clear()
        self.ingress.stop(reason)
        self.ingress.suspend()
        self._events.append(Ended(reason, is_refused, self.ingress.sent_sequence))

    # What is sent

    def _ask(self, now: int) -> None:
        """Ask for the session; id 0 only while no open was answered, so no ingress was sent."""
        self.state = SessionState.OPENING
        self._heard_at = self._sent_at = now
        self._is_ping_sent = False
        self._acknowledge_at = NEVER
        self._control.append(
            encode_open(
                Open(
                    version_min=CLIENT_PROTOCOL_VERSION,
                    version_max=CLIENT_PROTOCOL_VERSION,
                    cluster_id=self._cluster_id,
                    session_key=self._key,
                    cluster_session_id=self.cluster_session_id,
                    egress_received=self.egress_received,
                    message_bytes_max=0,
                    name=self._name,
                )
            )
        )

    def _send_ingress(self, pieces: list[bytes], now: int) -> None:
        session_id, egress_received = self.cluster_session_id, self.egress_received
        for first, count, data in self.ingress.take_batches(at_once=self._is_gathered(now)):
            pieces.append(ingress_header(session_id, first, egress_received, count, len(data)))
            pieces.append(data)
            self._egress_is_said()

    def _is_gathered(self, now: int) -> bool:
        """Tell whether what gathers has done so for long enough; note when it began."""
        is_over = self._has_gathered or now >= self._gathered_at
        if is_over or not self.ingress.is_gathering:
            self._gathered_at, self._has_gathered = NEVER, False
        elif self._gathered_at == NEVER:
            self._gathered_at = now + self.settings.gather_ns
        return is_over

    def _acknowledge_egress(self) -> None:
        self._control.append(
            encode_egress_acknowledge(self.cluster_session_id, self.egress_received)
        )
        self._egress_is_said()

    def _egress_is_said(self) -> None:
        self._egress_said = self.egress_received
        self._egress_unsaid_bytes = 0
        self._acknowledge_at = NEVER

    def _plan_acknowledgement(self, now: int) -> None:
        if self._egress_said == self.egress_received:
            return
        if self._egress_unsaid_bytes >= self.settings.acknowledge_after_bytes:
            self._acknowledge_egress()
        elif self._acknowledge_at == NEVER:
            self._acknowledge_at = now + self.settings.acknowledge_after_ns

    # Signs of life

    @property
    def _is_answer_owed(self) -> bool:
        return (
            self.state is SessionState.OPENING
            or self._is_ping_sent
            or self._is_close_sent
            or self.ingress.is_answer_owed
        )

    @property
    def _keep_alive_at(self) -> int:
        return self._sent_at + self._session_timeout_ns // 3 if self._session_timeout_ns else NEVER

    def _judge_silence(self, now: int) -> None:
        silence = now - self._heard_at
        if silence >= self.settings.silence_max_ns:
            self._heard_at = now
            self._events.append(MemberSilent())
        elif silence >= self.settings.ping_after_ns and not self._is_ping_sent:
            self._ping(now)

    def _ping(self, now: int) -> None:
        if not self._is_answer_owed:
            self._heard_at = now
        self._is_ping_sent = True
        self._sent_at = now
        self._control.append(encode_keep_alive())
