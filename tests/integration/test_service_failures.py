"""What happens in a running cluster when the service fails, or answers differently somewhere."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.client.cluster_client import ClusterClient
from quorate.config import ClusterSettings, OnError
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevOptions
from quorate.errors import ServiceError
from quorate.runtime.exit_codes import ExitCode
from quorate_processes.cluster import SUPPORT

FAILING = "quorate_processes.failing:RaisesOnMessage"


def _cluster(directory: Path, service: str, settings: ClusterSettings) -> DevCluster:
    os.environ["PYTHONPATH"] = str(SUPPORT)
    options = DevOptions(directory=directory, service=service, members=3, settings=settings)
    return DevCluster(options, restart=False)


def test_a_failing_callback_is_told_to_its_client_and_the_cluster_goes_on(tmp_path: Path) -> None:
    """``on_error: continue``: an error with the log position, never the exception's text."""

    async def run() -> None:
        async with _cluster(tmp_path, FAILING, ClusterSettings()) as cluster, asyncio.timeout(60):
            await cluster.wait_leader()
            async with ClusterClient.connect(cluster.client_addresses, name="c") as client:
                assert await client.request(b"good") == b"good"
                with pytest.raises(ServiceError) as caught:
                    await client.request(b"bad")
                assert caught.value.log_position > 0
                assert "no client may see" not in str(caught.value)
                assert await client.request(b"again") == b"again"
            log = cluster.directory.log_path(cluster.seats[0]).read_text()
            assert "no client may see" in log, "each member's own log has the text"

    asyncio.run(run())


def test_halt_stops_every_member_at_the_same_message(tmp_path: Path) -> None:
    """``on_error: halt``: exit code 7 everywhere."""

    async def run() -> None:
        settings = replace(ClusterSettings(), on_error=OnError.HALT)
        async with _cluster(tmp_path, FAILING, settings) as cluster, asyncio.timeout(60):
            await cluster.wait_leader()
            client = await ClusterClient.connect(cluster.client_addresses, name="c")
            client.offer(b"bad")
            codes = [await cluster.wait_exit(seat) for seat in cluster.seats]
            assert codes == [ExitCode.SERVICE_FAILED] * 3
            await client.close(timeout=0.1)

    asyncio.run(run())


def test_a_service_that_answers_differently_stops_serving(tmp_path: Path) -> None:
    """The odd one of three is found by its digest and serves no more; the others go on."""

    async def run() -> None:
        settings = replace(ClusterSettings(), digest_interval_bytes=4096)
        service = "quorate_processes.odd:Odd"
        async with _cluster(tmp_path, service, settings) as cluster, asyncio.timeout(60):
            await cluster.wait_leader()

            def diverged() -> list[int]:
                statuses = cluster.known_statuses().values()
                return [s.seat for s in statuses if s is not None and s.state == "diverged"]

            async with ClusterClient.connect(cluster.client_addresses, name="c") as client:
                answers = {await client.request(b"x" * 100) for _ in range(200)}
                await cluster.wait_until(lambda: bool(diverged()), 20, "a diverged member")
                assert len(diverged()) == 1
                assert await client.request(b"still here") == b"even"
            assert answers <= {b"even", b"odd"}

    asyncio.run(run())
