"""Which ports the members of a directory get."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import pytest

from quorate.dev import layout
from quorate.dev.layout import DevOptions
from quorate_processes.directories import opened, problem_of


@pytest.mark.parametrize(("base", "members"), [(0, 3), (-5, 1), (65_514, 3), (70_000, 3)])
def test_ports_beyond_the_last_one_are_refused_in_one_line(
    tmp_path: Path, base: int, members: int
) -> None:
    problem = problem_of(DevOptions(tmp_path, members=members, base_port=base))
    assert problem.startswith(f"--base-port is {base}: ")
    assert f"to {base + 20 + members - 1}," in problem


@pytest.mark.parametrize(("base", "members"), [(1, 3), (65_513, 3), (65_515, 1)])
def test_the_first_and_last_ports_that_there_are_can_be_chosen(
    tmp_path: Path, base: int, members: int
) -> None:
    seats = opened(DevOptions(tmp_path, members=members, base_port=base)).seats
    assert (seats[0].client_port, seats[-1].control_port) == (base, base + 20 + members - 1)


def test_ports_chosen_anew_leave_the_number_of_members_as_it_was(tmp_path: Path) -> None:
    opened(DevOptions(tmp_path, members=5))
    seats = opened(DevOptions(tmp_path, base_port=9010)).seats
    assert [row.client_port for row in seats] == [9010, 9011, 9012, 9013, 9014]


def test_a_base_port_decides_all_ports(tmp_path: Path) -> None:
    seats = opened(DevOptions(tmp_path, base_port=9010)).seats
    assert [(row.client_port, row.member_port, row.control_port) for row in seats] == [
        (9010, 9020, 9030),
        (9011, 9021, 9031),
        (9012, 9022, 9032),
    ]


def test_chosen_ports_are_free_and_no_port_of_outgoing_connections(tmp_path: Path) -> None:
    seats = opened(DevOptions(tmp_path, members=9)).seats
    ports = [p for row in seats for p in (row.client_port, row.member_port, row.control_port)]
    low, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert len(set(ports)) == 27
    assert all(1024 < port < low for port in ports)
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


@pytest.mark.parametrize("busy", range(9))
def test_no_port_is_chosen_on_which_somebody_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    """A row with one port in use is passed over, wherever in it that is."""
    rows = iter([100, 200])
    monkeypatch.setattr(secrets, "randbelow", lambda _below: next(rows))
    monkeypatch.setattr(layout, "_is_free", lambda port: port != 20_100 + busy)
    seats = opened(DevOptions(tmp_path)).seats
    assert [row.client_port for row in seats] == [20_200, 20_203, 20_206]


def test_a_port_on_which_somebody_listens_is_not_free() -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        port = somebody.getsockname()[1]
        assert not layout._is_free(port)
    assert layout._is_free(port)


def test_where_every_port_is_in_use_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "_is_free", lambda _port: False)
    assert "name one with --base-port" in problem_of(DevOptions(tmp_path))
