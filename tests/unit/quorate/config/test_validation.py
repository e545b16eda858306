"""Every mistake is found, and all of them are told at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quorate.config import (
    MIB,
    MemberConfig,
    NodeConfig,
    SeatAddress,
    from_mapping,
    to_mapping,
    validate,
)
from quorate.consensus.types import ClusterId, Seat
from quorate.errors import ConfigurationError

SEATS = tuple(SeatAddress(Seat(n), "127.0.0.1", 1 + n, 11 + n, 21 + n) for n in range(3))
VALID = NodeConfig(member=MemberConfig(ClusterId(b"c" * 16), Seat(0), SEATS, "/d", "m:C"))


def with_value(group: str, name: str, value: object) -> NodeConfig:
    changed = replace(getattr(VALID, group), **{name: value})
    return replace(VALID, **{group: changed})


def problems_of(config: NodeConfig) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        validate(config)
    return raised.value.problems


def test_the_defaults_and_the_required_values_are_valid() -> None:
    validate(VALID)


def test_what_is_required_is_named_and_reported_together() -> None:
    found = problems_of(NodeConfig())
    assert len(found) == 4
    assert [problem.split()[0] for problem in found] == [
        "member.data_dir",
        "member.service",
        "member.cluster_id",
        "member.seats",
    ]


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("member", "cluster_id", ClusterId(bytes(16))),
        ("member", "cluster_id", ClusterId(b"c" * 15)),
        ("member", "seat", 3),
        ("member", "service", "module"),
        ("member", "service", "module:"),
        ("member", "service", "a b:C"),
        ("member", "handover_timeout_ms", -1),
        ("member", "redirect_timeout_ms", -1),
        ("member", "callback_alarm_ms", -1),
        ("consensus", "heartbeat_ms", 0),
        ("consensus", "heartbeat_ms", 101),
        ("consensus", "election_timeout_min_ms", 800),
        ("consensus", "election_timeout_max_ms", 600_001),
        ("archive", "spares", 0),
        ("archive", "lock_timeout_ms", -1),
        ("transport", "bind_host", "a b"),
        ("transport", "port", 65536),
        ("transport", "send_buffer_bytes_max", 2 * MIB - 1),
        ("transport", "connect_timeout_ms", 0),
        ("gateway", "bind_host", "a b"),
        ("gateway", "port", -1),
        ("gateway", "connections_max", 0),
        ("gateway", "open_timeout_ms", 0),
        ("gateway", "credit_bytes", 256 * 1024),
        ("gateway", "send_buffer_bytes_max", 2 * MIB - 1),
        ("control", "bind_host", "a b"),
        ("control", "port", -1),
        ("control", "ready_lag_bytes_max", -1),
        ("settings", "sessions_max", 0),
        ("settings", "message_bytes_max", 0),
        ("settings", "message_bytes_max", MIB - 107),
        ("settings", "session_timeout_ns", 999_999_999),
        ("settings", "kept_egress_bytes_max", 256 * 1024 + 143),
        ("settings", "kept_egress_total_bytes_max", 16 * MIB - 1),
        ("settings", "self_messages_max", -1),
        ("settings", "timers_max", -1),
        ("settings", "digest_interval_bytes", 63),
        ("constants", "segment_length", 64 * MIB + 1),
        ("constants", "segment_length", 1 << 41),
        ("constants", "frame_alignment", 128),
        ("constants", "frame_bytes_max", MIB + 64),
        ("constants", "frame_bytes_max", MIB - 1),
    ],
)
def test_a_value_out_of_bounds_is_the_one_problem_and_named(
    group: str, name: str, value: object
) -> None:
    found = problems_of(with_value(group, name, value))
    assert any(name in problem for problem in found)
    assert all(problem.startswith(f"{group}.") for problem in found) or group == "constants"


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("member", "handover_timeout_ms", 0),
        ("member", "redirect_timeout_ms", 0),
        ("member", "callback_alarm_ms", 3_600_000),
        ("consensus", "heartbeat_ms", 1),
        ("consensus", "heartbeat_ms", 100),
        ("consensus", "election_timeout_min_ms", 799),
        ("consensus", "election_timeout_max_ms", 600_000),
        ("archive", "spares", 1),
        ("archive", "spares", 64),
        ("archive", "lock_timeout_ms", 0),
        ("transport", "bind_host", "::"),
        ("transport", "port", 0),
        ("transport", "port", 65_535),
        ("transport", "send_buffer_bytes_max", 2 * MIB),
        ("transport", "connect_timeout_ms", 1),
        ("gateway", "connections_max", 1),
        ("gateway", "connections_per_address_max", 0),
        ("gateway", "open_timeout_ms", 1),
        ("gateway", "credit_bytes", 256 * 1024 + 108),
        ("gateway", "send_buffer_bytes_max", 2 * MIB),
        ("control", "ready_lag_bytes_max", 0),
        ("settings", "sessions_max", 1),
        ("settings", "message_bytes_max", 1),
        ("settings", "message_bytes_max", MIB - 108),
        ("settings", "session_timeout_ns", 1_000_000_000),
        ("settings", "kept_egress_bytes_max", 256 * 1024 + 144),
        ("settings", "kept_egress_bytes_max", 128 * MIB),
        ("settings", "kept_egress_total_bytes_max", 16 * MIB),
        ("settings", "self_messages_max", 0),
        ("settings", "timers_max", 0),
        ("settings", "digest_interval_bytes", 64),
        ("constants", "segment_length", 4 * MIB),
        ("constants", "segment_length", 1 << 40),
    ],
)
def test_a_value_at_its_bound_is_fine(group: str, name: str, value: object) -> None:
    config = with_value(group, name, value)
    if name == "message_bytes_max":
        # What must hold a message is as large as the largest.
        config = replace(config, gateway=replace(config.gateway, credit_bytes=4 * MIB))
    validate(config)


@pytest.mark.parametrize(
    ("host", "same"),
    [
        ("node-a.example", "Node-A.example"),
        ("node-a.example", "node-a.example."),
        ("localhost", "LOCALHOST."),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("fe80::a", "FE80::A"),
    ],
)
def test_two_seats_at_one_address_are_found_however_it_is_written(host: str, same: str) -> None:
    rows = (replace(SEATS[0], host=host), replace(SEATS[0], seat=Seat(1), host=same))
    found = problems_of(with_value("member", "seats", rows))
    assert len(found) == 3
    assert f"member.seats[1].client_port is 1 on {same!r}, as is member.seats[0]" in found[0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), "member.seats has 0 rows"),
        (SEATS * 4, "member.seats has 12 rows"),
        ((SEATS[0], replace(SEATS[1], seat=Seat(0))), "member.seats[1].seat is 0, which another"),
        ((SEATS[0], replace(SEATS[1], seat=Seat(256))), "member.seats[1].seat is 256, not 0 to"),
        ((SEATS[0], replace(SEATS[1], host="a b")), "member.seats[1].host is 'a b'"),
        ((SEATS[0], replace(SEATS[1], client_port=0)), "member.seats[1].client_port is 0"),
        (
            (SEATS[0], replace(SEATS[1], member_port=21)),
            "member.seats[1].member_port is 21 on '127.0.0.1', as is member.seats[0].control_port",
        ),
    ],
)
def test_a_bad_list_of_seats_is_told_by_row(rows: tuple[SeatAddress, ...], expected: str) -> None:
    found = problems_of(with_value("member", "seats", rows))
    assert [problem for problem in found if problem.startswith(expected)]


def test_equal_ports_on_different_hosts_are_fine() -> None:
    seats = tuple(SeatAddress(Seat(n), f"orders-{n}.orders.") for n in range(9))
    validate(with_value("member", "seats", seats))


def test_a_frame_longer_than_a_quarter_of_a_segment_is_refused() -> None:
    (found,) = problems_of(with_value("constants", "segment_length", 4 * MIB - 64))
    assert found.startswith("constants.frame_bytes_max is 1048576, not a multiple of 64 from 512")


def test_a_frame_that_cannot_hold_the_membership_is_refused() -> None:
    seats = tuple(SeatAddress(Seat(n), f"{n}." + "x" * 60) for n in range(9))
    mapping = to_mapping(with_value("member", "seats", seats))
    mapping["constants"] |= {"segment_length": 4096, "frame_bytes_max": 1024}
    mapping["settings"] |= {"message_bytes_max": 512}
    with pytest.raises(ConfigurationError, match="too small for this list of seats"):
        from_mapping(mapping)
