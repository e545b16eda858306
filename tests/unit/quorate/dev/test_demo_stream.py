import asyncio
from typing import cast

import pytest

from quorate.client.cluster_client import ClusterClient
from quorate.dev import demo_stream
from quorate.dev.demo_stream import AcknowledgementLog, PacedStream, percentile
from quorate.errors import NotConnected


class FakeClient:
    """Acknowledges what was offered when told to, with a window of a few messages."""

    def __init__(self, window: int, *, acknowledges: bool = True) -> None:
        self.offered: list[bytes] = [b"before the stream"]
        self.acknowledged_sequence = 1
        self._window = window
        self._acknowledges = acknowledges
        self._changed = asyncio.Event()

    @property
    def last_sequence(self) -> int:
        return len(self.offered)

    @property
    def can_offer(self) -> bool:
        return self.last_sequence - self.acknowledged_sequence < self._window

    def offer(self, message: bytes) -> int:
        assert self.can_offer, "offered without credit"
        self.offered.append(message)
        if self._acknowledges:
            asyncio.get_running_loop().call_soon(self._acknowledge, len(self.offered))
        return len(self.offered)

    def _acknowledge(self, sequence: int) -> None:
        self.acknowledged_sequence = sequence
        self._changed.set()
        self._changed = asyncio.Event()

    async def ready(self) -> None:
        while not self.can_offer:
            await self._changed.wait()

    async def wait_acknowledged(self, sequence: int) -> None:
        while self.acknowledged_sequence < sequence:
            await self._changed.wait()


def test_sends_everything_once_in_order_and_notes_every_acknowledgement() -> None:
    messages = [b"%d" % number for number in range(500)]

    async def run() -> tuple[FakeClient, PacedStream]:
        client = FakeClient(window=7)
        stream = PacedStream(cast("ClusterClient", client), messages, rate=50_000)
        await stream.run()
        await stream.reached(500)
        return client, stream

    client, stream = asyncio.run(run())
    assert client.offered[1:] == messages
    assert stream.acknowledged.count == 500
    counts = [count for _, count in stream.acknowledged.rows]
    assert counts == sorted(set(counts))
    assert stream.acknowledged.figures(50_000).duration_s >= 499 / 50_000


def test_never_runs_ahead_of_the_schedule() -> None:
    async def run() -> AcknowledgementLog:
        client = FakeClient(window=1_000)
        stream = PacedStream(cast("ClusterClient", client), [b"k"] * 200, rate=2_000)
        await stream.run()
        return stream.acknowledged

    log = asyncio.run(run())
    for at_s, count in log.rows:
        assert count <= at_s * 2_000 + 1


def test_an_acknowledgement_counts_from_when_it_came_whatever_else_was_offered() -> None:
    """Or the latency of every message would be that of the last one beside it."""

    async def run() -> None:
        client = FakeClient(window=1_000, acknowledges=False)
        stream = PacedStream(cast("ClusterClient", client), [b"k"] * 10, rate=10**9)
        async with asyncio.timeout(20):
            running = asyncio.create_task(stream.run())
            while stream.offered < 10:  # noqa: ASYNC110 - offering wakes nobody
                await asyncio.sleep(0)
            for count in (1, 4, 10):
                client._acknowledge(1 + count)
                await stream.reached(count)
                assert stream.acknowledged.count == count
            await running
        assert [count for _, count in stream.acknowledged.rows] == [1, 4, 10]

    asyncio.run(run())


def test_gives_up_when_nothing_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_stream, "STALL_S", 0.05)

    async def run() -> None:
        client = FakeClient(window=1_000, acknowledges=False)
        await PacedStream(cast("ClusterClient", client), [b"k"] * 10, rate=10_000).run()

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run())
    assert caught.group_contains(NotConnected, match="nothing was acknowledged for 0.05 s")


def test_latency_counts_from_when_a_message_was_due() -> None:
    # Four messages at 10/s are due at 0.0, 0.1, 0.2 and 0.3.
    figures = AcknowledgementLog([(0.05, 1), (0.5, 4)]).figures(10)
    assert figures.duration_s == 0.5
    assert figures.longest_gap_s == pytest.approx(0.45)
    assert figures.longest_gap_at == 1
    assert figures.latency_s["p50"] == pytest.approx(0.3)
    assert figures.latency_s["p99.9"] == pytest.approx(0.4)


def test_the_wait_for_the_first_acknowledgement_is_a_gap_too() -> None:
    figures = AcknowledgementLog([(0.9, 1), (1.0, 2)]).figures(10)
    assert (figures.longest_gap_s, figures.longest_gap_at) == (0.9, 0)


def test_a_stream_without_acknowledgements_has_figures() -> None:
    assert AcknowledgementLog().figures(10).latency_s == {"p50": 0.0, "p99": 0.0, "p99.9": 0.0}


def test_percentiles_of_few_values() -> None:
    values = [float(number) for number in range(100)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 99
