"""The cluster that is to be overloaded, and attackers beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from quorate.bench.job import Job, Result
from quorate.bench.rig import running_load
from quorate.config import ClusterSettings
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevOptions

ECHO = "quorate.examples.echo:Echo"
WORKING = "quorate.bench.services:Working"


def make_cluster(
    directory: Path, *, work_us: int = 0, settings: ClusterSettings | None = None
) -> DevCluster:
    """Return a cluster of three that echoes each message, after ``work_us`` of work."""
    options = DevOptions(
        directory=directory,
        service=WORKING if work_us else ECHO,
        service_config=str(work_us) if work_us else None,
        members=3,
        settings=settings,
    )
    return DevCluster(options)


@asynccontextmanager
async def attacking(name: str, address: str) -> AsyncIterator[Result]:
    """Attack ``address`` during the block; behind it, what is yielded holds what was seen."""
    seen: Result = {}
    async with running_load(Job("attack", (address,), attack=name)) as attacker:
        yield seen
        seen.update(await attacker.result())
