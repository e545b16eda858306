"""The load generator against gateways in this process, for a few hundred milliseconds each."""

import asyncio
import io
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import pytest

from quorate.bench import closed_loop, load
from quorate.bench.job import Job
from quorate.bench.lone_frames import LoneFrameClient
from quorate.errors import NotConnected
from quorate.examples.echo import Echo
from quorate.protocol.session_codec import MessageSplitter, decode_message
from quorate.protocol.session_messages import Ingress
from quorate_loopback import LoopbackCluster

T = TypeVar("T")


def on_cluster(run: Callable[[LoopbackCluster], Awaitable[T]], members: int = 1) -> T:
    async def inside() -> T:
        async with LoopbackCluster(members, service=Echo) as cluster:
            cluster.lead(members - 1)
            return await run(cluster)

    return asyncio.run(inside())


def measure(job: dict[str, Any]) -> dict[str, Any]:
    kind = load.KINDS[job["kind"]]
    return on_cluster(lambda cluster: kind(Job(addresses=tuple(cluster.addresses), **job)))


@pytest.fixture(autouse=True)
def _no_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a load generator freezes for its life would stay frozen in this process."""
    monkeypatch.setattr(closed_loop.gc, "freeze", lambda: None)


@pytest.mark.parametrize("kind", ["closed", "lone-frames", "connections"])
def test_a_closed_loop_counts_what_was_acknowledged(kind: str) -> None:
    more = {"connections": 3, "outstanding": 8} if kind == "connections" else {}
    job = {"kind": kind, "seconds": 0.6, "warm_up_s": 0.3, "pids": (os.getpid(),)}
    result = measure(job | more)
    assert result["throughput"] > 0
    assert result["messages"] > 0
    assert result["egress_missing"] == 0
    assert len(result["cores"]) == 2
    assert result["others"] >= 0
    assert all(mib > 1 for row in result["resident_mib"] for mib in row)
    counts = [count for _, count in result["samples"]]
    assert counts == sorted(counts)


def test_a_closed_loop_may_end_after_a_number_of_messages() -> None:
    result = measure({"kind": "closed", "seconds": 60, "messages": 2_000})
    assert 2_000 <= result["messages"] < 2_000 + closed_loop.BURST


class Recorded:
    """A transport that remembers what is written to it."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self.written = b""
        self.abort = transport.abort
        self._transport = transport

    def write(self, data: bytes) -> None:
        self.written += data
        self._transport.write(data)


def test_lone_frames_bring_one_message_each() -> None:
    async def run(cluster: LoopbackCluster) -> list[object]:
        client = await LoneFrameClient.connect(tuple(cluster.addresses))
        recorded = Recorded(client._transport)
        client._transport = cast("asyncio.WriteTransport", recorded)
        assert client.send(3) == 3
        await client.flush()
        assert client.send(2) == 2
        frames = MessageSplitter(1 << 20).feed(recorded.written)
        await client.flush()
        await client.close()
        return [decode_message(frame) for frame in frames]

    batch = (100).to_bytes(4, "little") + b"x" * 100
    sent = cast("list[Ingress]", on_cluster(run))
    assert [frame[1:] for frame in sent] == [
        (sequence, acknowledged, 1, batch)
        for sequence, acknowledged in ((1, 0), (2, 0), (3, 0), (4, 3), (5, 3))
    ]


def test_lone_frames_follow_a_redirect_to_the_leader() -> None:
    async def run(cluster: LoopbackCluster) -> int:
        client = await LoneFrameClient.connect((cluster.addresses[0],), timeout_s=10)
        client.send(5)
        await client.flush()
        await client.close()
        return client.egress

    assert on_cluster(run, members=3) == 5


def test_lone_frames_keep_to_their_credit() -> None:
    async def run(cluster: LoopbackCluster) -> None:
        client = await LoneFrameClient.connect(tuple(cluster.addresses))
        credit = client._credit_bytes
        while client.send(1_000):
            pass
        assert client.sent == credit // 104
        await client.flush()
        await client.close()

    on_cluster(run)


def test_a_connection_that_ends_fails_the_measurement() -> None:
    async def run(cluster: LoopbackCluster) -> None:
        client = await LoneFrameClient.connect(tuple(cluster.addresses))
        client.connection_lost(None)
        with pytest.raises(NotConnected):
            client.send(1)
        with pytest.raises(NotConnected):
            await client.changed()

    on_cluster(run)


def test_idle_measures_round_trips() -> None:
    result = measure({"kind": "idle", "seconds": 0.3, "warm_up_s": 0.05})
    assert result["count"] > 0
    assert result["latency"]["p50"] > 0
    assert sum(count for _, count in result["histogram"]) == result["count"]


def test_an_open_loop_sends_by_the_clock() -> None:
    result = measure({"kind": "open", "seconds": 0.3, "warm_up_s": 0.1, "rate": 1_000})
    assert result["count"] > 0
    assert result["latency"]["p50"] > 0
    assert result["sent_late"]["p50"] <= result["latency"]["p50"]
    assert 0 < result["held"] <= 1.01


def test_gaps_runs_until_standard_input_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    result = measure({"kind": "gaps", "rate": 1_000})
    assert result["acknowledged"] == result["offered"] > 0


def test_idle_sessions_say_when_they_are_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert measure({"kind": "idle-sessions", "connections": 5}) == {"sessions": 5}
    assert capsys.readouterr().out == '{"open": true}\n'


def test_a_job_survives_its_way_to_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Job] = []

    async def recorded(job: Job) -> dict[str, object]:
        seen.append(job)
        return {"count": 1}

    job = Job("open", ("127.0.0.1:1", "127.0.0.1:2"), 1.5, 0.5, 100, (7, 8), 9, 10, 11, "deaf", 0)
    monkeypatch.setitem(load.KINDS, "open", recorded)
    monkeypatch.setattr(sys, "argv", ["load", job.encode()])
    assert load.main() == 0
    assert seen == [job]
    assert capsys.readouterr().out == '{"count": 1}\n'
