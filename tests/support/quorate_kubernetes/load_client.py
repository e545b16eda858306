"""A client for a pod: messages at a steady rate, every acknowledgement checked, told over HTTP.

``python -m quorate_kubernetes.load_client --address HOST:PORT ... --rate 1000``

Runs on the product's image, so it imports nothing but ``quorate``, what that depends on, and the
journal, whose answers prove the history: each message applied exactly once, in order, and
nothing else. With ``--service echo`` an answer proves its own message only, and many clients may
share a cluster.

=================  ============================================================================
``GET /progress``  the figures so far, as JSON; a line with the same is printed each second
``POST /lap``      the same, and ``lap_gap_s`` is measured from here on
``POST /finish``   stop sending, wait for every answer, and return the figures
=================  ============================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal

from aiohttp import web

from quorate.client.cluster_client import ClusterClient
from quorate.errors import QuorateError, ServiceError
from quorate_processes.journal import chain

PORT = 8080
TURN_S = 0.005
CONNECT_TIMEOUT_S = 60.0
FINISH_TIMEOUT_S = 60.0
GAP_S = 0.05
"""Shorter times without an answer are not listed."""
GAPS_MAX = 1_000


class Expectation:
    """What each answer has to be."""

    def __init__(self, service: str) -> None:
        """Begin before the first message."""
        self._is_journal = service == "journal"
        self._hash = bytes(16)
        self._count = 0

    def next(self, message: bytes) -> bytes:
        """Return the answer that is due to the next message."""
        if not self._is_journal:
            return message
        self._count += 1
        self._hash = chain(self._hash, message)
        return b"%d %s" % (self._count, self._hash.hex().encode())


class CheckedLoad:
    """One session; counts what was sent and answered, and keeps the first thing that was wrong."""

    def __init__(self, *, service: str, rate: float, label: str) -> None:
        """Prepare; the session is opened by ``run``."""
        self._expectation = Expectation(service)
        self._rate = rate
        self._label = label
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._client: ClusterClient | None = None
        self._sent = 0
        self._answered = 0
        self._last_answer = self._began
        self._longest_gap_s = 0.0
        self._lap_gap_s = 0.0
        self._gaps: list[tuple[float, float]] = []
        self._wrong = ""
        self._lost = ""
        self._is_finishing = False
        self._ended = asyncio.Event()

    async def run(self, addresses: list[str]) -> None:
        """Send until told to finish or the session is lost; wait for what is outstanding."""
        try:
            connecting = ClusterClient.connect(
                addresses,
                name=self._label,
                on_egress=self._on_egress,
                on_error=self._on_error,
                timeout=CONNECT_TIMEOUT_S,
            )
            async with connecting as client:
                self._client = client
                await self._send(client)
                async with asyncio.timeout(FINISH_TIMEOUT_S):
                    await client.flush()
        except (QuorateError, TimeoutError) as error:
            self._lost = f"{type(error).__name__}: {error}"
        self._ended.set()

    async def _send(self, client: ClusterClient) -> None:
        # By the clock: what an outage held back is sent behind it, as by users who do not go away.
        self._began = self._last_answer = self._loop.time()
        while not self._is_finishing:
            due = int((self._loop.time() - self._began) * self._rate) + 1
            while self._sent < due and not self._is_finishing:
                if not client.can_offer:
                    await client.ready()
                client.offer(self._message(self._sent + 1))
                self._sent += 1
            await asyncio.sleep(TURN_S)

    def _message(self, number: int) -> bytes:
        return f"{self._label} {number}".encode()

    def _on_egress(self, sequence: int, message: bytes) -> None:
        now = self._loop.time()
        gap_s, self._last_answer = now - self._last_answer, now
        self._longest_gap_s = max(self._longest_gap_s, gap_s)
        self._lap_gap_s = max(self._lap_gap_s, gap_s)
        if gap_s >= GAP_S and len(self._gaps) < GAPS_MAX:
            self._gaps.append((round(now - gap_s - self._began, 3), round(gap_s, 3)))
        self._answered += 1
        due = self._expectation.next(self._message(self._answered))
        if not self._wrong and (sequence != self._answered or message != due):
            self._wrong = (
                f"answer {self._answered} came for message {sequence} as {message[:80]!r}, "
                f"and {due[:80]!r} was due: a message was lost, doubled or moved"
            )

    def _on_error(self, sequence: int, error: ServiceError) -> None:
        self._wrong = self._wrong or f"message {sequence}: {error}"

    def figures(self) -> dict[str, object]:
        """Return what has happened so far; times are in seconds since the first message."""
        counters = None if self._client is None else self._client.counters
        return {
            "connected": self._client is not None,
            "at": round(self._loop.time() - self._began, 3),
            "sent": self._sent,
            "answered": self._answered,
            "longest_gap_s": round(self._longest_gap_s, 3),
            "lap_gap_s": round(self._lap_gap_s, 3),
            "gaps": self._gaps,
            "connections": counters.connections if counters else 0,
            "resumptions": counters.resumptions if counters else 0,
            "doubles": counters.egress_doubles if counters else 0,
            "wrong": self._wrong,
            "lost": self._lost,
            "ended": self._ended.is_set(),
        }

    def lap(self) -> dict[str, object]:
        """Return the figures and measure the longest gap anew."""
        figures = self.figures()
        self._lap_gap_s = 0.0
        return figures

    async def finish(self) -> dict[str, object]:
        """Stop sending, wait for what is outstanding, and return the figures."""
        self._is_finishing = True
        await self._ended.wait()
        return self.figures()


def _application(load: CheckedLoad) -> web.Application:
    async def progress(_: web.Request) -> web.Response:
        return web.json_response(load.figures())

    async def lap(_: web.Request) -> web.Response:
        return web.json_response(load.lap())

    async def finish(_: web.Request) -> web.Response:
        return web.json_response(await load.finish())

    application = web.Application()
    application.router.add_get("/progress", progress)
    application.router.add_post("/lap", lap)
    application.router.add_post("/finish", finish)
    return application


async def _print_each_second(load: CheckedLoad) -> None:
    while True:
        figures = load.figures()
        figures.pop("gaps")
        print(json.dumps(figures), flush=True)
        await asyncio.sleep(1)


async def _main(options: argparse.Namespace) -> None:
    load = CheckedLoad(service=options.service, rate=options.rate, label=options.label)
    runner = web.AppRunner(_application(load), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=options.port).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(load.run(options.address), name="load")
        printing = group.create_task(_print_each_second(load), name="figures")
        await stopped.wait()
        sending.cancel()
        printing.cancel()
    await runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="load_client")
    parser.add_argument("--address", action="append", required=True, help="HOST:PORT of a member")
    parser.add_argument("--rate", type=float, default=1_000.0, help="messages in a second")
    parser.add_argument("--service", choices=("journal", "echo"), default="journal")
    parser.add_argument("--label", default="load", help="begins each message; one for each client")
    parser.add_argument("--port", type=int, default=PORT, help="of the figures")
    return parser


if __name__ == "__main__":
    asyncio.run(_main(_parser().parse_args()))
