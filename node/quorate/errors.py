"""The exceptions of Quorate, one class per cause that a caller can act on.

::

    QuorateError
    ├── ConfigurationError      start-up refused; exit code 2
    ├── ClientError             what a client of the cluster can meet; one per wire code
    │   ├── NotConnected            no leader reached in time
    │   ├── SessionClosed           the session has ended (reason); nothing was pending
    │   ├── OutcomeUnknown          the session has ended while this message was unanswered
    │   ├── IngressBackPressure     no credit left; offer again after some answers
    │   ├── MessageTooLarge         refused here, before anything was sent
    │   ├── AuthenticationRejected  the member refused the credentials or the cluster id
    │   ├── ServiceError            the service's callback failed for this message
    │   └── AdminRejected           an admin action was refused (reason)
    ├── ProtocolError           bytes that are not the protocol
    │   ├── LocalProtocolError      we would have sent them: our bug
    │   └── RemoteProtocolError     they sent them: drop that connection
    ├── StorageError            files; FATAL, the process ends
    │   ├── CorruptRecord           bytes on disk that fail their checksum or make no sense
    │   ├── ForeignData             a data directory of another cluster, member or format
    │   ├── DirectoryInUse          another process holds the lock of the data directory
    │   ├── DiskFull                no space where space was promised
    │   └── SyncFailed              a write or sync failed; never retried on the same file
    ├── SnapshotError           a snapshot that cannot be written or read
    ├── ServiceFailed           a service callback failed and the policy is to halt
    └── InvariantBroken         our bug: what must hold does not; exit code 6

Messages name the object, the position or term, the limit and the remedy.
"""

from __future__ import annotations

from enum import Enum


class Severity(Enum):
    """What the catcher should do, after Aeron's categories."""

    WARN = "warn"
    """Handled here; the work goes on."""
    ERROR = "error"
    """This session or link ends."""
    FATAL = "fatal"
    """The process ends."""


class QuorateError(Exception):
    """Root of everything that Quorate raises on purpose."""

    severity = Severity.ERROR


class ConfigurationError(QuorateError):
    """The configuration cannot be used; ``problems`` lists every mistake found, not the first."""

    severity = Severity.FATAL

    def __init__(self, problems: list[str]) -> None:
        """Keep every problem and join them into one message."""
        super().__init__("; ".join(problems))
        self.problems = problems


class ClientError(QuorateError):
    """What a client of the cluster can meet."""


class NotConnected(ClientError):
    """No leader was reached within the time allowed."""


class SessionClosed(ClientError):
    """The session has ended; ``reason`` says why, such as "expired" or "service"."""

    def __init__(self, reason: str) -> None:
        """Keep why: mostly the name of a ``CloseReason`` in lower case."""
        super().__init__(f"the session has ended: {reason}; connect anew for another one")
        self.reason = reason


class OutcomeUnknown(ClientError):
    """The message was sent and its answer will never come: it may or may not be applied."""


class IngressBackPressure(ClientError):
    """The leader's credit is used up; offer again when answers have come in."""

    severity = Severity.WARN


class MessageTooLarge(ClientError):
    """The message exceeds the limit that the session was opened with."""


class AuthenticationRejected(ClientError):
    """The member refused to talk to this client."""


class ServiceError(ClientError):
    """The service's callback failed for this message; ``log_position`` tells where."""

    def __init__(self, message: str, code: int = 0, log_position: int = 0) -> None:
        """Keep the error code and the log position that the egress carried."""
        super().__init__(message)
        self.code = code
        self.log_position = log_position


class AdminRejected(ClientError):
    """An admin action was refused."""


class ProtocolError(QuorateError):
    """Bytes that are not the protocol."""


class LocalProtocolError(ProtocolError):
    """We would have sent bytes that are not the protocol: a bug on this side."""


class RemoteProtocolError(ProtocolError):
    """The other side sent bytes that are not the protocol; drop that connection."""


class StorageError(QuorateError):
    """A file operation failed in a way that cannot be reasoned about afterwards."""

    severity = Severity.FATAL


class CorruptRecord(StorageError):
    """Bytes on disk fail their checksum or make no sense."""


class ForeignData(StorageError):
    """The data directory belongs to another cluster, member or format version."""


class DirectoryInUse(StorageError):
    """Another process holds the lock of the data directory."""


class DiskFull(StorageError):
    """There is no space left where space was promised."""


class SyncFailed(StorageError):
    """A write or data sync failed; what the file holds is unknown until it is read anew."""


class SnapshotError(QuorateError):
    """A snapshot cannot be written or read."""

    severity = Severity.FATAL


class ServiceFailed(QuorateError):
    """A callback of the service failed and the cluster's policy is to halt."""

    severity = Severity.FATAL


class InvariantBroken(QuorateError):
    """What must hold does not: a bug in Quorate, or a disk or a peer that lied."""

    severity = Severity.FATAL
