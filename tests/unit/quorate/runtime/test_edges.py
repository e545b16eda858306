"""What links tell, and how much of it is written down."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import cast

import pytest

from quorate.config import MemberConfig, NodeConfig, SeatAddress
from quorate.consensus.messages import Founded
from quorate.consensus.types import ClusterId, Seat
from quorate.protocol.handshake import LinkRefusal
from quorate.runtime import edges
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.edges import ClientEdge, LinkEdge
from quorate.transport.interfaces import LinkInfo
from quorate_runtime.bench import life


def test_a_stranger_who_knocks_all_day_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        edge = LinkEdge(cast("ConsensusAgent", None))
        for _ in range(100):
            edge.on_refused(None, LinkRefusal.MALFORMED, by_peer=False)
            edge.on_refused(Seat(1), LinkRefusal.MALFORMED, by_peer=False)
        monkeypatch.setattr(edges, "REPEATED_AFTER_S", 0.0)
        edge.on_refused(None, LinkRefusal.MALFORMED, by_peer=False)

    asyncio.run(story())
    assert len(caplog.records) == 3


def test_a_refusal_that_goes_on_is_written_every_ten_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        edge, loop = LinkEdge(cast("ConsensusAgent", None)), asyncio.get_running_loop()
        for second in range(100):
            monkeypatch.setattr(loop, "time", lambda second=second: float(second))
            edge.on_refused(None, LinkRefusal.SECRET, by_peer=False)

    asyncio.run(story())
    assert len(caplog.records) == 10


@pytest.mark.parametrize("reason", list(LinkRefusal))
def test_what_happens_at_every_start_and_end_is_no_warning(
    caplog: pytest.LogCaptureFixture, reason: LinkRefusal
) -> None:
    async def story() -> None:
        LinkEdge(cast("ConsensusAgent", None)).on_refused(Seat(1), reason, by_peer=True)

    caplog.set_level(logging.INFO, "quorate.transport")
    asyncio.run(story())
    (record,) = caplog.records
    usual = (LinkRefusal.DUPLICATE, LinkRefusal.REPLACED, LinkRefusal.CLOSING)
    assert (record.levelno == logging.INFO) == (reason in usual)
    assert (record.levelno == logging.WARNING) == (reason not in usual)


def test_what_links_tell_reaches_the_agent_in_order() -> None:
    told: list[tuple[object, ...]] = []
    names = ("on_link_up", "on_message", "on_link_down", "on_reconnect_refused")
    noting = {name: lambda *what, name=name: told.append((name, *what)) for name in names}
    edge = LinkEdge(cast("ConsensusAgent", SimpleNamespace(**noting)))
    peer, message = life(1), Founded(5)
    edge.on_link_up(peer, cast("LinkInfo", SimpleNamespace(dialled_here=True)))
    edge.on_message(peer, message)
    edge.on_link_down(peer)
    edge.on_reconnect_refused(Seat(1))
    expected = ((peer,), (peer, message), (peer,), (Seat(1),))
    assert told == [(name, *what) for name, what in zip(names, expected, strict=True)]


@pytest.mark.parametrize("dialled_here", [True, False])
def test_links_that_come_and_go_are_logged_with_whose_they_are(
    caplog: pytest.LogCaptureFixture, *, dialled_here: bool
) -> None:
    caplog.set_level("INFO", "quorate")
    ignore = {name: lambda *_: None for name in ("on_link_up", "on_link_down")}
    edge = LinkEdge(cast("ConsensusAgent", SimpleNamespace(**ignore)))
    edge.on_link_up(life(2), cast("LinkInfo", SimpleNamespace(dialled_here=dialled_here)))
    edge.on_link_down(life(2))
    assert [(vars(record)["event"], vars(record)["fields"]) for record in caplog.records] == [
        ("link_up", {"seat": 2, "dialled_here": dialled_here}),
        ("link_down", {"seat": 2}),
    ]


@pytest.mark.parametrize("seat", [None, Seat(2)])
@pytest.mark.parametrize("by_peer", [True, False])
def test_a_refusal_is_logged_with_who_refused_whom_and_why(
    caplog: pytest.LogCaptureFixture, seat: Seat | None, *, by_peer: bool
) -> None:
    async def story() -> None:
        edge = LinkEdge(cast("ConsensusAgent", None))
        edge.on_refused(seat, LinkRefusal.SECRET, by_peer=by_peer)
        edge.on_refused(seat, LinkRefusal.SECRET, by_peer=not by_peer)

    asyncio.run(story())
    assert [(vars(record)["event"], vars(record)["fields"]) for record in caplog.records] == [
        ("link_refused", {"seat": seat, "reason": "secret", "by_peer": refused_there})
        for refused_there in (by_peer, not by_peer)
    ]


def test_clients_are_told_addresses_by_seat_and_a_leader_only_if_one_is_known() -> None:
    rows = tuple(SeatAddress(Seat(seat), f"host-{seat}") for seat in (2, 0, 1))
    config = NodeConfig(member=MemberConfig(seats=rows))
    agent = SimpleNamespace(module=SimpleNamespace(leader=None))
    edge = ClientEdge(cast("ConsensusAgent", agent), config, ClusterId(b"c" * 16))
    assert edge.cluster_id == b"c" * 16
    assert edge.member_client_addresses == ("host-0:9010", "host-1:9010", "host-2:9010")
    told = []
    for leader in (None, Seat(0), Seat(2), Seat(9)):
        agent.module.leader = leader
        told.append(edge.leader_client_address)
    assert told == [None, "host-0:9010", "host-2:9010", None]


def test_what_clients_send_goes_to_the_agent_in_order() -> None:
    entries: list[bytes] = []
    agent = SimpleNamespace(append_entry=entries.append)
    edge = ClientEdge(cast("ConsensusAgent", agent), NodeConfig(), ClusterId(b"c" * 16))
    for entry in (b"one", b"two"):
        edge.append_entry(entry)
    assert entries == [b"one", b"two"]
