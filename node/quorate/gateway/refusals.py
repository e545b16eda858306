"""Why the gateway refused something, by a stable name, and how often."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Label of the counter of refusals. The names are part of the metrics."""

    MALFORMED = "malformed"
    """Bytes that are not the protocol, or a message where it does not belong."""
    VERSION = "version"
    """No common protocol version."""
    CLUSTER_ID = "cluster-id"
    """An open for another cluster."""
    TOO_LARGE = "too-large"
    """A message beyond its limit."""
    WRONG_SESSION = "wrong-session"
    """A message for a session that is not the connection's."""
    CONNECTIONS = "connections"
    """One connection more than the limit: the oldest without an open made room, or none did."""
    ADDRESS = "address"
    """One connection more than the limit from one address."""
    SESSIONS = "sessions"
    """An open of a new session while there are as many as there may be."""
    OPEN_TIMEOUT = "open-timeout"
    """No open in time."""
    REDIRECTED = "redirected"
    """Did not follow its redirect in time."""
    SILENT = "silent"
    """A connection without a session that said nothing for the session timeout."""
    NOT_READ = "not-read"
    """A client that does not read what is sent to it."""
    NOT_ATTACHED = "not-attached"
    """Ingress of a session that has to resume first; ignored, the client sends it again."""
    GAP = "gap"
    """Ingress behind a message that is missing; the client is told where to go back to."""
    NOT_LIVE = "not-live"
    """An open that names a session that is not live."""
    INCOMPLETE = "incomplete"
    """Of all messages that are not whole yet, the largest, while these together are too much."""
    FLOOD = "flood"
    """Too many messages that are no ingress; the connection is not read from for a second."""
    STORAGE_FULL = "storage-full"
    """Ingress or an open while the log has no room; it goes on when there is some."""
    OVERRUN = "overrun"
    """Ingress beyond the credit; the connection is not read from until it is used up."""


class RefusalCounts:
    """Counts per reason, every reason present from the start so that a metric never misses."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.by_reason: dict[str, int] = {str(reason): 0 for reason in Refusal}

    def count(self, reason: Refusal) -> None:
        """Count one refusal."""
        self.by_reason[reason] += 1
