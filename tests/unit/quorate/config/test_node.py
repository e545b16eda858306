"""What a member derives from its configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quorate.config import (
    ControlConfig,
    GatewayConfig,
    MemberConfig,
    NodeConfig,
    SeatAddress,
    TransportConfig,
)
from quorate.consensus.types import ClusterId, Seat


def configured(host: str) -> NodeConfig:
    seats = (SeatAddress(Seat(0), "other"), SeatAddress(Seat(1), host, 1, 2, 3))
    member = MemberConfig(ClusterId(bytes(15) + b"1"), Seat(1), seats, "/d", "m:C")
    return NodeConfig(member=member)


@pytest.mark.parametrize(
    ("host", "listen"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("orders-1.orders.", None)],
)
def test_a_loopback_seat_listens_on_loopback_only_and_another_everywhere(
    host: str, listen: str | None
) -> None:
    config = configured(host)
    assert config.own_seat.host == host
    assert config.client_listen == (listen, 1)
    assert config.member_listen == (listen, 2)
    assert config.control_listen == (listen, 3)


def test_each_listener_can_be_bound_elsewhere() -> None:
    config = replace(
        configured("a"),
        transport=TransportConfig(bind_host="10.0.0.2", port=22),
        gateway=GatewayConfig(bind_host="10.0.0.1", port=11),
        control=ControlConfig(bind_host="10.0.0.3", port=33),
    )
    assert config.client_listen == ("10.0.0.1", 11)
    assert config.member_listen == ("10.0.0.2", 22)
    assert config.control_listen == ("10.0.0.3", 33)
