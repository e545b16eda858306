"""The cluster that is to be overloaded, and attackers beside it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from quorate.config import ClusterSettings
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevOptions
from quorate_overload.attacker import Seen

SUPPORT = Path(__file__).parent.parent


def make_cluster(
    directory: Path, *, work_us: int = 0, settings: ClusterSettings | None = None
) -> DevCluster:
    """Return a cluster of three whose service takes ``work_us`` for each message."""
    os.environ["PYTHONPATH"] = str(SUPPORT)
    options = DevOptions(
        directory=directory,
        service="quorate_overload.spinning:Spinning",
        service_config=str(work_us),
        members=3,
        settings=settings,
    )
    return DevCluster(options)


@asynccontextmanager
async def attacking(name: str, address: str, seconds: float) -> AsyncIterator[Seen]:
    """Attack ``address`` during the block, which is to take no longer than ``seconds``.

    Behind the block what is yielded holds what the attacker has seen.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "quorate_overload.attacker", name, address, str(seconds)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )
    assert process.stdout is not None
    seen: Seen = {}
    try:
        assert await process.stdout.readline() == b"ready\n", f"{name} has not begun"
        yield seen
        seen.update(json.loads(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
