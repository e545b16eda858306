"""Runs one service on a log of its own, as a cluster would, inside a unit test.

What the test does becomes frames of a real log, which the production container applies::

    harness = ServiceHarness(Calculator)
    client = harness.open_session()
    assert client.send(b"8", b"x5", b"+2", b"=") == [b"42"]
    harness.advance(5 * SECOND)
    harness.assert_deterministic()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from quorate.config import ClusterConstants, ClusterSettings
from quorate.consensus.types import (
    Chain,
    ClusterId,
    FrameType,
    LeadershipTermId,
    LogPosition,
    Member,
    MemberId,
    Role,
    Seat,
)
from quorate.protocol.batch import (
    EgressKind,
    EgressMessage,
    decode_egress_batch,
    encode_ingress_batch,
)
from quorate.protocol.entry_bodies import (
    CloseReason,
    SessionOpenBody,
    encode_session_close,
    encode_session_open,
)
from quorate.protocol.log_codec import EntryType, encode_entry, encode_frame
from quorate.protocol.term_codec import FoundingBody, encode_founding
from quorate.service.api import ClusteredService
from quorate.service.callbacks import CallbackFailure
from quorate.service.container import ServiceContainer
from quorate.service.outbox import (
    EgressBatch,
    Outbound,
    SequenceGap,
    SessionClosed,
    SessionOpened,
)
from quorate.testing.determinism import AppliedFrame, apply_whole, compare_runs
from quorate.testing.other_process import compare_in_other_processes

SECOND = 1_000_000_000
"""Nanoseconds; log time is counted in them."""

TURN = 1_000_000
"""Nanoseconds between frames of a leader that has timers to fire at once."""

START_TIME = 1_700_000_000 * SECOND
"""Log time at which a harness begins, so that a test sees times like those of a cluster."""


@dataclass(eq=False)
class HarnessSession:
    """A client's session with the service under test."""

    harness: ServiceHarness = field(repr=False)
    session_id: int
    egress: list[EgressMessage] = field(default_factory=list)
    """Everything received so far, errors included."""
    closed: CloseReason | None = None
    """Why the session has ended, or None while it is open."""
    sequence: int = 0
    """Of the last message sent."""
    taken: int = 0
    """How much of ``egress`` has been returned by ``send`` or ``receive``."""

    def send(self, *messages: bytes) -> list[bytes]:
        """Send messages in one batch and return what the service sent to this session since.

        Errors are not among the returned messages; they are in ``egress``.
        """
        self.harness.feed(self, messages)
        return self.receive()

    def receive(self) -> list[bytes]:
        """Return what the service sent to this session since the last call, without errors."""
        fresh = self.egress[self.taken :]
        self.taken = len(self.egress)
        return [message.payload for message in fresh if message.kind is EgressKind.MESSAGE]

    def acknowledge(self) -> None:
        """Acknowledge everything received, so that the cluster no longer keeps it."""
        self.harness.append_entry(
            EntryType.EGRESS_ACKNOWLEDGEMENT, self, egress_acknowledged=len(self.egress)
        )

    def close(self) -> None:
        """End the session as a client does."""
        body = encode_session_close(CloseReason.CLIENT)
        self.harness.append_entry(EntryType.SESSION_CLOSE, self, body)


class ServiceHarness:
    """One service, its container and its log.

    A callback that raises makes the call that led to it raise, unless ``tolerate_failures``
    is set: then the failures are collected in ``failures``, as a cluster would count them.
    """

    def __init__(
        self,
        make_service: Callable[[], ClusteredService],
        *,
        settings: ClusterSettings | None = None,
        tolerate_failures: bool = False,
        messages_per_step: int = 1_000,
    ) -> None:
        """Found a log and start the service on it.

        Args:
            make_service: Makes a service in its first state: the class, as a rule.
            settings: The cluster's settings; the defaults if None.
            tolerate_failures: Collect failing callbacks instead of raising.
            messages_per_step: Size of the slices in which frames are applied.

        Raises:
            TypeError: A service was given instead of what makes one.

        """
        if issubclass(type(make_service), ClusteredService):
            kind = type(make_service).__name__
            raise TypeError(f"give {kind}, not {kind}(): the log is applied by several services")
        self.failures: list[CallbackFailure] = []
        """Callbacks that have raised."""
        self.time = START_TIME
        """Log time of the next frame, in nanoseconds."""
        self.applied: list[AppliedFrame] = []
        """The log so far, and what came of each frame."""
        self._make_service = make_service
        self._tolerate_failures = tolerate_failures
        self._messages_per_step = messages_per_step
        self._sessions: dict[int, HarnessSession] = {}
        self._opened = 0
        self._position = LogPosition(0)
        self._chain = Chain(0)
        self._start(None)
        self.append_frame(
            FrameType.FOUNDING, _founding(settings or ClusterSettings()), 0, timestamp=0
        )

    @property
    def service(self) -> ClusteredService:
        """The service under test; another object after ``load_snapshot``."""
        return self._service

    @property
    def container(self) -> ServiceContainer:
        """The container around it, for a look at positions, sessions and counters."""
        return self._container

    @property
    def digest(self) -> bytes:
        """The rolling digest that members of a cluster would compare."""
        return self._container.digest

    @property
    def next_timer_deadline(self) -> int | None:
        """Log time of the next timer, or None."""
        return self._container.next_timer_deadline

    def open_session(self, name: str = "", principal: bytes = b"") -> HarnessSession:
        """Open a session and return it; it is closed at once where the cluster is full."""
        self._opened += 1
        key_hash = self._opened.to_bytes(16, "big")
        body = encode_session_open(SessionOpenBody(key_hash, principal, name))
        session = HarnessSession(self, session_id=0)
        self._sessions[0] = session  # stands for the answer, whose session id is not known yet
        self.append_entry(EntryType.SESSION_OPEN, None, body)
        del self._sessions[0]
        return session

    def feed(self, session: HarnessSession, messages: tuple[bytes, ...]) -> None:
        """Append one batch of a session's messages to the log and apply it.

        Raises:
            TypeError: A message is not ``bytes``, which a client would not send either.

        """
        for message in messages:
            if type(message) is not bytes:
                raise TypeError(f"a message is bytes, not {type(message).__name__}")
        first = session.sequence + 1
        session.sequence += len(messages)
        self.append_entry(
            EntryType.SESSION_INGRESS,
            session,
            encode_ingress_batch(messages),
            first_sequence=first,
            message_count=len(messages),
        )

    def append_entry(
        self,
        entry_type: EntryType,
        session: HarnessSession | None,
        body: bytes = b"",
        *,
        first_sequence: int = 0,
        message_count: int = 0,
        egress_acknowledged: int = 0,
    ) -> None:
        """Append one entry to the log and apply it: for tests that need the unusual."""
        entry = encode_entry(
            entry_type,
            session.session_id if session is not None else 0,
            body,
            first_sequence=first_sequence,
            message_count=message_count,
            egress_acknowledged=egress_acknowledged,
        )
        self.append_frame(FrameType.ENTRIES, entry, 1, timestamp=self.time)

    def append_frame(
        self, frame_type: FrameType, body: bytes, entry_count: int, *, timestamp: int
    ) -> None:
        """Make the next frame of the log and apply it: for tests that need the unusual."""
        term = LeadershipTermId(0 if frame_type is FrameType.FOUNDING else 1)
        frame = encode_frame(
            self._position, term, timestamp, self._chain, frame_type, body, entry_count
        )
        self._position = frame.end
        self._chain = frame.chain
        failed = len(self.failures)
        outbox = apply_whole(self._container, frame, self._messages_per_step)
        self.applied.append(AppliedFrame(frame, self._container.digest, tuple(outbox)))
        for event in outbox:
            self._deliver(event)
        self._raise_failure(failed)

    def advance(self, duration: int) -> None:
        """Let log time pass, in nanoseconds, and fire what is due in the order of deadlines.

        A cluster's leader appends a frame when a timer is due; so does this.

        Raises:
            TypeError: Not an integer.
            ValueError: Below 0.

        """
        if type(duration) is not int:
            kind = type(duration).__name__
            raise TypeError(f"a duration is an integer, in nanoseconds, not {kind}")
        if duration < 0:
            raise ValueError(f"log time never runs back, here by {-duration} ns")
        end = self.time + duration
        while True:
            deadline = self._container.next_timer_deadline
            if deadline is None:
                deadline = end
            # A timer that keeps setting itself in the past fires once a turn, not for ever.
            due = deadline if deadline > self.time else self.time + TURN
            self.time = min(due, end)
            self.append_frame(FrameType.EMPTY, b"", 0, timestamp=self.time)
            if self.time == end:
                return

    def change_role(self, role: Role) -> None:
        """Tell the service that its member has another role."""
        failed = len(self.failures)
        self._container.set_role(role)
        self._raise_failure(failed)

    def take_snapshot(self) -> bytes:
        """Return the snapshot of service and container."""
        return self._container.take_snapshot()

    def load_snapshot(self, snapshot: bytes) -> None:
        """Go on with a new service that has loaded a snapshot of this harness.

        What the log holds behind the snapshot is applied again; sessions go on, as they do when
        a member restarts.
        """
        self._start(snapshot)
        for row in self.applied:
            if row.frame.position >= self._container.position:
                apply_whole(self._container, row.frame, self._messages_per_step)

    def restart(self) -> None:
        """Take a snapshot and go on from it with a new service."""
        self.load_snapshot(self.take_snapshot())

    def assert_deterministic(self) -> None:
        """Apply the whole log again, in other slices and through snapshots, and compare.

        Raises:
            NonDeterministic: Names the first frame that led to other results.

        """
        compare_runs(self._make_service, self.applied, self.take_snapshot())

    def assert_deterministic_across_processes(self, *, limit_s: float = 60.0) -> None:
        """Apply the whole log again in three other processes, and compare.

        There sets of ``str`` and ``bytes`` have another order, as they have on each member of a
        cluster. It takes some tenths of a second, so once for each service is enough.

        Args:
            limit_s: For each process, in seconds.

        Raises:
            NonDeterministic: Names the first frame that led to other results.
            TypeError: What makes the service has no name by which another process can import it.
            RuntimeError: The service cannot be imported or run there, or takes too long.

        Blocking: at most three times ``limit_s``.

        """
        compare_in_other_processes(self._make_service, self.applied, self.take_snapshot(), limit_s)

    def _start(self, snapshot: bytes | None) -> None:
        self._service = self._make_service()
        self._container = ServiceContainer(self._service, self.failures.append)
        self._container.start(snapshot)

    def _deliver(self, event: Outbound) -> None:
        """Hand a client what its gateway would send it."""
        if isinstance(event, EgressBatch):
            messages = decode_egress_batch(event.batch, event.message_count)
            self._sessions[event.session_id].egress += messages
        elif isinstance(event, SessionOpened):
            opened = self._sessions.get(0)
            if opened is not None:
                opened.session_id = event.session_id
                self._sessions[event.session_id] = opened
        elif isinstance(event, SessionClosed):
            (self._sessions.get(event.session_id) or self._sessions[0]).closed = event.reason
        else:
            assert isinstance(event, SequenceGap)
            self._sessions[event.session_id].sequence = event.next_sequence - 1

    def _raise_failure(self, before: int) -> None:
        """Let a test see a callback that has raised since there were ``before`` failures."""
        if not self._tolerate_failures and len(self.failures) > before:
            failure = self.failures[before]
            raise AssertionError(
                f"{failure.callback} raised at log position {failure.log_position}: "
                f"{failure.error!r}"
            ) from failure.error


def _founding(settings: ClusterSettings) -> bytes:
    member = Member(MemberId(b"quorate.testing."), Seat(0), "localhost")
    cluster_id = ClusterId(b"quorate.testing.")
    return encode_founding(FoundingBody(cluster_id, 0, (member,), settings, ClusterConstants()))
