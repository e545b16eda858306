"""Clients that want too much: each meets a limit that is counted, and the others lose nothing.

How long the others wait beside them is measured by ``make bench``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from quorate.bench.senders import Sender, senders, settle
from quorate.config import ClusterSettings
from quorate.dev.cluster import DevCluster
from quorate_overload.cluster import attacking, make_cluster
from quorate_overload.look import refused, resident_bytes, until_refused

ROUNDS = 20
RESIDENT_GROWTH_MAX = 200 * 1024 * 1024
"""Much less than what attackers send, and more than all limits together let them hold."""
SETTINGS = ClusterSettings(sessions_max=500, kept_egress_bytes_max=1024 * 1024)
"""So small that both are reached soon."""
ATTACKS: dict[str, str | None] = {
    "pings": "flood",
    "crumbs": None,
    "trickle": None,
    "deaf": "kept_egress",
    "ungrateful": "kept_egress",
    "promises": "incomplete",
    "churn": None,
    "openers": "sessions",
    "crowd": "connections",
}
"""Each with the reason for which it is refused, in this order; None: it takes what is its own."""


def test_clients_that_want_too_much_leave_the_others_theirs(tmp_path: Path) -> None:
    """Floods, crumbs, promises, crowds: every answer comes, once and in order."""

    async def run() -> None:
        async with make_cluster(tmp_path, settings=SETTINGS) as cluster, asyncio.timeout(110):
            leader = await cluster.wait_leader()
            before = await resident_bytes(cluster)
            async with senders(cluster.client_addresses, 10) as clients:
                for name, reason in ATTACKS.items():
                    counts = await refused(cluster)
                    async with attacking(name, cluster.client_addresses[leader.seat]):
                        await ask(clients)
                        if reason is not None:
                            await until_refused(cluster, reason, counts)
                        await ask(clients)
                    check_refused(name, await refused(cluster) - counts)
                assert all(one.client.counters.resumptions == 0 for one in clients)
            await check_members(cluster, before, leader.leadership_term_id)

    asyncio.run(run())


async def ask(clients: list[Sender]) -> None:
    """Send a little, and get every answer."""
    for _ in range(ROUNDS):
        for one in clients:
            assert one.offer(2) == 2, "a client that asks little has credit"
        await settle(clients)
    for one in clients:
        assert one.wrong is None, one.wrong
        assert one.answered == one.sent, "an answer is missing"


def check_refused(name: str, counts: Counter[str]) -> None:
    """Nothing that attackers do is taken for garbage: it is the limits that they meet."""
    assert counts["malformed"] == 0, (name, counts)


async def check_members(cluster: DevCluster, before: list[float], term: int) -> None:
    """The same leader leads the same term, and nobody has kept what he had to hold."""
    status = await cluster.wait_leader()
    assert status.leadership_term_id == term, "an election was caused"
    after = await resident_bytes(cluster)
    growth = [now - then for then, now in zip(before, after, strict=True)]
    assert max(growth) < RESIDENT_GROWTH_MAX, growth
