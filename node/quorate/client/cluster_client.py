"""The client of a cluster for asyncio: one session that outlives connections and leaders.

::

    async with ClusterClient.connect(["127.0.0.1:9010"], name="till 3") as client:
        answer = await client.request(b"8")

        for message in messages:            # streaming: as fast as the cluster takes it
            if not client.can_offer:
                await client.ready()
            client.offer(message)
        await client.flush()
"""

from __future__ import annotations

import asyncio
import inspect
import math
import secrets
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

from quorate.client.answers import Answers, end_error
from quorate.client.batches import EgressItem, error_code
from quorate.client.dialer import Dialer
from quorate.client.inbox import Inbox, ReceivedMessage
from quorate.client.member_rotation import MemberRotation
from quorate.client.session import Session, SessionSettings
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
from quorate.config import Durability, split_address
from quorate.errors import (
    AuthenticationRejected,
    NotConnected,
    ProtocolError,
    ServiceError,
)
from quorate.protocol.batch import decode_error_payload
from quorate.protocol.entry_bodies import NAME_BYTES_MAX, SESSION_KEY_LENGTH
from quorate.protocol.session_codec import CLUSTER_ID_LENGTH

_NEVER_SENT: Final = 2**63 - 1
_CLOSED_HERE: Final = "closed by this client"
EgressCallback = Callable[[int, bytes], None]
ErrorCallback = Callable[[int, ServiceError], None]


@dataclass(frozen=True, slots=True)
class ClientCounters:
    """What has happened to this client's connections and messages."""

    connections: int
    """Attempts that got as far as a TCP connection."""
    resumptions: int
    redirects: int
    egress_doubles: int
    """Egress received twice and dropped."""
    unclaimed: int
    """Egress that nobody received, and errors without an ``on_error``."""
    callback_failures: int


class ClusterClient:
    """One cluster session of this application; see the module."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        name: str,
        cluster_id: bytes | None,
        settings: SessionSettings | None,
        on_egress: EgressCallback | None,
        on_error: ErrorCallback | None,
    ) -> None:
        """Prepare; ``connect`` is the way to a client."""
        self._loop = asyncio.get_running_loop()
        self._session = Session(
            session_key=secrets.token_bytes(SESSION_KEY_LENGTH),
            name=name,
            cluster_id=cluster_id,
            settings=settings,
            on_unsent=self._on_unsent,
        )
        self._ingress = self._session.ingress
        self._dialer = Dialer(self._session, MemberRotation(addresses), self._loop, self._on_events)
        self._answers = Answers(self._loop, self._on_untaken)
        self._inbox = Inbox(self._on_inbox_full)
        self._on_egress = on_egress
        self._on_error = on_error
        self._task: asyncio.Task[None] | None = None
        self._established: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[Ended] = self._loop.create_future()
        self._durability = Durability.FSYNC
        self._is_closing = False
        self._resumptions = 0
        self._callback_failures = 0
        self._unheard_errors = 0

    @classmethod
    def connect(  # noqa: PLR0913 - options by keyword
        cls,
        addresses: Sequence[str],
        *,
        name: str = "",
        cluster_id: bytes | None = None,
        timeout: float = 10.0,
        settings: SessionSettings | None = None,
        on_egress: EgressCallback | None = None,
        on_error: ErrorCallback | None = None,
    ) -> Connecting:
        """Open a session: ``async with ClusterClient.connect(...) as client``, or ``await`` it.

        Args:
            addresses: ``host:port`` of one member or more; the others are learned.
            name: What people see of this client, at most 256 bytes.
            cluster_id: 16 bytes; another cluster's members are refused. None takes any.
            timeout: Seconds until the session must be open.
            settings: Limits and times of the session.
            on_egress: Called with ingress sequence and message for everything from the service
                that does not answer a ``request``. The fastest way to receive; without it
                ``receive`` yields the messages.
            on_error: Called with ingress sequence and error when the service failed for a
                message that was not a ``request``; without it the loop's exception handler is.
                Only together with ``on_egress``: ``receive`` yields the errors too.

        Raises:
            NotConnected: No leader opened the session in time.
            AuthenticationRejected: The members refuse this client.
            SessionClosed: The cluster holds as many sessions as it may.
            ValueError: There is no address or one is not ``host:port``, the name is too long,
                the cluster id is none, or the timeout is no time to wait.
            TypeError: The addresses are one text instead of a list, there is an ``on_error`` and
                no ``on_egress``, or one of these is a coroutine function, which nobody awaits.

        """
        if on_error is not None and on_egress is None:
            raise TypeError("on_error without on_egress: receive() yields errors as well")
        if inspect.iscoroutinefunction(on_egress) or inspect.iscoroutinefunction(on_error):
            # Each message would become an object that does nothing, and be lost.
            raise TypeError("on_egress and on_error are plain functions: nobody awaits them")
        _check(addresses, name, cluster_id, timeout)
        build = partial(
            cls,
            addresses,
            name=name,
            cluster_id=cluster_id,
            settings=settings,
            on_egress=on_egress,
            on_error=on_error,
        )
        return Connecting(build, timeout)

    # Sending

    def offer(self, message: bytes) -> int:
        """Send a message without waiting; what is offered in one turn of the loop goes together.

        Returns:
            Its ingress sequence; what the service says to it carries the same.

        Raises:
            IngressBackPressure: No credit is left: ``await ready()`` and offer again.
            MessageTooLarge: It exceeds ``message_bytes_max`` of the cluster.
            SessionClosed: The session has ended, or is closing.

        """
        return self._ingress.offer(message)

    async def request(self, message: bytes, timeout: float | None = None) -> bytes | None:  # noqa: ASYNC109 - the message stays pending, which a caller's own timeout would hide
        """Send a message and return the service's first answer to it.

        Further answers to the same message go where egress goes (``on_egress``, ``receive``).

        Returns:
            The answer; None when the message was applied and the service said nothing.

        Raises:
            TimeoutError: No answer within ``timeout`` seconds. The message stays pending: it
                may be applied yet, and a late answer goes where egress goes.
            ServiceError: The service's callback failed for this message.
            OutcomeUnknown: The session has ended while the message was unanswered.
            SessionClosed: The session has ended before the message was sent.
            MessageTooLarge: It exceeds ``message_bytes_max`` of the cluster.

        Blocking:
            Waits for credit, then for the answer, over reconnects and changes of leader.

        """
        if timeout is None:
            return await self._request(message)
        async with asyncio.timeout(timeout):
            return await self._request(message)

    async def _request(self, message: bytes) -> bytes | None:
        if not self._ingress.can_offer:
            await self.ready()
        sequence = self._ingress.offer(message)
        self._judge_reading(is_awaited=True)
        return await self._answers.answer(sequence)

    @property
    def can_offer(self) -> bool:
        """Whether ``offer`` would take a message now."""
        return self._ingress.can_offer

    async def ready(self) -> None:
        """Wait until ``offer`` takes a message, or raises for another reason than credit."""
        while not self._ingress.can_offer and not self._ingress.is_stopped:
            self._judge_reading(is_awaited=True)
            await self._answers.credit()

    async def wait_acknowledged(self, sequence: int) -> None:
        """Wait until this message is committed and applied, and its egress received.

        Raises:
            OutcomeUnknown: The session has ended before; the message had been sent.
            SessionClosed: The session has ended before; the message was never sent.

        """
        if sequence <= self._ingress.acknowledged:
            return
        if self._ended.done():
            raise end_error(self._ended.result(), sequence)
        self._judge_reading(is_awaited=True)
        await self._answers.acknowledged(sequence)

    async def flush(self) -> None:
        """Wait until everything offered so far is acknowledged; raises as the above."""
        await self.wait_acknowledged(self._ingress.last_sequence)

    # Receiving

    async def receive(self) -> AsyncIterator[ReceivedMessage]:
        """Yield what the service says and no ``request`` waits for, each message once.

        Ends when this client is closed.

        Raises:
            SessionClosed: The session has ended otherwise.

        """
        while (message := await self._inbox.get()) is not None:
            yield message

    # What is

    @property
    def acknowledged_sequence(self) -> int:
        """Everything up to this ingress sequence is committed and applied."""
        return self._ingress.acknowledged

    @property
    def last_sequence(self) -> int:
        """Ingress sequence of the message offered last."""
        return self._ingress.last_sequence

    @property
    def pending_bytes(self) -> int:
        """Bytes offered and not acknowledged."""
        return self._ingress.pending_bytes

    @property
    def cluster_session_id(self) -> int:
        """The session's id: the log position of its open."""
        return self._session.cluster_session_id

    @property
    def address(self) -> str:
        """Of the member that is dialled or connected."""
        return self._dialer.address

    @property
    def durability(self) -> Durability:
        """What an acknowledgement means on the members that gave it."""
        return self._durability

    @property
    def counters(self) -> ClientCounters:
        """What has happened so far."""
        return ClientCounters(
            connections=self._dialer.connections,
            resumptions=self._resumptions,
            redirects=self._dialer.redirects,
            egress_doubles=self._session.egress_doubles,
            unclaimed=self._inbox.unclaimed + self._unheard_errors,
            callback_failures=self._callback_failures,
        )

    # Life

    async def open(self, timeout: float) -> None:  # noqa: ASYNC109 - `connect` documents it
        """Dial until the session is open; for ``connect``."""
        # The dialer outlives the function that opened the client, so no task group can own it:
        # the client does, and `_stop` ends it.
        self._task = self._loop.create_task(self._dialer.run(), name="quorate-client")
        self._task.add_done_callback(self._on_dialer_done)
        try:
            async with asyncio.timeout(timeout):
                await self._established
        except TimeoutError:
            await self._stop()
            tried = ", ".join(self._dialer.describe_attempts())
            raise NotConnected(
                f"no leader opened a session within {timeout} s at {tried}; "
                "`quorate status` tells what the members say"
            ) from None
        except BaseException:
            await self._stop()
            raise

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - bounds a courtesy
        """Close the session when everything offered is answered, receive that, and disconnect.

        If the cluster cannot be told within ``timeout`` seconds the session is left to expire,
        and what is unanswered ends as ``OutcomeUnknown``.
        """
        self._is_closing = True
        if not self._ended.done():
            self._session.close(_CLOSED_HERE)
            self._answers.on_credit(has_credit=lambda: True)
            self._dialer.plan_flush()
            self._judge_reading(is_awaited=True)
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.shield(self._ended)
            except TimeoutError:
                pass
            finally:
                # Also when this is cancelled: nobody else would end the task.
                await self._stop()

    async def __aenter__(self) -> Self:
        """Use an open client as a context."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    # Events

    def _on_dialer_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        reason = f"the client has failed: {task.exception()!r}"
        self._finish(Ended(reason, is_refused=False, ingress_sent=self._ingress.sent_sequence))
        self._loop.call_exception_handler(
            {"message": "quorate client has failed", "exception": task.exception(), "task": task}
        )

    async def _stop(self) -> None:
        self._finish(self._own_end())
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _own_end(self) -> Ended:
        sent = self._ingress.sent_sequence
        return Ended(_CLOSED_HERE, is_refused=False, ingress_sent=sent)

    def _on_unsent(self) -> None:
        self._dialer.plan_flush()

    def _on_events(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case EgressReceived(items):
                    self._deliver(items)
                case Acknowledged(sequence):
                    self._answers.on_acknowledged(sequence)
                case Established():
                    self._on_established(event)
                case Redirected(address):
                    self._dialer.on_redirected(address)
                case Ended():
                    self._finish(event)
                case MemberSilent():
                    self._dialer.leave_silent()
                case MemberLeaderless() | Refused():
                    self._dialer.leave()
                case Granted():
                    pass  # Whoever waits for it is woken behind all events.
        self._answers.on_credit(has_credit=lambda: self._ingress.can_offer)
        self._judge_reading(is_awaited=self._is_closing or self._answers.is_awaited)

    def _deliver(self, items: list[EgressItem]) -> None:
        answers, on_egress = self._answers, self._on_egress
        requests = answers.requests
        for head, sequence, payload in items:
            if head >> 32:
                self._deliver_error(head, sequence, payload)
                continue
            if requests and answers.resolve(sequence, payload):
                continue
            if on_egress is None:
                self._inbox.put(ReceivedMessage(sequence, payload))
                continue
            try:
                on_egress(sequence, payload)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - theirs, not ours
                self._report(error)

    def _deliver_error(self, head: int, sequence: int, payload: bytes) -> None:
        code = error_code(head)
        try:
            position = decode_error_payload(payload)
        except ProtocolError:
            position = 0
        error = ServiceError(
            f"the service failed for message {sequence} at log position {position} (code {code})",
            code,
            position,
        )
        if not self._answers.fail(sequence, error):
            self._tell_error(sequence, error)

    def _tell_error(self, sequence: int, error: ServiceError) -> None:
        if self._on_egress is None:
            self._inbox.put(ReceivedMessage(sequence, b"", error))
        elif self._on_error is None:
            self._unheard_errors += 1
            message = "the service has failed for a message of a quorate client without on_error"
            self._loop.call_exception_handler({"message": message, "exception": error})
        else:
            try:
                self._on_error(sequence, error)
            except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - as above
                self._report(failure)

    def _on_untaken(self, sequence: int, answer: bytes | ServiceError) -> None:
        """Deliver the answer to a request that was given up as it came: it is a late one."""
        if isinstance(answer, ServiceError):
            self._tell_error(sequence, answer)
        else:
            self._deliver([(len(answer), sequence, answer)])

    def _report(self, error: BaseException) -> None:
        """Show what a callback of the application raised, and go on with the next message.

        ``CancelledError`` is no ``Exception``, but comes of a callback that looks at the result of
        a task which was cancelled: it must not take the messages behind it along.
        """
        self._callback_failures += 1
        self._loop.call_exception_handler(
            {"message": "a callback of a quorate client has failed", "exception": error}
        )

    def _on_established(self, event: Established) -> None:
        self._dialer.on_established(event)
        try:
            self._durability = Durability(event.durability)
        except ValueError:
            # A level of a later release promises at least this much.
            self._durability = Durability.REPLICATED
        self._resumptions += event.is_resumed
        if not self._established.done():
            self._established.set_result(None)

    def _on_inbox_full(self, is_full: bool) -> None:  # noqa: FBT001 - the inbox's callback
        if not is_full:
            self._dialer.set_reading(is_reading=True)
        # A full one stops it behind all events.

    def _judge_reading(self, *, is_awaited: bool) -> None:
        """Stop reading while the inbox is full, unless somebody waits for what comes behind.

        Who receives and waits in one task, or closes without having received everything, would
        wait for ever otherwise. Not beyond a second bound: an application that waits again and
        again and receives nothing is not to take all memory.
        """
        if self._inbox.is_full:
            self._dialer.set_reading(is_reading=is_awaited and not self._inbox.is_overfull)

    def _finish(self, ended: Ended) -> None:
        """End everything that waits, once."""
        if self._ended.done():
            return
        self._session.close(ended.reason)
        self._ended.set_result(ended)
        self._answers.end(ended)
        if not self._established.done():
            self._established.set_exception(
                AuthenticationRejected(ended.reason)
                if ended.is_refused
                else end_error(ended, _NEVER_SENT)
            )
            # Whoever connects may have gone already; nobody else asks.
            self._established.exception()
        self._inbox.end(None if self._is_closing else end_error(ended, _NEVER_SENT))
        if self._task is not None:
            # Leaves the connection as well; there is nothing to connect for any more.
            self._task.cancel()


def _check(addresses: Sequence[str], name: str, cluster_id: bytes | None, timeout: float) -> None:
    """Refuse what could never be dialled or said, before anybody waits for it."""
    if isinstance(addresses, (str, bytes)):
        raise TypeError(f"addresses are a list, such as [{addresses!r}], not one text")
    if not addresses:
        raise ValueError("a client needs the address of a member, such as 127.0.0.1:9010")
    for address in addresses:
        split_address(address)
    length = len(name.encode())
    if length > NAME_BYTES_MAX:
        raise ValueError(f"a client's name of {length} bytes exceeds {NAME_BYTES_MAX}")
    if cluster_id is not None and len(cluster_id) != CLUSTER_ID_LENGTH:
        raise ValueError(f"a cluster id has {CLUSTER_ID_LENGTH} bytes, not {len(cluster_id)}")
    if not 0 < timeout < math.inf:
        raise ValueError(f"timeout is {timeout}, not a number of seconds above 0")


class Connecting:
    """A client that is not connected yet: ``await`` it, or use it as an asynchronous context."""

    def __init__(self, build: Callable[[], ClusterClient], timeout: float) -> None:
        """Keep how to build the client until there is a running loop."""
        self._build = build
        self._timeout = timeout
        self._client: ClusterClient | None = None

    def __await__(self) -> Generator[object, None, ClusterClient]:
        """Connect."""
        return self._open().__await__()

    async def __aenter__(self) -> ClusterClient:
        """Connect."""
        self._client = await self._open()
        return self._client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.close()

    async def _open(self) -> ClusterClient:
        client = self._build()
        await client.open(self._timeout)
        return client
