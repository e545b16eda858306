"""Clients that want too much: each meets a limit that is counted, and the others do not notice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from quorate.config import ClusterSettings
from quorate.dev.cluster import DevCluster
from quorate_overload.cluster import attacking, make_cluster
from quorate_overload.look import refused, resident_bytes
from quorate_overload.traffic import Sender, answered_per_s, senders, wait_ms

SLICE_S = 0.6
SLACK_MS = 150
"""Of a machine on which the attacker alone may keep a processor from the cluster."""
RESIDENT_GROWTH_MAX = 200 * 1024 * 1024
"""Much less than what attackers send, and more than all limits together let them hold."""
SETTINGS = ClusterSettings(sessions_max=500)
ATTACKS: dict[str, str | None] = {
    "pings": "flood",
    "crumbs": None,
    "deaf": None,
    "promises": "incomplete",
    "churn": None,
    "openers": "sessions",
    "crowd": "connections",
}
"""Each with the reason for which it is refused, in this order; None: it takes what is its own."""


def test_clients_that_want_too_much_leave_the_others_theirs(tmp_path: Path) -> None:
    """Floods, crumbs, promises, crowds: every answer comes, nearly as soon as before."""

    async def run() -> None:
        async with make_cluster(tmp_path, settings=SETTINGS) as cluster, asyncio.timeout(110):
            leader = await cluster.wait_leader()
            before = await resident_bytes(cluster)
            async with senders(cluster.client_addresses, 10) as clients:
                alone = max([await wait(clients) for _ in range(3)])
                for name, reason in ATTACKS.items():
                    counts = await refused(cluster)
                    address = cluster.client_addresses[leader.seat]
                    async with attacking(name, address, 1.2 * SLICE_S):
                        beside = await wait(clients)
                    assert beside < 3 * alone + SLACK_MS, (name, beside, alone)
                    check_refused(name, reason, await refused(cluster) - counts)
                assert all(one.client.counters.resumptions == 0 for one in clients)
            await check_members(cluster, before, leader.leadership_term_id)

    asyncio.run(run())


async def wait(clients: list[Sender]) -> float:
    """Send a little, get every answer, and return the wait that most of them are within."""
    await answered_per_s(clients, lambda one: one.at_rate(20, SLICE_S))
    for one in clients:
        await one.settle()
        assert one.answered == one.sent, "an answer is missing"
    return wait_ms(clients, 95)


def check_refused(name: str, reason: str | None, counts: Counter[str]) -> None:
    """Compare the reasons counted with the one that is documented."""
    if reason is not None:
        assert counts[reason] > 0, (name, counts)
    assert counts["malformed"] == 0, (name, counts)


async def check_members(cluster: DevCluster, before: list[float], term: int) -> None:
    """The same leader leads the same term, and nobody has kept what he had to hold."""
    status = await cluster.wait_leader()
    assert status.leadership_term_id == term, "an election was caused"
    after = await resident_bytes(cluster)
    growth = [now - then for then, now in zip(before, after, strict=True)]
    assert max(growth) < RESIDENT_GROWTH_MAX, growth
