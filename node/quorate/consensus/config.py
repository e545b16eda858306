"""Time-outs and limits of consensus, as integers with their unit in the name."""

from __future__ import annotations

from dataclasses import dataclass

from quorate.consensus.types import (
    ClusterId,
    LogFrame,
    LogMark,
    MemberId,
    NodeState,
    Seat,
    StartNonce,
    TermRecord,
)

MS = 1_000_000
ROOM_RESERVE_BYTES_MAX = 4 * 1024 * 1024
"""Some thousand terms."""


@dataclass(frozen=True, slots=True)
class ConsensusConfig:
    """What one member's consensus module may be told; times in nanoseconds of loop time."""

    election_timeout_min_ns: int = 500 * MS
    """Silence after which the leader is unheard: drawn anew between min and max. Shorter finds
    a frozen leader sooner; it must exceed the longest stall that is not a failure, and twice the
    longest sync: who asks for votes and who gives one sync one after the other."""
    election_timeout_max_ns: int = 800 * MS
    heartbeat_interval_ns: int = 50 * MS
    """A leader is never silent for longer; at most a fifth of the election timeout."""
    publish_delay_ns: int = 5 * MS
    """A commit position that no frame has carried to a follower by then travels alone."""
    canvass_jitter_ns: int = 15 * MS
    """Random wait before a canvass that a broken link to the leader has caused."""
    canvass_rank_ns: int = 5 * MS
    """Added per rank, so that the member with the best log usually stands alone."""
    retry_min_ns: int = 20 * MS
    """Random wait between min and max, doubled with each failed canvass or ballot."""
    retry_max_ns: int = 60 * MS
    service_lag_bytes: int = 1024 * 1024
    """A member whose service is further behind its log serves late: it stands after the others,
    and leadership is handed to it last."""
    granted_vote_wait_ns: int = 50 * MS
    """A voter does not stand itself for this long; doubled with each vote that led nowhere."""
    frame_bytes_max: int = 1024 * 1024
    segment_length: int = 64 * 1024 * 1024
    """Bytes of frames per segment file; no frame crosses its end."""
    append_bytes_max: int = 1024 * 1024
    """Frames in one AppendFrames; at least one frame is always sent."""
    read_bytes_max: int = 4 * 1024 * 1024
    """Frames read from the recording at once for a follower that catches up. A read costs some
    turns of a busy loop, whatever its length."""
    window_bytes: int = 8 * 1024 * 1024
    """Sent to a follower and not yet reported as held by it."""
    unsynced_bytes_max: int = 32 * 1024 * 1024
    """Sent to a follower and not yet durable there: what a slow disk keeps in its memory."""
    tail_bytes: int = 16 * 1024 * 1024
    """Recent frames kept in memory; older ones are read from the recording."""
    terms_reported_max: int = 64
    """Rows of the term table in a report that did not match."""
    unanimous_election: bool = False
    """Durability ``replicated``: voters that all lost their unsynced tail may elect together."""
    clock_alarm_ns: int = 10_000 * MS
    """Wall clocks of members further apart than this raise an alarm."""

    @property
    def room_reserve_bytes(self) -> int:
        """Room for log that a full disk leaves to what must always be possible: new terms.

        Clients' messages are refused while a quorum has less than this; a leader that has less
        than half of it appends nothing but what its office needs.
        """
        return min(ROOM_RESERVE_BYTES_MAX, self.segment_length // 4)

    def problems(self) -> list[str]:
        """Return every mistake in these values; empty when they can be used."""
        found = []
        if not 0 < self.election_timeout_min_ns <= self.election_timeout_max_ns:
            found.append("election timeout: min must be above 0 and at most max")
        if self.heartbeat_interval_ns * 5 > self.election_timeout_min_ns:
            found.append("heartbeat interval must be at most a fifth of the election timeout")
        if self.frame_bytes_max * 4 > self.segment_length:
            found.append("a frame must be at most a quarter of a segment")
        if self.segment_length % 64 or self.frame_bytes_max % 64:
            found.append("segment length and frame limit must be multiples of 64")
        if (
            self.append_bytes_max < self.frame_bytes_max
            or self.window_bytes < self.append_bytes_max
        ):
            found.append("need frame_bytes_max <= append_bytes_max <= window_bytes")
        if self.unsynced_bytes_max < self.window_bytes:
            found.append("unsynced_bytes_max must be at least window_bytes")
        return found


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this member is in this life."""

    cluster_id: ClusterId
    member_id: MemberId
    seat: Seat
    start_nonce: StartNonce
    epoch: int
    seats: tuple[tuple[Seat, str], ...]
    """The configured list: every seat with the name under which it is dialled, own included."""
    configuration_hash: bytes
    """16 bytes over what must be equal on all members when the cluster is founded."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What this member's disk held at start, all of it durable."""

    node_state: NodeState
    terms: tuple[TermRecord, ...]
    """The term table implied by the frames, oldest first; empty for an empty log."""
    end: LogMark
    last_timestamp: int
    """Log time of the last frame in nanoseconds; 0 for an empty log."""
    founding: LogFrame | None
