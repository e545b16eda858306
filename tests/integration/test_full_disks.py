"""Disks of real members fill up under load, one and then all, and are freed again.

Every answer is checked: no message may be lost, doubled, moved or reported as failed.
"""

from __future__ import annotations

import asyncio
import re
import signal
import urllib.request
from contextlib import suppress
from pathlib import Path

from quorate.config import ArchiveConfig, ClusterConstants, ClusterSettings
from quorate.consensus.types import Seat
from quorate.control.client import ControlClient
from quorate.control.status import MemberStatus
from quorate.dev.cluster import DevCluster
from quorate.errors import AdminRejected, NotConnected
from quorate_processes.cluster import check_replay, make_options, settled
from quorate_processes.load import Load
from quorate_processes.small_disks import SmallDisk, small_disks

MIB = 1024 * 1024
CONSTANTS = ClusterConstants(segment_length=MIB, frame_bytes_max=MIB // 16)
SETTINGS = ClusterSettings(message_bytes_max=16 * 1024, digest_interval_bytes=64 * 1024)
DISK_BYTES = 24 * MIB
RATE_PER_S = 1_500
MESSAGE_BYTES = 1024
PATIENCE_S = 30.0
ROOM_BYTES_MAX = (1 + ArchiveConfig().spares) * CONSTANTS.segment_length
"""What the log of a member whose disk is full can still grow."""


async def metric(cluster: DevCluster, seat: int, name: str) -> float:
    """Return one line of a member's metrics."""
    url = f"http://{cluster.control_addresses[seat]}/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read().decode())
    rows = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return float(rows[name])


async def wait_storage(cluster: DevCluster, word: str, *seats: int) -> None:
    """Wait until these members say so of their storage."""
    wanted = seats or cluster.seats

    def said() -> bool:
        known = cluster.known_statuses()
        return all((s := known[Seat(seat)]) is not None and s.storage == word for seat in wanted)

    await cluster.wait_until(said, 30, f"storage {word} in seats {wanted}")


def alarms_that_stand(told: list[str]) -> set[tuple[str, str]]:
    """Return member and name of the alarms whose end was not told."""
    standing: set[tuple[str, str]] = set()
    for text in told:
        if begun := re.match(r"(member \d): ALARM (\w+): ", text):
            standing.add((begun[1], begun[2]))
        elif ended := re.match(r"(member \d): alarm (\w+) has ended", text):
            standing.discard((ended[1], ended[2]))
    return standing


async def wait_refusing(cluster: DevCluster) -> MemberStatus:
    """Wait until a leader refuses for want of room, and return its status."""

    def leader() -> MemberStatus | None:
        for status in cluster.known_statuses().values():
            if status is not None and status.role == "leader" and status.storage == "full":
                return status
        return None

    await cluster.wait_until(lambda: leader() is not None, 30, "a leader with a full log")
    status = leader()
    assert status is not None
    return status


async def fill_leader(cluster: DevCluster, disks: list[SmallDisk], load: Load) -> None:
    """Fill the leader's disk and see another member lead."""
    first = await cluster.wait_leader()
    await load.answered(1_000)
    disks[first.seat].fill()
    second = await cluster.wait_leader(above_term=first.leadership_term_id)
    assert second.seat != first.seat
    await load.answered(1_000)
    status = (await cluster.statuses())[Seat(first.seat)]
    assert status is not None
    assert (status.storage, [row.name for row in status.alarms]) == ("low", ["storage_low"])
    assert await metric(cluster, first.seat, "quorate_storage_low") == 1
    # No room for a segment, which is one MiB and its header.
    assert await metric(cluster, first.seat, "quorate_disk_free_bytes") <= MIB


async def fill_all(cluster: DevCluster, disks: list[SmallDisk]) -> MemberStatus:
    """Fill all disks and see clients refused; return the status of the leader."""
    for disk in disks:
        disk.fill()
    leader = await wait_refusing(cluster)
    assert {alarm.name for alarm in leader.alarms} == {"storage_low", "storage_full"}
    assert await metric(cluster, leader.seat, "quorate_storage_full") == 1
    reason = 'quorate_refused_total{boundary="client",reason="storage-full"}'
    async with asyncio.timeout(PATIENCE_S):
        # What its clients send next meets the full log: they may have to come to it first.
        while await metric(cluster, leader.seat, reason) == 0:  # noqa: ASYNC110 - asks a process
            await asyncio.sleep(0.05)
    return leader


async def heal_in_office(
    cluster: DevCluster, disks: list[SmallDisk], leader: MemberStatus, load: Load
) -> None:
    """Free the leader's disk and then the others': it goes on where it refused."""

    def has_space() -> bool:
        status = cluster.known_statuses()[Seat(leader.seat)]
        return status is not None and [row.name for row in status.alarms] == ["storage_full"]

    disks[leader.seat].free()
    await cluster.wait_until(has_space, 30, "a leader with space that waits for the others")
    for disk in disks:
        disk.free()
    await load.answered(1_000)
    now = await cluster.wait_leader()
    assert now.leadership_term_id == leader.leadership_term_id


async def stop_while_full(cluster: DevCluster, leader: MemberStatus) -> MemberStatus:
    """Tell the leader and a follower to stop: nothing has failed, so their exit codes are 0."""
    for seat in (leader.seat, next(seat for seat in cluster.seats if seat != leader.seat)):
        cluster.kill(Seat(seat), signal.SIGTERM)
        assert await cluster.wait_exit(Seat(seat)) == 0
        await cluster.restart(Seat(seat))
        await wait_storage(cluster, "low", seat)
    return await wait_refusing(cluster)


async def elect_while_full(cluster: DevCluster, leader: MemberStatus, load: Load) -> None:
    """Kill the leader: another one is elected and refuses too; the killed one comes back."""
    answered = len(load.answers)
    cluster.kill(Seat(leader.seat))
    assert await cluster.wait_exit(Seat(leader.seat)) == -signal.SIGKILL
    successor = await cluster.wait_leader(above_term=leader.leadership_term_id)
    assert successor.seat != leader.seat
    assert (await wait_refusing(cluster)).seat == successor.seat
    await cluster.restart(Seat(leader.seat))
    await wait_storage(cluster, "low", leader.seat)
    # What the killed leader had taken may have been committed by the next one.
    assert len(load.answers) <= answered + ROOM_BYTES_MAX // MESSAGE_BYTES
    assert (await wait_refusing(cluster)).leadership_term_id == successor.leadership_term_id


def test_a_member_that_waits_for_its_first_segment_stops_when_it_is_told(tmp_path: Path) -> None:
    """No space for the founding frame: nothing was done and nothing has failed, exit code 0."""
    options = make_options(tmp_path, members=1, settings=SETTINGS, constants=CONSTANTS)

    async def found(cluster: DevCluster) -> None:
        with suppress(AdminRejected, NotConnected):
            async with ControlClient(cluster.directory.token) as client:
                await client.found(cluster.control_addresses[0])

    async def run() -> None:
        async with (
            DevCluster(options, found=False, restart=False) as cluster,
            asyncio.timeout(60),
        ):
            await wait_storage(cluster, "low")
            async with asyncio.TaskGroup() as group:
                group.create_task(found(cluster), name="found")
                while await metric(cluster, 0, "quorate_spares_exhausted_total") == 0:  # noqa: ASYNC110 - asks a process
                    await asyncio.sleep(0.05)
                cluster.kill(Seat(0), signal.SIGTERM)
                assert await cluster.wait_exit(Seat(0)) == 0

    with small_disks(options, MIB // 2):
        asyncio.run(run())


def test_full_disks_lose_nothing_and_heal_by_themselves(tmp_path: Path) -> None:
    """One disk full: hand-over. All full: refusals, elections. Freed: all goes through."""
    options = make_options(tmp_path, settings=SETTINGS, constants=CONSTANTS)
    told: list[str] = []

    async def run() -> None:
        async with (
            DevCluster(options, lambda event: told.append(event.text), restart=False) as cluster,
            asyncio.timeout(100),
        ):
            await cluster.wait_leader()
            async with Load(cluster.client_addresses, RATE_PER_S, MESSAGE_BYTES) as load:
                await fill_leader(cluster, disks, load)
                leader = await fill_all(cluster, disks)
                await heal_in_office(cluster, disks, leader, load)
                leader = await stop_while_full(cluster, await fill_all(cluster, disks))
                await elect_while_full(cluster, leader, load)
                for disk in disks:
                    disk.free()
                await load.answered(3_000)
                await load.finish()
            await wait_storage(cluster, "space")
            statuses = await settled(cluster)
            assert not any(status.alarms for status in statuses.values())
            assert any("ALARM storage_full: too few members have room" in text for text in told)
            while alarms_that_stand(told):  # noqa: ASYNC110 - lines follow statuses in their time
                await asyncio.sleep(0.05)
            check_replay(cluster, statuses)

    with small_disks(options, DISK_BYTES) as disks:
        asyncio.run(run())
