"""A cluster under a checked load, and what must be true of it after an attack."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from quorate.config import ClusterSettings
from quorate.consensus.types import Seat
from quorate.control.status import MemberStatus
from quorate.dev.cluster import DevCluster
from quorate_attacks.journals import Journals
from quorate_processes.cluster import check_replay, make_cluster, settled
from quorate_processes.load import Load

SERVICE = "quorate_attacks.journals:Journals"
RATE_PER_S = 400
"""Enough to show a lost or doubled message, and little enough for a machine that is busy."""
RSS_GROWTH_MAX = 100 * 1024 * 1024
PATIENCE_S = 60.0
_REFUSED = re.compile(r'quorate_refused_total\{boundary="(.+?)",reason="(.+?)"\} (\S+)')
_PROCESS = re.compile(r"^(process_resident_memory_bytes|process_open_fds) (\S+)$", re.MULTILINE)

Refusals = dict[tuple[str, str], int]


class Victim:
    """The running cluster as an attacker sees it, and as the test judges it."""

    def __init__(self, cluster: DevCluster, load: Load, session: aiohttp.ClientSession) -> None:
        """Look at ``cluster``, on which ``load`` runs, over ``session``."""
        self.cluster = cluster
        self.load = load
        self._session = session
        self.leader = Seat(0)
        self._before: dict[Seat, MemberStatus] = {}
        self._process_before: dict[Seat, dict[str, float]] = {}

    async def remember(self) -> None:
        """Note what must not change."""
        self.leader = Seat((await self.cluster.wait_leader()).seat)
        for seat, status in (await self.cluster.statuses()).items():
            assert status is not None, f"seat {seat} does not answer"
            self._before[seat] = status
            self._process_before[seat] = await self._process(seat)

    @property
    def follower(self) -> Seat:
        """A seat that did not lead when the attack began."""
        return next(seat for seat in self.cluster.seats if seat != self.leader)

    def client_address(self, seat: Seat | None = None) -> str:
        """``host:port`` for clients, of the leader if no seat is named."""
        return self.cluster.client_addresses[self.leader if seat is None else seat]

    def member_address(self, seat: Seat | None = None) -> str:
        """``host:port`` for members, of the leader if no seat is named."""
        return self.cluster.directory.seats[self.leader if seat is None else seat].name

    def control_address(self, seat: Seat | None = None) -> str:
        """``host:port`` for operators, of the leader if no seat is named."""
        return self.cluster.control_addresses[self.leader if seat is None else seat]

    async def metrics(self, seat: Seat | None = None) -> str:
        """Return the text of ``/metrics``."""
        url = f"http://{self.control_address(seat)}/metrics"
        async with self._session.get(url) as response:
            assert response.status == 200, response.status
            return await response.text()

    async def refusals(self, seat: Seat | None = None) -> Refusals:
        """Return what a member has refused, by boundary and reason."""
        text = await self.metrics(seat)
        return {(row[1], row[2]): int(float(row[3])) for row in _REFUSED.finditer(text)}

    async def gauge(self, name: str, seat: Seat | None = None) -> float:
        """Return one metric without labels."""
        found = re.search(rf"^{name} (\S+)$", await self.metrics(seat), re.MULTILINE)
        assert found is not None, f"no metric {name}"
        return float(found[1])

    async def until_refused(
        self, boundary: str, reason: str, count: int = 1, seat: Seat | None = None
    ) -> None:
        """Wait until a member shows that many refusals of this kind."""

        async def shown() -> bool:
            return (await self.refusals(seat)).get((boundary, reason), 0) >= count

        await until(shown, f"{count} refusals of {boundary} for {reason}")

    async def _process(self, seat: Seat) -> dict[str, float]:
        text = await self.metrics(seat)
        return {row[1]: float(row[2]) for row in _PROCESS.finditer(text)}

    async def check_unharmed(self) -> None:
        """Every member is the process that it was, no bigger, and holds the load's messages."""
        await self.load.answered(200, PATIENCE_S)
        await self.load.finish(PATIENCE_S)
        statuses = await settled(self.cluster, PATIENCE_S)
        for seat, before in self._before.items():
            assert statuses[seat].start_nonce == before.start_nonce, f"seat {seat} was restarted"
            await self._check_process(seat)
        check_replay(self.cluster, statuses, Journals)

    async def _check_process(self, seat: Seat) -> None:
        before = self._process_before[seat]

        async def is_small() -> bool:
            now = await self._process(seat)
            # The attacker has let go of everything; what is left are the members' own files.
            return now["process_open_fds"] <= before["process_open_fds"] + 8

        await until(is_small, f"file descriptors of seat {seat} to return")
        now = await self._process(seat)
        growth = now["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]
        assert growth < RSS_GROWTH_MAX, f"seat {seat} grew by {growth / 1e6:.0f} MB"


@asynccontextmanager
async def attacked(
    directory: Path, *, settings: ClusterSettings | None = None
) -> AsyncIterator[Victim]:
    """Run a cluster under load; behind the block, check that it is unharmed."""
    async with (
        make_cluster(directory, settings=settings, service=SERVICE) as cluster,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
    ):
        await cluster.wait_leader()
        async with Load(cluster.client_addresses, RATE_PER_S) as load:
            await load.answered(100, PATIENCE_S)
            victim = Victim(cluster, load, session)
            await victim.remember()
            yield victim
            await victim.check_unharmed()


async def until(
    holds: Callable[[], Awaitable[bool]], what: str, timeout_s: float = PATIENCE_S
) -> None:
    """Ask a process until the answer is yes."""
    async with asyncio.timeout(timeout_s):
        while not await holds():  # noqa: ASYNC110 - asks a process
            await asyncio.sleep(0.05)
