"""Records each request and answers from a script; real client code talks to it."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from quorate_operator.kube.api import Api, CallObserver, nobody


@dataclass(frozen=True, slots=True)
class Request:
    """What came in."""

    method: str
    path: str
    query: Mapping[str, str]
    content_type: str
    body: object


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out."""

    code: int = 200
    body: object = field(default_factory=dict)
    """JSON, or bytes as they are."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hang_up: bool = False


def status(code: int, reason: str = "", message: str = "", cause: str = "") -> Answer:
    """Return a failure as API servers tell it."""
    details = {"causes": [{"reason": cause}]} if cause else {}
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
        "details": details,
    }
    return Answer(code, body)


class FakeApi:
    """Answers by path from ``objects``, unless ``script`` has an answer left."""

    def __init__(self) -> None:
        """Know nothing; answer every write with what it holds."""
        self.requests: list[Request] = []
        self.script: deque[Answer] = deque()
        self.objects: dict[str, object] = {}
        """By path: what a GET there returns; others are 404. A list by fields has its own path,
        ``<path>?<selector>``, and is empty if it is not there."""
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record and answer."""
        data = await request.read()
        body = json.loads(data) if data else None
        self.requests.append(
            Request(request.method, request.path, dict(request.query), request.content_type, body)
        )
        answer = self.script.popleft() if self.script else self._look_up(request, body)
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.hang_up:
            assert request.transport is not None
            request.transport.abort()
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body)
        return web.Response(
            status=answer.code,
            body=content,
            headers=answer.headers,
            content_type="application/json",
        )

    def _look_up(self, request: web.Request, body: object) -> Answer:
        if request.method != "GET":
            return Answer(200, body)
        fields = request.query.get("fieldSelector")
        if fields:  # a list of what no label finds
            return Answer(200, self.objects.get(f"{request.path}?{fields}", {"items": []}))
        found = self.objects.get(request.path)
        return status(404, "NotFound", "not found") if found is None else Answer(200, found)


@asynccontextmanager
async def fake_api(made: FakeApi | None = None) -> AsyncIterator[FakeApi]:
    """Serve one on loopback."""
    fake = FakeApi() if made is None else made
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


@asynccontextmanager
async def api_of(
    url: str,
    *,
    guard: Callable[[], None] = lambda: None,
    on_call: CallObserver = nobody,
    left_s: Callable[[], float] = lambda: math.inf,
    limit_s: float = 5.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncIterator[Api]:
    """Give an ``Api`` of this server, over the real client."""
    async with ApiClient(Configuration(host=url)) as client:
        yield Api(client, guard=guard, on_call=on_call, left_s=left_s, limit_s=limit_s, sleep=sleep)
