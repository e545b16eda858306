"""The load generator against gateways in this process, for a few hundred milliseconds each."""

import asyncio
import io
import os
import sys
from typing import Any

import pytest

from quorate.bench import load
from quorate.bench.load import Job, Load
from quorate.examples.echo import Echo
from quorate_loopback import LoopbackCluster


def measure(job: dict[str, Any]) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with LoopbackCluster(1, service=Echo) as cluster:
            cluster.lead(0)
            return await Load(Job(addresses=tuple(cluster.addresses), **job)).run()

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _no_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a load generator freezes for its life would stay frozen in this process."""
    monkeypatch.setattr(load.gc, "freeze", lambda: None)


def test_a_closed_loop_counts_what_was_acknowledged() -> None:
    pids = (os.getpid(),)
    result = measure({"kind": "closed", "seconds": 0.6, "warm_up_s": 0.3, "pids": pids})
    assert result["throughput"] > 0
    assert result["messages"] >= result["throughput"] * 0.3
    assert result["egress_missing"] == 0
    assert len(result["cores"]) == 2
    counts = [count for _, count in result["samples"]]
    assert counts == sorted(counts)


def test_idle_measures_round_trips() -> None:
    result = measure({"kind": "idle", "seconds": 0.3, "warm_up_s": 0.05})
    assert result["count"] > 20
    assert result["latency"]["p50"] > 0


def test_an_open_loop_sends_by_the_clock() -> None:
    result = measure({"kind": "open", "seconds": 0.3, "warm_up_s": 0.1, "rate": 1_000})
    assert 250 <= result["count"] <= 600
    assert result["latency"]["p50"] > 0


def test_gaps_runs_until_standard_input_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    result = measure({"kind": "gaps", "rate": 1_000})
    assert result["acknowledged"] == result["offered"] > 0


def test_a_job_survives_its_way_to_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Job] = []

    class Recorded:
        def __init__(self, job: Job) -> None:
            seen.append(job)

        async def run(self) -> dict[str, object]:
            return {"count": 1}

    job = Job("open", ("127.0.0.1:1", "127.0.0.1:2"), 1.5, 0.5, 100, (7, 8))
    monkeypatch.setattr(load, "Load", Recorded)
    monkeypatch.setattr(sys, "argv", ["load", job.encode()])
    assert load.main() == 0
    assert seen == [job]
    assert capsys.readouterr().out == '{"count": 1}\n'
