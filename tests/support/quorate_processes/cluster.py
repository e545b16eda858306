"""Clusters of member processes for tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from quorate.config import ClusterConstants, ClusterSettings, Durability
from quorate.control.status import MemberStatus
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevOptions
from quorate.service.api import ClusteredService
from quorate_processes.journal import Journal
from quorate_processes.replay import replay

SUPPORT = Path(__file__).parent.parent
SERVICE = "quorate_processes.journal:Journal"


def make_cluster(
    directory: Path,
    *,
    members: int = 3,
    durability: Durability = Durability.FSYNC,
    restart: bool = False,
    settings: ClusterSettings | None = None,
    service: str = SERVICE,
) -> DevCluster:
    """Return a cluster that runs a journal; digests are compared often."""
    options = make_options(
        directory, members=members, durability=durability, settings=settings, service=service
    )
    return DevCluster(options, restart=restart)


def make_options(
    directory: Path,
    *,
    members: int = 3,
    durability: Durability = Durability.FSYNC,
    settings: ClusterSettings | None = None,
    constants: ClusterConstants | None = None,
    service: str = SERVICE,
) -> DevOptions:
    """Return what such a cluster is made of."""
    os.environ["PYTHONPATH"] = str(SUPPORT)
    return DevOptions(
        directory=directory,
        service=service,
        members=members,
        durability=durability,
        settings=settings or ClusterSettings(digest_interval_bytes=64 * 1024),
        constants=constants,
    )


async def settled(cluster: DevCluster, timeout_s: float = 20.0) -> dict[int, MemberStatus]:
    """Return the statuses once all members have applied everything of one log.

    Raises:
        NotConnected: They have not within the time.

    """

    def same() -> bool:
        known = [status for status in cluster.known_statuses().values() if status is not None]
        return len(known) == len(cluster.seats) and all(s.leader is not None for s in known)

    await cluster.wait_until(same, timeout_s, "leader known to all")
    statuses: dict[int, MemberStatus] = {}
    for _ in range(int(timeout_s * 10)):
        found = await cluster.statuses()
        statuses = {seat: status for seat, status in found.items() if status is not None}
        positions = {
            (s.written_position, s.append_position, s.service_position) for s in statuses.values()
        }
        if len(statuses) == len(cluster.seats) and len({p for row in positions for p in row}) == 1:
            return statuses
    raise AssertionError(f"members have not settled: {statuses}")


def check_replay(
    cluster: DevCluster,
    statuses: dict[int, MemberStatus],
    service: Callable[[], ClusteredService] = Journal,
) -> None:
    """Compare each member's digest with that of its recording, applied from the files."""
    shown = set()
    for seat, status in statuses.items():
        digest = status.digests[-1]
        data = cluster.directory.data_path(next(s for s in cluster.seats if s == seat))
        found = replay(data, status.service_position, service())
        assert found == (digest.position, digest.digest), seat
        shown.add((digest.position, digest.digest))
    assert len(shown) == 1, f"members differ: {shown}"
