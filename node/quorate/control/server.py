"""The HTTP server of a member: status, probes, metrics and admin actions.

It decides nothing: it asks the ``ControlPort``. It runs on the member's own loop, so every
answer is bounded, and so are connections, the time to a first request, bodies and long polls.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from quorate.consensus.types import Seat
from quorate.control.admin import AdminResult, AdminResults, AdminState, refusal
from quorate.control.connections import ControlConnections
from quorate.control.metrics import CONTENT_TYPE, Metrics, MetricsCollector, make_registry, render
from quorate.control.port import ControlPort, Health, OnOutcome
from quorate.control.status import encode_status

BODY_BYTES_MAX = 4096
BODY_TIMEOUT_S = 10.0
POLLS_MAX = 128
WAIT_MAX_S = 60.0
"""Longest long poll; a longer wait is cut to it, as the poller asks again anyway."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlServer:
    """Serves one member's control port from ``start`` to ``close``."""

    def __init__(
        self,
        port: ControlPort,
        metrics: Metrics,
        *,
        token: Callable[[], bytes | None],
        seat_max: int = 255,
    ) -> None:
        """Prepare to serve.

        Args:
            port: The member.
            metrics: What ``/metrics`` shows, and where refusals are counted.
            token: Returns the bearer token of admin actions; None lets only this machine ask.
            seat_max: The highest seat that a transfer may name.

        """
        self._port = port
        self._metrics = metrics
        self._token = token
        self._seat_max = seat_max
        self._results = AdminResults()
        self._registry = make_registry(MetricsCollector(metrics, port.status, port.gauges))
        self._polls: set[asyncio.Timeout] = set()
        self._connections = ControlConnections(lambda reason: metrics.refused("control", reason))
        self._closing = False
        self._server: asyncio.Server | None = None
        guard = web.middleware(functools.partial(self._guard))
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[guard])
        app.add_routes(
            [
                web.get("/status", self._status),
                web.get("/metrics", self._metrics_text),
                web.get("/livez", self._probe(port.alive)),
                web.get("/readyz", self._probe(port.ready)),
                web.get("/startupz", self._probe(port.started)),
                web.post("/admin/found", self._found),
                web.post("/admin/transfer", self._transfer),
                web.get("/admin/results/{id}", self._result),
            ]
        )
        # A poller that has gone gives its place back.
        self._runner = web.AppRunner(
            app, handle_signals=False, shutdown_timeout=1.0, handler_cancellation=True
        )

    async def start(self, host: str | None, port: int) -> int:
        """Listen, on all interfaces when ``host`` is None; return the port (0 asks for any).

        Raises:
            OSError: The address cannot be bound.

        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening, end long polls and close what is open."""
        if self._server is not None:
            self._server.close()
        self._connections.close()
        self._closing = True
        for limit in self._polls:
            # One that has just run out ends by itself, and cannot be changed any more.
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())
        await self._runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None, "setup comes before the first connection"
        return self._connections.accept(server)

    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Count refusals, and check who asks before anything of an admin action is read."""
        with self._connections.answering(request.protocol):
            if request.path.startswith("/admin/"):
                refused = refusal(request, self._token())
                if refused is not None:
                    self._metrics.refused("control", f"http {refused.status}")
                    return refused
            try:
                return await handler(request)
            except web.HTTPException as error:
                self._metrics.refused("control", f"http {error.status}")
                raise

    # -- reading ------------------------------------------------------------------------

    async def _status(self, request: web.Request) -> web.Response:
        after = request.query.get("after")
        if after is not None:
            version = _parse_number(after, "after")
            wait_s = parse_wait(request.query.get("wait", "20s"))
            if self._port.status().status_version == version:
                await self._wait(lambda: self._port.wait_status(version), wait_s)
        body = encode_status(self._port.status())
        return web.Response(body=body, content_type="application/json")

    async def _metrics_text(self, _: web.Request) -> web.Response:
        return web.Response(body=render(self._registry), headers={"Content-Type": CONTENT_TYPE})

    def _probe(self, ask: Callable[[], Health]) -> _Handler:
        async def answer(_: web.Request) -> web.Response:
            health = ask()
            return web.Response(status=200 if health.ok else 503, text=f"{health.reason}\n")

        return answer

    async def _wait(self, begin: Callable[[], Awaitable[object]], wait_s: float) -> None:
        if len(self._polls) >= POLLS_MAX:
            raise web.HTTPServiceUnavailable(text=f"more than {POLLS_MAX} long polls are waiting\n")
        limit = asyncio.timeout(0.0 if self._closing else wait_s)
        self._polls.add(limit)
        try:
            async with limit:
                await begin()
        except TimeoutError:
            pass
        finally:
            self._polls.discard(limit)

    # -- acting -------------------------------------------------------------------------

    async def _found(self, request: web.Request) -> web.Response:
        body = await _read_body(request, {"discard"})
        discard = body.get("discard", False)
        if not isinstance(discard, bool):
            raise web.HTTPBadRequest(text="discard is true or false\n")
        return self._begin("found", lambda end: self._port.found(discard=discard, on_outcome=end))

    async def _transfer(self, request: web.Request) -> web.Response:
        to = (await _read_body(request, {"to"})).get("to")
        is_seat = isinstance(to, int) and not isinstance(to, bool) and 0 <= to <= self._seat_max
        if to != "any" and not is_seat:
            raise web.HTTPBadRequest(text='to is the number of a seat, or "any"\n')
        target = None if to == "any" else Seat(cast("int", to))
        return self._begin("transfer", lambda end: self._port.transfer(target, end))

    def _begin(self, action: str, ask: Callable[[OnOutcome], str | None]) -> web.Response:
        result = self._results.begin(action)
        if result is None:
            raise web.HTTPTooManyRequests(text="too many admin actions are pending\n")
        refused = ask(result.end)
        if refused is not None:
            self._metrics.refused("control", f"{action} refused")
            result.end(completed=False, reason=refused)
        return _answer(result)

    async def _result(self, request: web.Request) -> web.Response:
        result = self._results.find(request.match_info["id"])
        if result is None:
            raise web.HTTPNotFound(text="no such result in this life of the process\n")
        if "wait" in request.query:
            await self._wait(result.ended.wait, parse_wait(request.query["wait"]))
        return _answer(result)


def parse_wait(text: str) -> float:
    """Return the seconds of ``20s``, ``500ms`` or ``20``, at most ``WAIT_MAX_S``."""
    number, scale = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    return min(_parse_number(number, "wait") * scale, WAIT_MAX_S)


def _parse_number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(1 << 64))):
        raise web.HTTPBadRequest(text=f"{name} is not a whole number\n")
    return int(text)


async def _read_body(request: web.Request, known: set[str]) -> dict[str, object]:
    """Return the JSON object of the body, empty for no body at all."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            data = await request.read()
    except TimeoutError as error:
        text = f"no whole body within {BODY_TIMEOUT_S:g} s\n"
        raise web.HTTPRequestTimeout(text=text) from error
    try:
        body: object = json.loads(data) if data else {}
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text="the body is not JSON\n") from error
    if not isinstance(body, dict) or not body.keys() <= known:
        raise web.HTTPBadRequest(text=f"the body is an object with {sorted(known)} at most\n")
    return cast("dict[str, object]", body)


def _answer(result: AdminResult) -> web.Response:
    statuses = {AdminState.PENDING: 202, AdminState.FAILED: 409}
    text = json.dumps(result.to_mapping())
    return web.Response(
        status=statuses.get(result.state, 200), text=text, content_type="application/json"
    )
