"""Followers that stand still under full load: nobody waits for them, and they catch up.

What that costs in throughput, and how soon they are level, is measured by ``make bench``.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from quorate.consensus.types import Seat
from quorate.control.status import MemberStatus
from quorate.dev.cluster import DevCluster
from quorate_processes.cluster import make_cluster, settled
from quorate_processes.flood import FLOOD_SERVICE, Flood

MIB = 1024 * 1024
FROZEN_MESSAGES = 200_000
MISSED_MESSAGES = 1_000_000
MEMORY_GROWTH = 64 * MIB
"""Window, tail, a read of the recording and buffers: twice what they take together."""
PATIENCE_S = 90.0


def resident_bytes(cluster: DevCluster, seat: int) -> int:
    """Return the resident memory of a member."""
    pid = cluster.pid(Seat(seat))
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


async def begin(cluster: DevCluster, flood: Flood) -> tuple[MemberStatus, Seat, int]:
    """Let the load run for a while; return the leader, a follower and the leader's memory."""
    leader = await cluster.wait_leader()
    follower = next(seat for seat in cluster.seats if seat != leader.seat)
    await flood.take(30_000)
    return leader, follower, resident_bytes(cluster, leader.seat)


async def catch_up(cluster: DevCluster, flood: Flood, leader: int, follower: Seat) -> None:
    """Wait until the follower has all that the leader has now, while the load runs."""
    written, _ = await positions(cluster, leader, follower)
    async with asyncio.timeout(PATIENCE_S):
        while (await positions(cluster, leader, follower))[1] < written:
            await flood.take(1)


async def positions(cluster: DevCluster, leader: int, follower: Seat) -> tuple[int, int]:
    """Return up to where the leader has written, and the follower's log is durable."""
    status = (await cluster.statuses())[Seat(leader)]
    if status is None:
        return 0, -1
    row = next(row for row in status.members if row.seat == follower)
    return status.written_position, row.append_position


async def end(cluster: DevCluster, flood: Flood, leader: MemberStatus) -> None:
    """Every message was answered once, in order; all members have the same; no election."""
    await flood.finish()
    statuses = await settled(cluster, 60)
    assert {s.leadership_term_id for s in statuses.values()} == {leader.leadership_term_id}
    assert len({status.digests[-1] for status in statuses.values()}) == 1


def test_a_frozen_follower_holds_up_nobody_and_catches_up_under_load(tmp_path: Path) -> None:
    """SIGSTOP: the leader goes on, with bounded memory, and feeds it afterwards."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, service=FLOOD_SERVICE)
        async with cluster, asyncio.timeout(110), Flood(cluster.client_addresses) as flood:
            leader, follower, memory = await begin(cluster, flood)
            cluster.kill(follower, signal.SIGSTOP)
            await flood.take(FROZEN_MESSAGES, PATIENCE_S)
            cluster.kill(follower, signal.SIGCONT)
            await catch_up(cluster, flood, leader.seat, follower)
            assert resident_bytes(cluster, leader.seat) < memory + MEMORY_GROWTH
            await end(cluster, flood, leader)

    asyncio.run(run())


def test_a_follower_catches_up_a_million_messages_later_under_load(tmp_path: Path) -> None:
    """SIGKILL, a million messages, restart: it is fed from the recording beside the load."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, service=FLOOD_SERVICE)
        async with cluster, asyncio.timeout(115), Flood(cluster.client_addresses) as flood:
            leader, follower, memory = await begin(cluster, flood)
            cluster.kill(follower)
            assert await cluster.wait_exit(follower) == -signal.SIGKILL
            await flood.take(MISSED_MESSAGES, PATIENCE_S)
            await cluster.restart(follower)
            await catch_up(cluster, flood, leader.seat, follower)
            assert resident_bytes(cluster, leader.seat) < memory + MEMORY_GROWTH
            await end(cluster, flood, leader)

    asyncio.run(run())
