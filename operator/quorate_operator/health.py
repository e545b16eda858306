"""Probes and metrics over HTTP, on one port."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from quorate_operator.metrics import Metrics


class HealthServer:
    """Serves ``/livez``, ``/readyz`` and ``/metrics``.

    Whoever waits for the lease, or for an API server that is away, is alive and ready: starting
    it again would not help, and a rollout of two processes must be able to end.
    """

    def __init__(self, metrics: Metrics, is_ready: Callable[[], bool]) -> None:
        """Take what to serve; ``is_ready`` turns true when the start-up is over."""
        self._metrics = metrics
        self._is_ready = is_ready
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._text)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            OSError: The port is taken, or not allowed.

        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        number: int = self._runner.addresses[0][1]
        return number

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="the loop turns\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._is_ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="starting or stopping\n")

    async def _text(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )
