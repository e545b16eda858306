"""Data directories that were wiped, damaged, swapped or used twice."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quorate.archive.files import SystemFiles
from quorate.archive.node_state import NodeStateFile
from quorate.config import Durability
from quorate.consensus.types import Seat
from quorate.control.status import MemberState, MemberStatus
from quorate.dev.cluster import DevCluster
from quorate.errors import QuorateError
from quorate_processes.cluster import check_replay, make_cluster, settled
from quorate_processes.load import Load

DAMAGE_AT = 8192 + 4096 + 2000
"""Inside the frames of the first segment, behind its pages."""


async def _stop_member(cluster: DevCluster, seat: Seat, number: signal.Signals) -> None:
    cluster.kill(seat, number)
    await cluster.wait_exit(seat)


def _flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


def _machine_restarted(data: Path) -> None:
    """Make the directory look as after a crash of its machine: another boot id."""
    files = SystemFiles(str(data))
    file = files.open("node-state")
    state = NodeStateFile(file)
    state.store(state.stored._replace(boot_id=b"another boot id!", clean=False))
    state.finish()
    state.close()


async def _settled_and_cured(cluster: DevCluster) -> dict[int, MemberStatus]:
    """Wait until nobody is recovering; every member has applied a term that told of the loss."""

    def cured() -> bool:
        known = cluster.known_statuses().values()
        return all(status is not None and not status.recovering for status in known)

    await cluster.wait_until(cured, 30, "cluster without recovering members")
    statuses = await settled(cluster)
    for seat in cluster.seats:
        assert "possible_loss=True" in cluster.directory.log_path(seat).read_text(), seat
    return statuses


def test_wiped_follower_stays_out_as_volume_lost(tmp_path: Path) -> None:
    """An emptied directory never votes in its old seat; the others go on."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            victim = next(seat for seat in cluster.seats if seat != leader.seat)
            async with Load(cluster.client_addresses) as load:
                await load.answered(500)
                await _stop_member(cluster, victim, signal.SIGKILL)
                shutil.rmtree(cluster.directory.data_path(victim))
                await cluster.restart(victim)

                def is_reported() -> bool:
                    status = cluster.known_statuses()[victim]
                    return status is not None and status.state is MemberState.VOLUME_LOST

                await cluster.wait_until(is_reported, 20, "volume-lost")
                await load.answered(500)
                await load.finish()
            status = (await cluster.statuses())[victim]
            assert status is not None
            assert (status.append_position, status.voters) == (0, ())

    asyncio.run(run())


def test_a_founded_cluster_starts_without_a_member_that_cannot_and_not_without_two(
    tmp_path: Path,
) -> None:
    """Such as one that does not know any more what it voted for; two would be no quorum."""

    async def run() -> None:
        async with asyncio.timeout(90):
            async with make_cluster(tmp_path) as cluster:
                await cluster.wait_leader()
            first, second, _ = cluster.seats
            (cluster.directory.data_path(first) / "node-state").write_bytes(bytes(8192))
            async with make_cluster(tmp_path) as cluster:
                leader = await cluster.wait_leader()
                assert leader.seat != first
                async with Load(cluster.client_addresses) as load:
                    await load.answered(100)
                    await load.finish()
            (cluster.directory.data_path(second) / "node-state").write_bytes(bytes(8192))
            with pytest.raises(QuorateError, match=r"member [01] ended \(exit code 5"):
                async with make_cluster(tmp_path):
                    pytest.fail("it has started")

    asyncio.run(run())


def test_damaged_follower_is_cured_by_the_leader(tmp_path: Path) -> None:
    """A bad frame below the watermark: recovering, cut, caught up, and counted again."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            victim = next(seat for seat in cluster.seats if seat != leader.seat)
            async with Load(cluster.client_addresses) as load:
                await load.answered(2_000)
                await _stop_member(cluster, victim, signal.SIGTERM)
                segment = next(cluster.directory.data_path(victim).glob("log-*.seg"))
                _flip(segment, DAMAGE_AT)
                await cluster.restart(victim)

                def is_cured() -> bool:
                    status = cluster.known_statuses()[victim]
                    return status is not None and status.caught_up and not status.recovering

                await cluster.wait_until(is_cured, 30, "cured member")
                await load.answered(500)
                await load.finish()
            log = cluster.directory.log_path(victim).read_text()
            assert "recovering_ended" in log, log
            check_replay(cluster, await settled(cluster))

    asyncio.run(run())


def test_follower_after_power_cut_in_replicated_mode_is_cured(tmp_path: Path) -> None:
    """Durability ``replicated`` and another boot id without the clean mark: no vote until cured."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, durability=Durability.REPLICATED)
        async with cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            victim = next(seat for seat in cluster.seats if seat != leader.seat)
            async with Load(cluster.client_addresses) as load:
                await load.answered(1_000)
                await _stop_member(cluster, victim, signal.SIGKILL)
                _machine_restarted(cluster.directory.data_path(victim))
                await cluster.restart(victim)

                def is_cured() -> bool:
                    status = cluster.known_statuses()[victim]
                    return status is not None and status.caught_up and not status.recovering

                await cluster.wait_until(is_cured, 30, "cured member")
                await load.finish()
            assert "recovering_ended" in cluster.directory.log_path(victim).read_text()
            check_replay(cluster, await settled(cluster))

    asyncio.run(run())


def test_power_cut_of_all_in_replicated_mode_comes_back_and_says_so(tmp_path: Path) -> None:
    """All members lost their unsynced tails: the greatest log wins with every vote."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, durability=Durability.REPLICATED)
        async with cluster, asyncio.timeout(90):
            leader = await cluster.wait_leader()
            async with Load(cluster.client_addresses) as load:
                await load.answered(1_000)
                await load.finish()
            for seat in cluster.seats:
                await _stop_member(cluster, seat, signal.SIGKILL)
                _machine_restarted(cluster.directory.data_path(seat))
            for seat in cluster.seats:
                await cluster.restart(seat)
            await cluster.wait_leader(above_term=leader.leadership_term_id, timeout_s=30)
            statuses = await _settled_and_cured(cluster)
            check_replay(cluster, statuses)

    asyncio.run(run())


def test_power_cut_of_a_cluster_of_one_in_replicated_mode(tmp_path: Path) -> None:
    """Alone, every voter is present: it comes back by itself and says what may be lost."""

    async def run() -> None:
        cluster = make_cluster(tmp_path, members=1, durability=Durability.REPLICATED)
        async with cluster, asyncio.timeout(60):
            await cluster.wait_leader()
            await _stop_member(cluster, Seat(0), signal.SIGKILL)
            _machine_restarted(cluster.directory.data_path(Seat(0)))
            await cluster.restart(Seat(0))
            leader = await cluster.wait_leader(above_term=1)
            assert leader.possible_loss or (await settled(cluster))[0].possible_loss

    asyncio.run(run())


def test_two_damaged_members_wait_until_a_human_accepts_the_loss(tmp_path: Path) -> None:
    """In ``fsync`` no sound majority means waiting, and saying for whom; never a silent cut."""

    async def run() -> None:
        async with make_cluster(tmp_path) as cluster, asyncio.timeout(110):
            leader = await cluster.wait_leader()
            async with Load(cluster.client_addresses) as load:
                await load.answered(2_000)
                await load.finish()
            damaged = [seat for seat in cluster.seats if seat != leader.seat]
            for seat in cluster.seats:
                await _stop_member(cluster, seat, signal.SIGTERM)
            for seat in damaged:
                _flip(next(cluster.directory.data_path(seat).glob("log-*.seg")), DAMAGE_AT)
            for seat in cluster.seats:
                await cluster.restart(seat)

            def waits() -> bool:
                known = cluster.known_statuses()
                return all(
                    (status := known[seat]) is not None and "accept-loss" in status.reason
                    for seat in damaged
                )

            await cluster.wait_until(waits, 30, "members that say what they wait for")
            assert all(
                s is not None and s.leader is None for s in (await cluster.statuses()).values()
            )

            await _stop_member(cluster, damaged[0], signal.SIGTERM)
            command = [sys.executable, "-m", "quorate", "recover", "--accept-loss", "--yes"]
            data = cluster.directory.data_path(damaged[0])
            await asyncio.to_thread(subprocess.run, [*command, str(data)], check=True, timeout=30)
            await cluster.restart(damaged[0])
            await cluster.wait_leader(above_term=leader.leadership_term_id, timeout_s=30)
            statuses = await _settled_and_cured(cluster)
            check_replay(cluster, statuses)

    asyncio.run(run())
