"""Followers that stand still under full load: nobody waits for them, and they catch up.

Rates depend on who else uses the machine, and a follower that catches up takes its share of it:
they are compared within one run, with generous bounds. `make bench` measures.
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
FROZEN_S = 3.0
BEHIND_BYTES = 4 * MIB
"""Less than this behind a leader at full speed is caught up: some frames are on their way."""
MEMORY_GROWTH = 64 * MIB
"""Window, tail, a read of the recording and buffers: twice what they take together."""


def resident_bytes(cluster: DevCluster, seat: int) -> int:
    """Return the resident memory of a member."""
    pid = cluster.pid(Seat(seat))
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


async def begin(cluster: DevCluster, flood: Flood) -> tuple[MemberStatus, Seat, float]:
    """Let the load run for a while; return the leader, a follower and the rate."""
    leader = await cluster.wait_leader()
    follower = next(seat for seat in cluster.seats if seat != leader.seat)
    await flood.take(30_000)
    return leader, follower, await flood.run_for(1.5)


async def catch_up(cluster: DevCluster, flood: Flood, leader: int, follower: Seat) -> float:
    """Wait until the follower is level with the leader, while the load runs; return the rate."""
    loop = asyncio.get_running_loop()
    began, before = loop.time(), flood.answered
    async with asyncio.timeout(60):
        while await lag(cluster, leader, follower) > BEHIND_BYTES:
            await flood.take(1)
    return (flood.answered - before) / (loop.time() - began)


async def lag(cluster: DevCluster, leader: int, follower: Seat) -> float:
    """Return by how many bytes the follower's durable log is behind the leader's."""
    status = (await cluster.statuses())[Seat(leader)]
    if status is None:
        return float("inf")
    row = next(row for row in status.members if row.seat == follower)
    return status.written_position - row.append_position


async def end(cluster: DevCluster, flood: Flood, leader: MemberStatus) -> None:
    """Every message was answered once, in order; all members have the same; no election."""
    await flood.finish()
    statuses = await settled(cluster, 60)
    assert {s.leadership_term_id for s in statuses.values()} == {leader.leadership_term_id}
    assert len({status.digests[-1] for status in statuses.values()}) == 1


def test_a_frozen_follower_holds_up_nobody_and_catches_up_under_load(tmp_path: Path) -> None:
    """SIGSTOP for seconds: the leader goes on, with bounded memory, and feeds it afterwards."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, service=FLOOD_SERVICE)
        async with cluster, asyncio.timeout(110), Flood(cluster.client_addresses) as flood:
            leader, follower, rate = await begin(cluster, flood)
            memory = resident_bytes(cluster, leader.seat)
            cluster.kill(follower, signal.SIGSTOP)
            without = await flood.run_for(FROZEN_S)
            cluster.kill(follower, signal.SIGCONT)
            catching_up = await catch_up(cluster, flood, leader.seat, follower)
            print(f"{rate:.0f}/s, frozen {without:.0f}/s, catching up {catching_up:.0f}/s")
            assert without > rate / 2
            assert catching_up > rate / 4
            assert resident_bytes(cluster, leader.seat) < memory + MEMORY_GROWTH
            await end(cluster, flood, leader)

    asyncio.run(run())


def test_a_follower_catches_up_a_million_messages_later_under_load(tmp_path: Path) -> None:
    """SIGKILL, a million messages, restart: the catch-up outruns the stream at full speed."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, service=FLOOD_SERVICE)
        async with cluster, asyncio.timeout(115), Flood(cluster.client_addresses) as flood:
            leader, follower, rate = await begin(cluster, flood)
            cluster.kill(follower)
            assert await cluster.wait_exit(follower) == -signal.SIGKILL
            memory = resident_bytes(cluster, leader.seat)
            without = await flood.take(1_000_000)
            await cluster.restart(follower)
            catching_up = await catch_up(cluster, flood, leader.seat, follower)
            print(f"{rate:.0f}/s, alone {without:.0f}/s, catching up {catching_up:.0f}/s")
            assert without > rate / 2
            assert catching_up > rate / 4
            assert resident_bytes(cluster, leader.seat) < memory + MEMORY_GROWTH
            await end(cluster, flood, leader)

    asyncio.run(run())
