"""Attacks on the port of operators; each returns when the member has answered as documented."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from quorate.config import split_address
from quorate.consensus.types import Seat
from quorate_attacks.streams import ALL_ONES, TLS_HELLO
from quorate_attacks.victim import Victim

PATIENCE_S = 60.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(victim: Victim, seat: Seat | None = None) -> AsyncIterator[Streams]:
    """Connect to a control port; break the connection behind the block."""
    reader, writer = await asyncio.open_connection(*split_address(victim.control_address(seat)))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def request(line: str, body: bytes = b"", **headers: str) -> bytes:
    """Return one request; headers by name, ``_`` for ``-``."""
    rows = {"Host": "x", "Content-Length": str(len(body))}
    rows |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in rows.items())
    return f"{line} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + body


BAD_REQUESTS: tuple[tuple[int, bytes], ...] = (
    (400, TLS_HELLO),
    (400, ALL_ONES),
    (400, b"GET\r\n\r\n"),
    (400, b"GET / HTTP/9.9\r\n\r\n"),
    (400, request("GET /livez", Content_Length="-5")),
    (400, request("GET /livez", Content_Length="1" * 40)),
    (400, request("GET /livez", Transfer_Encoding="chunked", Content_Length="5")),
    (400, b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 1000 + b"\r\n"),
    (400, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"),
    (400, b"GET /livez HTTP/1.1\r\nHost: x\r\na: " + b"a" * 100_000 + b"\r\n\r\n"),
    (400, request("GET http://[::1/")),
    (400, request("GET http://x:99999/status")),
    (404, request("GET /../../etc/passwd")),
    (404, request("GET //admin/found")),
    (404, request("POST //admin/found")),
    (404, request("POST /x/../admin/found")),
    (404, request("POST /Admin/found")),
    (404, request("OPTIONS *")),
    (404, request("GET /%00")),
    (405, request("POST /status")),
    (405, request("DELETE /metrics")),
    (400, request("GET /status?after=%ff")),
    (400, request("GET /status?after=-1")),
    (400, request("GET /status?after=1&wait=%00")),
    (400, request("GET /status?after=1&wait=1h")),
    (401, request("POST /admin/found")),
    (401, request("POST /admin/transfer", b'{"to": "any"}')),
    (401, request("POST /%61dmin/found")),
    (401, request("POST http://elsewhere/admin/found")),
    (401, request("POST /admin/found", Authorization="Bearer")),
    (401, request("POST /admin/found", Authorization="Bearer \xff\xfe")),
    (401, request("POST /admin/found", Authorization="Basic YWRtaW46YWRtaW4=")),
    (401, request("GET /admin/results/..%2f..%2f..%2fetc%2fpasswd")),
    (401, request("POST /admin/transfer", b" " * 100_000)),
)


async def ask_nonsense(victim: Victim, seat: Seat) -> None:
    """Bytes that are not HTTP, and HTTP that is not for this port: a status, and a count."""
    before = await victim.refusals(seat)
    expected: dict[int, int] = {}
    for status, data in BAD_REQUESTS:
        async with connected(victim, seat) as (reader, writer), asyncio.timeout(PATIENCE_S):
            writer.write(data)
            line = await reader.readline()
            assert line.split()[1:2] == [b"%d" % status], (data[:60], line)
        expected[status] = expected.get(status, 0) + 1
    after = await victim.refusals(seat)
    for status, count in expected.items():
        name = ("control", f"http {status}")
        assert after[name] - before.get(name, 0) == count, (status, before, after)


async def send_a_bomb(victim: Victim, seat: Seat) -> None:
    """A compressed body that would block the loop for seconds is not even unpacked."""
    bomb = zlib.compress(bytes(200 * 1024 * 1024), 9)
    async with connected(victim, seat) as (reader, writer), asyncio.timeout(PATIENCE_S):
        writer.write(request("POST /admin/found", bomb, Content_Encoding="deflate"))
        assert b" 401 " in await reader.readline()


async def send_a_huge_body(victim: Victim, seat: Seat) -> None:
    """A body without end is read no longer than its sender needs to see the answer."""
    async with connected(victim, seat) as (reader, writer), asyncio.timeout(PATIENCE_S):
        writer.write(b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n")
        assert b" 405 " in await reader.readline()
        piece = bytes(256 * 1024)
        try:
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            return


async def hold_every_place(victim: Victim, seat: Seat, count: int) -> None:
    """More connections than there are places, idle behind one request: probes are answered."""
    before = (await victim.refusals(seat)).get(("control", "connections"), 0)
    async with AsyncExitStack() as stack:
        for number in range(count):
            _, writer = await stack.enter_async_context(connected(victim, seat))
            writer.write(request("GET /livez") if number % 2 else b"GET /li")
        await victim.until_refused("control", "connections", before + 1, seat)
        async with connected(victim, seat) as (reader, writer), asyncio.timeout(PATIENCE_S):
            writer.write(request("GET /livez"))
            assert b" 200 " in await reader.readline()


async def poll_without_end(victim: Victim, seat: Seat, count: int) -> None:
    """More long polls than may wait: the rest is told so, and gone ones give their place back."""
    status = (await victim.cluster.statuses())[seat]
    assert status is not None
    async with AsyncExitStack() as stack:
        for _ in range(count):
            _, writer = await stack.enter_async_context(connected(victim, seat))
            writer.write(request(f"GET /status?after={status.status_version}&wait=60s"))
        await victim.until_refused("control", "http 503", 1, seat)


async def hang_up(victim: Victim, random: Random, seat: Seat, count: int) -> None:
    """Connections that end at any byte of a request."""
    whole = request("GET /status")
    for _ in range(count):
        async with connected(victim, seat) as (_, writer):
            writer.write(whole[: random.randrange(len(whole) + 1)])
