"""Every check of a configuration; all problems are reported together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from quorate.config.addresses import PORT_MAX, SeatAddress, is_host, plain_host
from quorate.config.cluster import MIB, ClusterConstants, ClusterSettings
from quorate.config.node import ConsensusSettings, MemberConfig, NodeConfig
from quorate.consensus.types import CLUSTER_ID_LENGTH, SEATS_MAX
from quorate.errors import ConfigurationError

_LOG_HEADERS_LENGTH = 64 + 40 + 4
"""Log frame header, entry header and the length of a message in its batch."""
_KEPT_HEADERS_LENGTH = 16 + 128
"""Egress message header, and what each kept batch counts for besides its bytes."""
_FRAME_ALIGNMENT = 64
_SEGMENT_LENGTH_MIN = 4096
_FRAME_BYTES_LEAST = 512
_SERVICE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def validate(config: NodeConfig) -> None:
    """Check every value and every combination.

    Raises:
        ConfigurationError: With one line for each problem, all of them.

    """
    problems = list(find_problems(config))
    if problems:
        raise ConfigurationError(problems)


def find_problems(config: NodeConfig) -> Iterator[str]:
    """Yield one line for each problem; each begins with ``group.field is`` or the like."""
    yield from _member_problems(config.member)
    yield from _consensus_problems(config.consensus)
    yield from _per_node_problems(config)
    yield from _settings_problems(config.settings, config.constants)
    yield from _constants_problems(config.constants, config.member.seats)


def _member_problems(member: MemberConfig) -> Iterator[str]:
    required = {"data_dir": member.data_dir, "service": member.service}
    yield from (f"member.{name} is required" for name, value in required.items() if not value)
    if not member.cluster_id:
        yield "member.cluster_id is required: 32 hexadecimal digits, equal on all members"
    elif len(member.cluster_id) != CLUSTER_ID_LENGTH or not any(member.cluster_id):
        yield f"member.cluster_id is not {CLUSTER_ID_LENGTH * 2} hexadecimal digits, not all zero"
    if member.service and not _SERVICE.fullmatch(member.service):
        yield f"member.service is {member.service!r}, not module:Class"
    for name in ("handover_timeout_ms", "redirect_timeout_ms", "callback_alarm_ms"):
        yield from _range(f"member.{name}", getattr(member, name), 0, 3_600_000)
    if not 1 <= len(member.seats) <= SEATS_MAX:
        yield f"member.seats has {len(member.seats)} rows, not 1 to {SEATS_MAX}"
        return
    if member.seat not in {row.seat for row in member.seats}:
        yield f"member.seat is {member.seat}, which is not a row of member.seats"
    yield from _seats_problems(member.seats)


def _seats_problems(seats: tuple[SeatAddress, ...]) -> Iterator[str]:
    seen_seats: set[int] = set()
    seen_ports: dict[tuple[str, int], str] = {}
    for index, row in enumerate(seats):
        where = f"member.seats[{index}]"
        yield from _range(f"{where}.seat", row.seat, 0, 255)
        if row.seat in seen_seats:
            yield f"{where}.seat is {row.seat}, which another row has already"
        seen_seats.add(row.seat)
        if not is_host(row.host):
            yield f"{where}.host is {row.host!r}, neither a DNS name nor an IP address"
        host = plain_host(row.host)
        for name in ("client_port", "member_port", "control_port"):
            port: int = getattr(row, name)
            yield from _range(f"{where}.{name}", port, 1, PORT_MAX)
            taken_by = seen_ports.setdefault((host, port), f"{where}.{name}")
            if taken_by != f"{where}.{name}":
                yield f"{where}.{name} is {port} on {row.host!r}, as is {taken_by}"


def _consensus_problems(consensus: ConsensusSettings) -> Iterator[str]:
    yield from _range("consensus.heartbeat_ms", consensus.heartbeat_ms, 1, 60_000)
    low, high = consensus.election_timeout_min_ms, consensus.election_timeout_max_ms
    yield from _range("consensus.election_timeout_min_ms", low, 1, 600_000)
    yield from _range("consensus.election_timeout_max_ms", high, 1, 600_000)
    if low >= high:
        yield (
            f"consensus.election_timeout_min_ms is {low}, not below election_timeout_max_ms "
            f"({high}): without a spread members stand at the same moment"
        )
    if low < 5 * consensus.heartbeat_ms:
        yield (
            f"consensus.election_timeout_min_ms is {low}, less than five times heartbeat_ms "
            f"({consensus.heartbeat_ms}): a few late heartbeats would cause an election"
        )


def _per_node_problems(config: NodeConfig) -> Iterator[str]:
    yield from _range("archive.spares", config.archive.spares, 1, 64)
    yield from _range("archive.lock_timeout_ms", config.archive.lock_timeout_ms, 0, 3_600_000)
    for name, group in (
        ("transport", config.transport),
        ("gateway", config.gateway),
        ("control", config.control),
    ):
        yield from _range(f"{name}.port", group.port, 0, PORT_MAX)
        if group.bind_host and not is_host(group.bind_host):
            yield f"{name}.bind_host is {group.bind_host!r}, neither a DNS name nor an IP address"
    transport, gateway = config.transport, config.gateway
    yield from _range("transport.connect_timeout_ms", transport.connect_timeout_ms, 1, 60_000)
    yield from _range("gateway.connections_max", gateway.connections_max, 1, 1_000_000)
    yield from _range(
        "gateway.connections_per_address_max", gateway.connections_per_address_max, 0, 1_000_000
    )
    yield from _range("gateway.open_timeout_ms", gateway.open_timeout_ms, 1, 600_000)
    lag = config.control.ready_lag_bytes_max
    yield from _range("control.ready_lag_bytes_max", lag, 0, 1 << 60)
    # A buffer that cannot hold two frames would close the link that it serves, for ever.
    least = 2 * config.constants.frame_bytes_max
    for name, value in (
        ("transport.send_buffer_bytes_max", transport.send_buffer_bytes_max),
        ("gateway.send_buffer_bytes_max", gateway.send_buffer_bytes_max),
    ):
        yield from _range(name, value, least, 1 << 40)
    least = config.settings.message_bytes_max + _LOG_HEADERS_LENGTH
    yield from _range("gateway.credit_bytes", gateway.credit_bytes, least, 1 << 32)


def _settings_problems(settings: ClusterSettings, constants: ClusterConstants) -> Iterator[str]:
    yield from _range("settings.sessions_max", settings.sessions_max, 1, 1_000_000)
    yield from _range("settings.self_messages_max", settings.self_messages_max, 0, 1_000_000)
    yield from _range("settings.timers_max", settings.timers_max, 0, 100_000_000)
    yield from _range(
        "settings.session_timeout_ns", settings.session_timeout_ns, 1_000_000_000, 1 << 62
    )
    yield from _range("settings.digest_interval_bytes", settings.digest_interval_bytes, 64, 1 << 40)
    message = settings.message_bytes_max
    largest = constants.frame_bytes_max - _LOG_HEADERS_LENGTH
    if not 1 <= message <= largest:
        yield (
            f"settings.message_bytes_max is {message}, not 1 to {largest}: a message and its "
            "headers must fit into constants.frame_bytes_max"
        )
    session, total = settings.kept_egress_bytes_max, settings.kept_egress_total_bytes_max
    least = message + _KEPT_HEADERS_LENGTH
    if session < least:
        yield (
            f"settings.kept_egress_bytes_max is {session}, below {least}: one answer of "
            f"message_bytes_max ({message}) and its headers must fit, or it ends its session"
        )
    if total < session:
        yield (
            f"settings.kept_egress_total_bytes_max is {total}, below kept_egress_bytes_max "
            f"({session})"
        )


def _constants_problems(
    constants: ClusterConstants, seats: tuple[SeatAddress, ...]
) -> Iterator[str]:
    segment, frame = constants.segment_length, constants.frame_bytes_max
    if segment % _FRAME_ALIGNMENT or not _SEGMENT_LENGTH_MIN <= segment <= 1 << 40:
        yield f"constants.segment_length is {segment}, not a multiple of 64 from 4096 to 2^40"
    if constants.frame_alignment != _FRAME_ALIGNMENT:
        yield f"constants.frame_alignment is {constants.frame_alignment}, not 64"
    if not _FRAME_BYTES_LEAST <= frame <= min(MIB, segment // 4) or frame % _FRAME_ALIGNMENT:
        yield (
            f"constants.frame_bytes_max is {frame}, not a multiple of 64 from 512 to "
            f"{min(MIB, segment // 4)}, a quarter of a segment and at most 1 MiB"
        )
    # Every term begins with a frame that holds the settings and a row for each seat.
    membership = 256 + sum(64 + len(row.name) for row in seats)
    if frame < membership:
        yield f"constants.frame_bytes_max is {frame}, too small for this list of seats"


def _range(name: str, value: int, low: int, high: int) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{name} is {value}, not {low} to {high}"
