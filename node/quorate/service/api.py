"""What a service's author implements and may call.

A service is a state machine: it sees the committed inputs of all clients one after the other,
on one thread, the same on every member, and must come to the same results there. So it reads
no clock, no randomness, no environment and no file, does not iterate over sets of strings, and
keeps money in integers. ``quorate.testing`` runs a service in a unit test and finds what
differs between two runs.

What a callback may do::

    callback                  offer, timers, messages to itself, close
    on_session_open           yes
    on_session_close          yes (to other sessions)
    on_session_message        yes
    on_timer                  yes
    on_start                  no    these do not run
    on_role_change            no    alike on all members,
    on_new_leadership_term    no    or not at that position
    on_query                  no    of the log: what they
    on_take_snapshot          no    would do raises
    on_terminate              no    NotAllowedHere
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quorate.consensus.types import LeadershipTermId, LogPosition, Role
from quorate.errors import QuorateError, Severity
from quorate.protocol.entry_bodies import CloseReason

__all__ = [
    "ClientSession",
    "CloseReason",
    "Cluster",
    "ClusteredService",
    "LeadershipTerm",
    "LimitExceeded",
    "NotAllowedHere",
    "Role",
    "SnapshotInput",
    "SnapshotOutput",
]


class NotAllowedHere(QuorateError):
    """The callback does not run alike on all members, so it may not have effects."""

    severity = Severity.WARN


class LimitExceeded(QuorateError):
    """A callback asked for more than the cluster's settings allow; they name the limit."""

    severity = Severity.WARN


@dataclass(frozen=True, slots=True)
class LeadershipTerm:
    """The term that has begun."""

    leadership_term_id: LeadershipTermId
    log_position: LogPosition
    """Where the term begins."""
    timestamp: int
    """Log time in nanoseconds since the Unix epoch."""
    possible_loss: bool
    """Members had to accept a loss to elect this leader."""


class ClientSession(ABC):
    """A client's replicated conversation with the service; it outlives connections and leaders.

    A session is the same object from its open to its close. Keep the ``session_id`` rather
    than the object in what a snapshot must hold.
    """

    __slots__ = ()

    session_id: int
    """Unique for the life of the cluster; sessions opened later have higher ids."""
    principal: bytes
    """Whom authentication found; empty where there is none."""
    name: str
    """What the client calls itself, for people."""
    is_open: bool
    """False once the session has ended."""

    @abstractmethod
    def offer(self, message: bytes) -> None:
        """Send a message to the client: an answer, or news.

        It leaves when the callback has returned; if the callback raises, it never does. The
        cluster keeps it until the client acknowledges it. An offer to a session that has ended
        is dropped: there is nobody to read it.

        Args:
            message: ``bytes`` and nothing else, at most the setting ``message_bytes_max`` long.

        Raises:
            TypeError: Not ``bytes``; what could change after the callback must not be kept.
            LimitExceeded: Longer than ``message_bytes_max``.
            NotAllowedHere: From a callback that may not have effects.

        """

    @abstractmethod
    def close(self) -> None:
        """End the session when the callback has returned; what it was offered goes out first.

        ``on_session_close`` follows with ``CloseReason.SERVICE``. Does nothing to a session
        that has ended.

        Raises:
            NotAllowedHere: From a callback that may not have effects.

        """


class Cluster(ABC):
    """The cluster as a service sees it; given to ``on_start``."""

    __slots__ = ()

    @property
    @abstractmethod
    def time(self) -> int:
        """Log time of what is being applied, in nanoseconds since the Unix epoch.

        A service's only clock: the same on every member and in every replay; never falls.
        """

    @property
    @abstractmethod
    def log_position(self) -> LogPosition:
        """Position of the entry, or of the frame of a timer, that is being applied."""

    @property
    @abstractmethod
    def role(self) -> Role:
        """What this member is at the moment. For people only: results must not depend on it."""

    @property
    @abstractmethod
    def sessions(self) -> Mapping[int, ClientSession]:
        """The open sessions by id, oldest first; a live, read-only view."""

    @abstractmethod
    def schedule_timer(self, timer_id: int, deadline: int) -> None:
        """Have ``on_timer`` called once the log's time has reached ``deadline``.

        A pending timer of the same id is replaced. One with a deadline in the past fires
        before the next frame of the log.

        Args:
            timer_id: The author's name for it, from 0 to 2**63 - 1.
            deadline: Log time in nanoseconds, from 0 to 2**63 - 1.

        Raises:
            LimitExceeded: More pending timers than the setting ``timers_max``.
            NotAllowedHere: From a callback that may not have effects.

        """

    @abstractmethod
    def cancel_timer(self, timer_id: int) -> bool:
        """Forget a pending timer and tell whether there was one.

        Raises:
            NotAllowedHere: From a callback that may not have effects.

        """

    @abstractmethod
    def offer(self, message: bytes) -> None:
        """Send a message to the service itself.

        ``on_session_message`` gets it with no session, right after the callback has returned
        and before the next message of a client.

        Raises:
            TypeError: Not ``bytes``.
            LimitExceeded: Longer than ``message_bytes_max``, or one message, timer or session
                event has led to more than ``self_messages_max`` of these.
            NotAllowedHere: From a callback that may not have effects.

        """


class SnapshotOutput(ABC):
    """Where ``on_take_snapshot`` writes the service's state, record by record."""

    __slots__ = ()

    @abstractmethod
    def write(self, record: bytes) -> None:
        """Append one record. Equal states must write equal records, in the same order."""


class SnapshotInput(ABC):
    """The records of a snapshot in the order in which they were written; iterate over it."""

    __slots__ = ()

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]:
        """Begin at the first record."""


class ClusteredService:
    """The author's state machine: subclass it and override what the service needs.

    A callback that raises is dealt with by the cluster's setting ``on_error``: its answers,
    timers and messages to itself are dropped, but what it had already changed in the service
    stays changed. So check first, then change. Callbacks return nothing; answers go through
    ``session.offer``.
    """

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Begin: keep ``cluster``, and load the state if there is a snapshot.

        Args:
            cluster: Valid as long as the service runs.
            snapshot: What ``on_take_snapshot`` wrote, or None on a first start, after which
                the whole log is applied.

        """

    def on_session_open(self, session: ClientSession, timestamp: int) -> None:
        """Greet a new session."""

    def on_session_close(self, session: ClientSession, timestamp: int, reason: CloseReason) -> None:
        """Forget a session; it is no longer in ``cluster.sessions``."""

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Apply one message.

        Args:
            session: Who sent it; None for a message of the service to itself.
            timestamp: Log time in nanoseconds, as ``cluster.time``.
            message: What the client offered.

        """
        raise NotImplementedError

    def on_timer(self, timer_id: int, timestamp: int) -> None:
        """Act on a timer whose deadline the log's time has reached; it is no longer pending."""

    def on_query(self, session: ClientSession, message: bytes) -> bytes:
        """Answer a read that is not in the log; change nothing.

        No member calls it yet: reads come with a later release.
        """
        raise NotImplementedError

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        """Write everything that ``on_start`` needs to go on from here."""

    def on_role_change(self, role: Role) -> None:
        """Learn what this member has become. For people only: change nothing that matters."""

    def on_new_leadership_term(self, term: LeadershipTerm) -> None:
        """Learn that a leadership term has begun."""

    def on_terminate(self) -> None:
        """Learn that this member stops as asked; its log brings everything back.

        Nothing else is called after it. A member that cannot go on ends without it.
        """
