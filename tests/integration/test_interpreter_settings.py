"""What a member process asks of its interpreter, seen by the service that runs in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from quorate.client.cluster_client import ClusterClient
from quorate.runtime import bootstrap, garbage
from quorate_processes.cluster import make_cluster


def test_a_service_runs_in_an_interpreter_that_rarely_looks_at_everything(tmp_path: Path) -> None:
    service = "quorate_processes.interpreter:Interpreter"

    async def run() -> None:
        async with (
            make_cluster(tmp_path, members=1, service=service) as cluster,
            asyncio.timeout(60),
        ):
            await cluster.wait_leader()
            async with ClusterClient.connect(cluster.client_addresses, name="c") as client:
                answer = await client.request(b"settings")
        looks = (garbage.YOUNG_OBJECTS, garbage.YOUNG_LOOKS, garbage.LOOKS_AT_MIDDLE)
        assert answer.decode() == repr((looks, True, bootstrap.SWITCH_INTERVAL_S))

    asyncio.run(run())
