"""Everything that one member is told from outside, in groups; each component gets its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from quorate.config.addresses import SeatAddress, is_loopback
from quorate.config.cluster import MIB, ClusterConstants, ClusterSettings, Durability
from quorate.consensus.types import ClusterId, Seat

_NO_CLUSTER = ClusterId(b"")
_NO_SEAT = Seat(-1)


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """Who this member is, and what it runs."""

    cluster_id: ClusterId = _NO_CLUSTER
    """Required, 32 hexadecimal digits: keeps members of different clusters apart."""
    seat: Seat = _NO_SEAT
    """Required: the row of ``seats`` that is this member."""
    seats: tuple[SeatAddress, ...] = ()
    """Required, one to nine rows, equal on all members (checked in the handshake)."""
    data_dir: str = ""
    """Required: the directory of the recording, formatted when empty; one process at a time."""
    service: str = ""
    """Required, ``module:Class``: the ClusteredService to run."""
    service_config: str = ""
    """Handed to the service's constructor if it takes an argument, an empty one only if that has no
    default; Quorate does not read it."""
    input_hash: str = ""
    """Repeated in ``/status``, so that a supervisor knows what this process was started with."""
    handover_timeout_ms: int = 5_000
    """How long SIGTERM tries to hand leadership over before the process ends all the same."""
    redirect_timeout_ms: int = 2_000
    """How long SIGTERM then waits for clients to follow the redirect."""
    callback_alarm_ms: int = 10_000
    """A callback of the service that takes longer raises an alarm; while it does not return, the
    log says where it is."""


@dataclass(frozen=True, slots=True)
class ConsensusSettings:
    """When elections begin and what counts as durable."""

    election_timeout_min_ms: int = 500
    """Shortest silence of the leader before an election: ten heartbeats, so that a busy
    machine does not cause one; a killed process is noticed sooner, by its links."""
    election_timeout_max_ms: int = 800
    """Longest; the random spread keeps two members from standing at once."""
    heartbeat_ms: int = 50
    """The leader's pulse when it has nothing to send."""
    durability: Durability = Durability.FSYNC
    """``fsync``, or ``replicated``, which loses data in a power cut of a majority."""


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """The files of the recording."""

    spares: int = 2
    """Segments written full of zeros ahead of need, so that a burst never waits for one."""
    lock_timeout_ms: int = 5_000
    """How long to wait for the process before us to let go of the data directory."""


@dataclass(frozen=True, slots=True)
class TransportConfig:
    """Links between members."""

    bind_host: str = ""
    """Address to listen on. Empty: loopback if this seat's host is that, else all."""
    port: int = 0
    """Port to listen on. 0: that of this seat; differs from it behind an address translation."""
    secret_file: str = ""
    """File whose bytes prove membership, read at each handshake. Empty: no proof is asked."""
    send_buffer_bytes_max: int = 16 * MIB
    """Bytes waiting for one member; beyond it the link is closed and catches up anew."""
    connect_timeout_ms: int = 1_000
    """One attempt to connect, name look-up included."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Connections of clients."""

    bind_host: str = ""
    """Address to listen on. Empty: loopback if this seat's host is that, else all."""
    port: int = 0
    """Port to listen on. 0: that of this seat."""
    connections_max: int = 10_000
    """Open connections; one more takes the place of the oldest that has not asked for a session,
    or is closed at once. One in sixteen is kept for sessions that resume."""
    connections_per_address_max: int = 0
    """The same from one address; 0 for no limit, as many clients may come through one proxy."""
    open_timeout_ms: int = 5_000
    """A connection that has not opened its session by then is closed and counted."""
    credit_bytes: int = 4 * MIB
    """Unanswered ingress that one connection may have under way."""
    send_buffer_bytes_max: int = 16 * MIB
    """Egress waiting for one connection; a client that does not read is closed there."""


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """Status, metrics, probes and admin actions over HTTP."""

    bind_host: str = ""
    """Address to listen on. Empty: loopback if this seat's host is that, else all."""
    port: int = 0
    """Port to listen on. 0: that of this seat."""
    token_file: str = ""
    """File with the bearer token of admin actions, one word of at least 16 ASCII characters, read
    each time. Empty: this machine only."""
    ready_lag_bytes_max: int = 16 * MIB
    """Ready means to have applied the log up to this distance from its commit position."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything one member is told from outside; each component receives its group only."""

    member: MemberConfig = field(default_factory=MemberConfig)
    consensus: ConsensusSettings = field(default_factory=ConsensusSettings)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)
    transport: TransportConfig = field(default_factory=TransportConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    constants: ClusterConstants = field(default_factory=ClusterConstants)

    @property
    def own_seat(self) -> SeatAddress:
        """This member's row of the list of seats; the configuration must be valid."""
        return next(row for row in self.member.seats if row.seat == self.member.seat)

    @property
    def member_listen(self) -> tuple[str | None, int]:
        """Host (None: all interfaces) and port to listen on for the other members."""
        return self._listen(self.transport.bind_host, self.transport.port, "member_port")

    @property
    def client_listen(self) -> tuple[str | None, int]:
        """Host (None: all interfaces) and port to listen on for clients."""
        return self._listen(self.gateway.bind_host, self.gateway.port, "client_port")

    @property
    def control_listen(self) -> tuple[str | None, int]:
        """Host (None: all interfaces) and port to listen on for operators."""
        return self._listen(self.control.bind_host, self.control.port, "control_port")

    def _listen(self, bind_host: str, port: int, of_seat: str) -> tuple[str | None, int]:
        own = self.own_seat
        host = bind_host or (own.host if is_loopback(own.host) else None)
        advertised: int = getattr(own, of_seat)
        return host, port or advertised
