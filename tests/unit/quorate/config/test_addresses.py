"""Hosts and ports as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.config import SeatAddress, is_host, is_loopback, join_address, split_address
from quorate.consensus.types import Seat


@pytest.mark.parametrize(
    "host",
    ["localhost", "orders-0.orders-members.shop.svc.cluster.local.", "10.0.0.1", "::1", "a_b", "x"],
)
def test_names_absolute_names_and_addresses_are_hosts(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", "-a", "a-", "1.2.3.4.5", "300.1.1.1", "a b", "a:b", "é", "x" * 64]
)
def test_what_can_be_neither_name_nor_address_is_refused(host: str) -> None:
    assert not is_host(host)


def test_a_name_of_253_characters_may_carry_its_dot_and_a_longer_one_may_not() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(longest) == 253
    assert is_host(longest)
    assert is_host(longest + ".")
    assert not is_host(longest + "b.")


def test_loopback_is_known_without_resolving() -> None:
    assert all(map(is_loopback, ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1"]))
    assert not any(map(is_loopback, ["10.0.0.1", "localhost.example", "::2"]))


@given(st.sampled_from(["localhost", "127.0.0.1", "::1", "fe80::1", "a.b."]), st.integers(1, 65535))
def test_an_address_comes_apart_as_it_was_joined(host: str, port: int) -> None:
    assert split_address(join_address(host, port)) == (host, port)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:",
        ":9010",
        "host:0",
        "host:65536",
        "host:x",
        "::1:80",
        "h:²",
        "[h]:1",
        "[10.0.0.1]:9",
    ],
)
def test_what_is_not_host_and_port_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ValueError, match="is not host:port, such as"):
        split_address(address)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        host, port = split_address(text)
    except ValueError:
        return
    assert is_host(host)
    assert 1 <= port <= 65535


def test_a_seat_names_its_three_addresses() -> None:
    row = SeatAddress(Seat(1), "::1", 1, 2, 3)
    assert (row.client_address, row.name, row.control_address) == ("[::1]:1", "[::1]:2", "[::1]:3")
