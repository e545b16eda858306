"""A cluster of member processes for one part of the benchmark, and its load generator."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp

from quorate.bench.load import Job
from quorate.config import ArchiveConfig, Durability
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevOptions
from quorate.errors import QuorateError

SERVICE = "quorate.examples.echo:Echo"
MEMBERS = 3
SETTLE_TIMEOUT_S = 60.0
POLL_S = 0.1
_SPARES = re.compile(r"^quorate_spare_segments (\d+)", re.MULTILINE)


class LoadFailed(QuorateError):
    """The load generator did not do its job."""


@dataclass(frozen=True, slots=True)
class LoadProcess:
    """A running load generator; its result comes when the job is done."""

    process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, job: Job) -> LoadProcess:
        """Start the process."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "quorate.bench.load",
            job.encode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def result(self) -> dict[str, object]:
        """End its standard input and wait for what it measured.

        Raises:
            LoadFailed: It ended with an error, which it has printed.

        """
        output, _ = await self.process.communicate(b"")
        if self.process.returncode:
            raise LoadFailed(f"the load generator ended with {self.process.returncode}")
        return cast("dict[str, object]", json.loads(output))

    def kill(self) -> None:
        """End it now, if it runs."""
        if self.process.returncode is None:
            self.process.kill()


class Rig:
    """A running cluster, as the parts use it."""

    def __init__(self, cluster: DevCluster) -> None:
        """Use ``rig``."""
        self.cluster = cluster

    def job(self, kind: str, seconds: float, *, warm_up_s: float = 1.0, rate: float = 0.0) -> Job:
        """Return a job against this cluster."""
        return Job(kind, self.cluster.client_addresses, seconds, warm_up_s, rate)

    async def load(self, job: Job) -> dict[str, object]:
        """Run one load generator to its end and return what it measured."""
        load = await LoadProcess.start(job)
        try:
            return await load.result()
        finally:
            load.kill()


@asynccontextmanager
async def rig(path: Path, durability: Durability) -> AsyncIterator[Rig]:
    """Run a cluster in a new directory; its files go with it, unless it fails.

    Raises:
        QuorateError: It did not start.

    """
    options = DevOptions(path, service=SERVICE, members=MEMBERS, durability=durability)
    async with DevCluster(options, restart=False) as cluster:
        await cluster.wait_leader()
        await _settle(cluster)
        yield Rig(cluster)
    shutil.rmtree(path)


async def _settle(cluster: DevCluster) -> None:
    """Wait until the members have prepared their spare segments, which disk and cores feel.

    Raises:
        LoadFailed: They have not, in time.

    """
    wanted = ArchiveConfig().spares
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT_S), aiohttp.ClientSession() as session:
            for address in cluster.control_addresses:
                while await _spares(session, address) < wanted:  # noqa: ASYNC110 - asks a process
                    await asyncio.sleep(POLL_S)
    except TimeoutError:
        text = f"the members have not prepared {wanted} spares within {SETTLE_TIMEOUT_S:g} s"
        raise LoadFailed(text) from None


async def _spares(session: aiohttp.ClientSession, address: str) -> int:
    async with session.get(f"http://{address}/metrics") as answer:
        found = _SPARES.search(await answer.text())
    return 0 if found is None else int(found[1])
