"""Member processes are killed, frozen and restarted under load; nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from quorate.config import Durability
from quorate.consensus.types import Seat
from quorate.control.status import MemberState
from quorate.dev.cluster import DevCluster
from quorate_processes.cluster import check_replay, make_cluster, settled
from quorate_processes.load import Load


def test_killed_leader_is_replaced_and_rejoins(tmp_path: Path) -> None:
    """SIGKILL of the leader: a follower takes over; the dead one restarts and catches up."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            async with Load(cluster.client_addresses) as load:
                await load.answered(2_000)
                cluster.kill(Seat(leader.seat))
                assert await cluster.wait_exit(Seat(leader.seat)) == -signal.SIGKILL
                successor = await cluster.wait_leader(above_term=leader.leadership_term_id)
                assert successor.seat != leader.seat
                await load.answered(2_000)
                await cluster.restart(Seat(leader.seat))
                await load.answered(2_000)
                await load.finish()
            statuses = await settled(cluster)
            check_replay(cluster, statuses)

    asyncio.run(run())


def test_frozen_leader_is_replaced_and_steps_down_when_it_wakes(tmp_path: Path) -> None:
    """SIGSTOP of the leader: only the time-out can tell; woken, it follows."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            async with Load(cluster.client_addresses) as load:
                await load.answered(1_000)
                cluster.kill(Seat(leader.seat), signal.SIGSTOP)
                successor = await cluster.wait_leader(above_term=leader.leadership_term_id)
                assert successor.seat != leader.seat
                await load.answered(1_000)
                cluster.kill(Seat(leader.seat), signal.SIGCONT)
                await load.answered(1_000)
                await load.finish()
            statuses = await settled(cluster)
            assert statuses[leader.seat].state is MemberState.FOLLOWER
            check_replay(cluster, statuses)

    asyncio.run(run())


def test_frozen_follower_does_not_disturb(tmp_path: Path) -> None:
    """SIGSTOP and SIGCONT of a follower: no election, and it catches up."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            follower = next(seat for seat in cluster.seats if seat != leader.seat)
            async with Load(cluster.client_addresses) as load:
                await load.answered(500)
                cluster.kill(follower, signal.SIGSTOP)
                await load.answered(4_000)
                cluster.kill(follower, signal.SIGCONT)
                await load.answered(2_000)
                await load.finish()
            statuses = await settled(cluster)
            assert {s.leadership_term_id for s in statuses.values()} == {leader.leadership_term_id}
            check_replay(cluster, statuses)

    asyncio.run(run())


def test_all_members_killed_at_once_come_back_with_everything(tmp_path: Path) -> None:
    """SIGKILL of all three under load: restarted on their directories they go on."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(120):
            await cluster.wait_leader()
            async with Load(cluster.client_addresses) as load:
                await load.answered(2_000)
                for seat in cluster.seats:
                    cluster.kill(seat)
                for seat in cluster.seats:
                    await cluster.wait_exit(seat)
                for seat in cluster.seats:
                    await cluster.restart(seat)
                await load.answered(2_000, timeout_s=60)
                await load.finish()
            check_replay(cluster, await settled(cluster))

    asyncio.run(run())


def has_handed_over(cluster: DevCluster, seat: Seat) -> bool:
    """Tell whether a member says that it has given leadership to another."""
    lines = cluster.directory.log_path(seat).read_text(encoding="utf-8").splitlines()
    return any("transfer_ended" in line and "completed=True" in line for line in lines)


def test_leader_told_to_stop_hands_over_first(tmp_path: Path) -> None:
    """SIGTERM of the leader: exit code 0, a new leader, and the clients follow."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            async with Load(cluster.client_addresses) as load:
                await load.answered(1_000)
                cluster.kill(Seat(leader.seat), signal.SIGTERM)
                assert await cluster.wait_exit(Seat(leader.seat)) == 0
                await load.answered(1_000)
                assert has_handed_over(cluster, Seat(leader.seat))
                await cluster.restart(Seat(leader.seat))
                await load.finish()
            check_replay(cluster, await settled(cluster))

    asyncio.run(run())


def test_kills_in_a_row_with_written_only_durability(tmp_path: Path) -> None:
    """Durability ``replicated``: process deaths (not power cuts) lose nothing either."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, durability=Durability.REPLICATED, restart=True)
        async with cluster, asyncio.timeout(120):
            term = 0
            async with Load(cluster.client_addresses) as load:
                for _ in range(4):
                    leader = await cluster.wait_leader(above_term=term)
                    term = leader.leadership_term_id
                    await load.answered(1_000)
                    cluster.kill(Seat(leader.seat))
                await load.answered(1_000)
                await load.finish()
            check_replay(cluster, await settled(cluster))

    asyncio.run(run())


def test_leadership_goes_where_it_is_sent(tmp_path: Path) -> None:
    """An admin transfer to a named seat, under load, in both directions."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            async with Load(cluster.client_addresses) as load:
                for step in range(4):
                    target = Seat((leader.seat + 1 + step) % 3)
                    if target == leader.seat:
                        continue
                    await load.answered(300)
                    await cluster.transfer(target)
                    leader = await cluster.wait_leader(above_term=leader.leadership_term_id)
                    assert leader.seat == target
                await load.finish()
            check_replay(cluster, await settled(cluster))

    asyncio.run(run())
