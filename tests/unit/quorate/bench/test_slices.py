import asyncio
import io
import json
import sys

import pytest

from quorate.bench import closed_loop
from quorate.bench.job import Job
from quorate.bench.slices import slices
from quorate.examples.echo import Echo
from quorate_loopback import LoopbackCluster


def test_each_line_is_a_slice_and_the_end_of_the_input_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> dict[str, object]:
        async with LoopbackCluster(1, service=Echo) as cluster:
            cluster.lead()
            return await slices(Job("slices", tuple(cluster.addresses), connections=3))

    asked = [{"seconds": 0.05, "rate": 10_000_000}, {"seconds": 0.1, "rate": 0}]
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("".join(map("{}\n".format, map(json.dumps, asked))))
    )
    monkeypatch.setattr(closed_loop.gc, "freeze", lambda: None)
    assert asyncio.run(run()) == {"resumptions": 0, "wrong": []}
    opened, beyond, all_it_may = map(json.loads, capsys.readouterr().out.splitlines())
    assert opened == {"open": True}
    for found in (beyond, all_it_may):
        assert found["throughput"] > 0
        assert found["unanswered"] == 0
        assert found["latency"]["p50"] > 0
    assert beyond["offered"] > beyond["throughput"], "dropped messages were offered, too"
