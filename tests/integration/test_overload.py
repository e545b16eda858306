"""More than a cluster can hold: what is accepted is answered, and what waits is bounded.

How much is answered, how soon, and who waits for whom is measured by ``make bench``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.bench.senders import Sender, by_schedule, senders, settle
from quorate.config import GatewayConfig
from quorate.consensus.types import Seat
from quorate.dev.cluster import DevCluster
from quorate_overload.cluster import attacking, make_cluster
from quorate_overload.look import resident_bytes

CLIENTS = 2
SLICES = 6
SLICE_S = 0.5
OFFERED_PER_S = 50_000_000
"""At each tick more than there can be credit for."""
BURST = OFFERED_PER_S
"""No turn of the loop brings credit meanwhile, so it runs out however slow this process is."""
BACKLOG_BYTES_MAX = 2 * CLIENTS * GatewayConfig().credit_bytes
"""What the credit of all lets wait in the log, with room for headers."""
RESIDENT_GROWTH_MAX = 96 * 1024 * 1024
"""Ingress and egress of all credit, and the window to followers, several times."""


@pytest.mark.parametrize("work_us", [0, 100], ids=["echo", "slower than consensus"])
def test_a_load_beyond_what_is_possible_is_held_back_by_credit(
    tmp_path: Path, work_us: int
) -> None:
    """What finds credit is answered, once and in order; the rest costs nobody anything."""

    async def run() -> None:
        async with make_cluster(tmp_path, work_us=work_us) as cluster, asyncio.timeout(100):
            leader = await cluster.wait_leader()
            async with senders(cluster.client_addresses, CLIENTS) as clients:
                await by_schedule(clients, OFFERED_PER_S, SLICE_S, BURST)
                await settle(clients)
                before = await resident_bytes(cluster)
                for _ in range(SLICES):
                    await by_schedule(clients, OFFERED_PER_S, SLICE_S, BURST)
                    assert await backlog_bytes(cluster, leader.seat) < BACKLOG_BYTES_MAX
                await settle(clients)
                after = await resident_bytes(cluster)
                check_answered(clients)
                assert sum(one.refused for one in clients) > sum(one.sent for one in clients)
            assert (await cluster.wait_leader()).leadership_term_id == leader.leadership_term_id
        growth = [now - then for then, now in zip(before, after, strict=True)]
        assert max(growth) < RESIDENT_GROWTH_MAX, growth

    asyncio.run(run())


def test_one_that_floods_does_not_keep_fifty_others_out(tmp_path: Path) -> None:
    """While it has all under way that it may, each of the others gets its answers."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(100):
            leader = await cluster.wait_leader()
            address = cluster.client_addresses[leader.seat]
            async with senders(cluster.client_addresses, 50) as modest:
                async with attacking("glutton", address) as seen:
                    for _ in range(20):
                        for one in modest:
                            assert one.offer(1) == 1, "a client that asks little has credit"
                        await settle(modest)
                check_answered(modest)
            assert seen["answered"], "nothing was done to it either"
            assert (await cluster.wait_leader()).leadership_term_id == leader.leadership_term_id

    asyncio.run(run())


def check_answered(clients: list[Sender]) -> None:
    """Every message was answered, once and in order, on one connection."""
    for one in clients:
        assert one.wrong is None, one.wrong
        assert one.answered == one.sent > 0, "an answer is missing"
        assert one.client.counters.resumptions == 0


async def backlog_bytes(cluster: DevCluster, seat: int) -> int:
    """Return how far the service of a member is behind its log."""
    status = (await cluster.statuses())[Seat(seat)]
    assert status is not None, "the leader does not answer"
    return status.written_position - status.service_position
