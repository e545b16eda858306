"""A cluster of member processes for one part of the benchmark, and its load generator."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp

from quorate.bench.job import Job, Result
from quorate.config import ArchiveConfig, Durability
from quorate.consensus.types import Seat
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
        """Start the process, which ends with this one and does not hear of a Ctrl-C before."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "quorate.bench.load",
            job.encode(),
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return cls(process)

    async def first_line(self) -> None:
        """Wait until it says that it is ready.

        Raises:
            LoadFailed: It ended before.

        """
        assert self.process.stdout is not None, "started with a pipe"
        if not await self.process.stdout.readline():
            await self.result()
            raise LoadFailed("the load generator ended before it was ready")

    async def slice(self, seconds: float, rate: float = 0.0) -> Result:
        """Have sessions send for a while (see ``slices``), and return what came of it.

        Raises:
            LoadFailed: It ended before.

        """
        assert self.process.stdin is not None, "started with a pipe"
        assert self.process.stdout is not None, "started with a pipe"
        self.process.stdin.write(json.dumps({"seconds": seconds, "rate": rate}).encode() + b"\n")
        line = await self.process.stdout.readline()
        if not line:
            await self.result()
            raise LoadFailed("the load generator ended before its input")
        return cast("Result", json.loads(line))

    async def result(self) -> Result:
        """End its standard input and wait for what it measured.

        Raises:
            LoadFailed: It ended with an error; says its last words.

        """
        output, errors = await self.process.communicate(b"")
        if self.process.returncode:
            lines = errors.decode("utf-8", "replace").strip().splitlines() or ["nothing was said"]
            code = self.process.returncode
            raise LoadFailed(f"the load generator ended with {code}: {lines[-1]}")
        return cast("Result", json.loads(output.splitlines()[-1]))

    async def end(self) -> None:
        """Kill it, if it runs, and wait for its end."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def running_load(job: Job) -> AsyncIterator[LoadProcess]:
    """Run a load generator that says when it is ready; end it behind the block.

    Raises:
        LoadFailed: It ended before it was ready.

    """
    load = await LoadProcess.start(job)
    try:
        await load.first_line()
        yield load
    finally:
        await load.end()


class Rig:
    """A running cluster, as the parts use it."""

    def __init__(self, cluster: DevCluster) -> None:
        """Use ``rig``."""
        self.cluster = cluster
        self.keeps_files = False
        """Set for a part that failed: the members' logs may say why."""

    async def pids(self) -> tuple[int, ...]:
        """Return the members' processes, the leader's first."""
        leader = Seat((await self.cluster.wait_leader()).seat)
        seats = [leader, *(seat for seat in self.cluster.seats if seat != leader)]
        return tuple(pid for seat in seats if (pid := self.cluster.pid(seat)) is not None)

    async def load(self, job: Job) -> Result:
        """Run one load generator to its end and return what it measured."""
        load = await LoadProcess.start(job)
        try:
            return await load.result()
        finally:
            await load.end()


@asynccontextmanager
async def rig(
    path: Path, durability: Durability, service: str = SERVICE, service_config: str | None = None
) -> AsyncIterator[Rig]:
    """Run a cluster in a new directory; its files go with it, unless it fails.

    Raises:
        QuorateError: It did not start.

    """
    options = DevOptions(
        path,
        service=service,
        service_config=service_config,
        members=MEMBERS,
        durability=durability,
    )
    async with DevCluster(options, restart=False) as cluster:
        await cluster.wait_leader()
        await _settle(cluster)
        running = Rig(cluster)
        yield running
    if not running.keeps_files:
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
