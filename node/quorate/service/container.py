"""The service container: feeds the committed log to the service, frame after frame.

It knows no role and no I/O: the same frames bring every member to the same state, the same
egress and the same digest, in whatever slices they are applied. The agent calls ``begin`` with
the frame at ``position`` and ``step`` until it returns True, then takes the outbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from quorate.config import ClusterSettings
from quorate.consensus.types import LogFrame, LogPosition, Membership, Role
from quorate.errors import (
    ConfigurationError,
    InvariantBroken,
    ProtocolError,
    ServiceFailed,
    SnapshotError,
)
from quorate.protocol.log_codec import UnknownFormat
from quorate.service.api import Cluster, ClusteredService, SnapshotInput, SnapshotOutput
from quorate.service.applier import FrameApplier
from quorate.service.callbacks import CallbackFailure, CallbackRunner, refuse_result
from quorate.service.collector import OUTSIDE, Collector
from quorate.service.outbox import (
    EgressBatch,
    Outbound,
    SessionView,
)
from quorate.service.sessions import Session, egress_after
from quorate.service.snapshot import (
    RecordReader,
    RecordWriter,
    ReplicatedState,
    decode_snapshot,
    encode_snapshot,
)

REFUSALS = (
    "callback_failures",
    "ingress_duplicates",
    "ingress_gaps",
    "ingress_of_ended_sessions",
    "kept_egress",
    "kept_egress_total",
    "sessions_refused",
)
"""The counters that count what the log holds and the service did not take."""
_AWAITED = 0x80 | 0x20 | 0x200
"""Code flags of coroutines, generators and asynchronous generators."""


class ServiceContainer:
    """One service and everything replicated around it.

    Invariant:
        ``position`` is a frame boundary; between ``begin`` and the ``step`` that returns True
        it is that of the frame being applied. After an exception the container is of no use.
    """

    def __init__(
        self, service: ClusteredService, on_failure: Callable[[CallbackFailure], None]
    ) -> None:
        """Take the service; ``start`` brings it to life.

        Args:
            service: What the log is fed to.
            on_failure: Told of each callback that raised, on this member only.

        Raises:
            ConfigurationError: A callback is a coroutine or generator function, which would
                never run.

        """
        _check_callbacks(service)
        self._service = service
        self._on_failure = on_failure
        self._digests: list[tuple[LogPosition, bytes]] = []
        self._work: Iterator[None] | None = None
        self._frame_end = LogPosition(0)
        self._collector = Collector()
        self._use(ReplicatedState())

    # ------------------------------------------------------------------ life of the container

    def start(self, snapshot: bytes | None) -> None:
        """Start the service, at the birth of the log or where the snapshot was taken.

        Raises:
            SnapshotError: The snapshot cannot be read.
            ServiceFailed: ``on_start`` raised, or returned something.

        """
        reader: RecordReader | None = None
        if snapshot is not None:
            state, reader = decode_snapshot(snapshot, self._collector)
            self._use(state)
        self._collector.forbidden = "on_start"
        try:
            start: Callable[[Cluster, SnapshotInput | None], object] = self._service.on_start
            refuse_result(start(self._runner.cluster, reader))
        except MemoryError:
            raise
        except Exception as error:
            self._on_failure(CallbackFailure("on_start", self.position, 0, 0, error))
            raise ServiceFailed(
                f"on_start failed with {type(error).__name__} at log position {self.position}"
            ) from error
        self._collector.forbidden = OUTSIDE

    def set_role(self, role: Role) -> None:
        """Tell the service what this member has become."""
        self._runner.cluster.own_role = role
        self._runner.run_bare("on_role_change", partial(self._service.on_role_change, role))

    def terminate(self) -> None:
        """Tell the service that this member stops; a failure is told, and stops nothing else."""
        with suppress(ServiceFailed):
            self._runner.run_bare("on_terminate", self._service.on_terminate)

    def take_snapshot(self) -> bytes:
        """Return the whole container as canonical bytes; only between frames.

        Raises:
            SnapshotError: ``on_take_snapshot`` raised, or returned what it should have written.

        """
        assert self._work is None, f"snapshot inside the frame at {self.position}"
        writer = RecordWriter()
        self._collector.forbidden = "on_take_snapshot"
        try:
            take: Callable[[SnapshotOutput], object] = self._service.on_take_snapshot
            refuse_result(take(writer))
        except MemoryError:
            raise
        except Exception as error:
            raise SnapshotError(
                f"on_take_snapshot failed with {type(error).__name__} at log position "
                f"{self.position}"
            ) from error
        finally:
            self._collector.forbidden = OUTSIDE
        return encode_snapshot(self._state, writer.records)

    def query(self, session_id: int, message: bytes) -> bytes:
        """Return the service's answer to a read, which leaves no trace in state or log.

        Raises:
            ServiceFailed: ``on_query`` raised, or there is no such session; whoever asked is
                told, and nothing else has happened.

        """
        session = self._state.sessions.get(session_id)
        if session is None:
            raise ServiceFailed(f"query of session {session_id}, which is not open")
        self._collector.forbidden = "on_query"
        try:
            return self._service.on_query(session, message)
        except MemoryError:
            raise
        except Exception as error:
            raise ServiceFailed(
                f"on_query failed with {type(error).__name__} at log position {self.position}"
            ) from error
        finally:
            self._collector.forbidden = OUTSIDE

    # ------------------------------------------------------------------ applying

    def begin(self, frame: LogFrame) -> None:
        """Take the frame at ``position``; ``step`` applies it.

        Raises:
            InvariantBroken: Another frame than the next one.

        """
        state = self._state
        if self._work is not None or frame.position != state.position:
            raise InvariantBroken(
                f"frame at {frame.position} cannot be applied at {state.position}"
            )
        if frame.timestamp < state.timestamp:
            raise InvariantBroken(
                f"frame at {frame.position} has log time {frame.timestamp}, "
                f"before {state.timestamp}"
            )
        cluster = self._runner.cluster
        cluster.now = frame.timestamp
        cluster.position = frame.position
        self._frame_end = frame.end
        self._work = self._applier.apply(frame)

    def step(self, messages_max: int) -> bool:
        """Apply at most about so many messages and timers of the frame.

        Messages to itself count, but those of one message are always applied together.

        Returns:
            True when the frame is applied whole and ``position`` is its end.

        Raises:
            ServiceFailed: A callback raised and the policy is to halt.
            UnknownFormat: An entry of a later release.
            InvariantBroken: The log says what it cannot say.

        """
        assert messages_max > 0, messages_max
        assert self._work is not None, f"no frame begun at {self.position}"
        self._runner.budget = messages_max
        try:
            for _ in self._work:
                return False
        except UnknownFormat:
            raise
        except ProtocolError as error:
            position = self._runner.cluster.position
            raise InvariantBroken(f"log at {position} cannot be applied: {error}") from error
        self._work = None
        self._end_frame()
        return True

    def take_outbox(self) -> list[Outbound]:
        """Return what applying has produced since the last call, in order."""
        outbox = self._runner.outbox
        self._runner.outbox = []
        return outbox

    def take_digests(self) -> list[tuple[LogPosition, bytes]]:
        """Return the digests at frame ends that crossed a multiple of the digest interval."""
        digests, self._digests = self._digests, []
        return digests

    # ------------------------------------------------------------------ what is

    @property
    def time(self) -> int:
        """Cluster time: the timestamp of that frame, in nanoseconds."""
        return self._state.timestamp

    @property
    def settings(self) -> ClusterSettings:
        """The settings in force."""
        return self._state.settings

    @property
    def membership(self) -> Membership:
        """The membership in force, empty before the founding."""
        return self._state.membership

    @property
    def digest(self) -> bytes:
        """The rolling digest, 16 bytes."""
        return self._state.digest

    @property
    def counters(self) -> Counter[str]:
        """Numbers for metrics since this container was made; not part of the state."""
        return self._runner.counters

    @property
    def refusals(self) -> dict[str, int]:
        """How often something was not applied as it was asked, by reason; each one is there."""
        return {name: self._runner.counters[name] for name in REFUSALS}

    @property
    def next_timer_deadline(self) -> int | None:
        """The earliest deadline that a frame to come must reach, in log time."""
        return self._state.timers.next_deadline

    @property
    def timers_count(self) -> int:
        """How many timers are pending."""
        return len(self._state.timers)

    def sessions(self) -> list[SessionView]:
        """Return all open sessions by id."""
        limit = self._state.settings.message_bytes_max
        return [session.view(limit) for session in self._state.sessions]

    def session_ids(self) -> list[int]:
        """Return the ids of all open sessions, ascending."""
        return list(self._state.sessions.view)

    @property
    def sessions_count(self) -> int:
        """How many sessions are open."""
        return len(self._state.sessions)

    @property
    def kept_egress_bytes(self) -> int:
        """How much egress is kept for all sessions together."""
        return self._state.sessions.kept_bytes

    @property
    def applied_messages(self) -> int:
        """Messages of clients applied so far, those of a frame that is under way included."""
        return self._runner.counters["ingress_messages"]

    def session(self, session_id: int) -> SessionView | None:
        """Return an open session."""
        return self._view(self._state.sessions.get(session_id))

    def progress_of(self, session_id: int) -> tuple[int, int, bool] | None:
        """Return three fields of an open session's view: how far its two streams have come.

        Those are ``last_ingress_sequence``, ``last_egress_sequence`` and ``is_flushed``. The
        whole view would be made for every connection in every turn.
        """
        session = self._state.sessions.get(session_id)
        if session is None:
            return None
        return session.last_ingress_sequence, session.last_egress_sequence, not session.parts

    def find_session(self, key_hash: bytes) -> SessionView | None:
        """Return the open session whose client holds the key with this hash."""
        return self._view(self._state.sessions.by_key(key_hash))

    def egress_after(self, session_id: int, egress_sequence: int) -> list[EgressBatch]:
        """Return the kept egress that a client lacks which has received ``egress_sequence``."""
        session = self._state.sessions.get(session_id)
        return egress_after(session, egress_sequence) if session is not None else []

    # ------------------------------------------------------------------ inside

    def _use(self, state: ReplicatedState) -> None:
        """Go on from this state."""
        self._state = state
        self.position = state.position
        """End of the last frame that is applied whole."""
        self._runner = CallbackRunner(
            self._service, state.sessions, state.timers, self._collector, self._on_failure
        )
        self._runner.use_settings(state.settings)
        self._runner.cluster.now = state.timestamp
        self._runner.cluster.position = state.position
        self._applier = FrameApplier(self._service, state, self._runner, self._collector)

    def _view(self, session: Session | None) -> SessionView | None:
        return session.view(self._state.settings.message_bytes_max) if session else None

    def _end_frame(self) -> None:
        state = self._state
        interval = state.settings.digest_interval_bytes
        crossed = interval > 0 and self._frame_end // interval > state.position // interval
        state.position = self.position = self._runner.cluster.position = self._frame_end
        state.timestamp = self._runner.cluster.now
        if crossed:
            self._digests.append((state.position, state.digest))


def _check_callbacks(service: ClusteredService) -> None:
    """Refuse callbacks that only make an object which nobody awaits."""
    wrong = [
        f"{type(service).__name__}.{name} is asynchronous or a generator; callbacks are plain "
        "functions"
        for name in vars(ClusteredService)
        if name.startswith("on_") and _code_flags(getattr(type(service), name)) & _AWAITED
    ]
    if wrong:
        raise ConfigurationError(wrong)


def _code_flags(function: object) -> int:
    code = getattr(function, "__code__", None)
    return int(getattr(code, "co_flags", 0))
