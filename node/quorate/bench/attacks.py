"""Clients that want too much, each as long as standard input is open.

They run in a process of their own and at the lowest priority if the job says so, so that what they
cost themselves is not the others'. Each says in a line that it has its full strength.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager

from quorate.bench.figures import percentiles
from quorate.bench.job import Job, Result
from quorate.bench.senders import Sender
from quorate.config import split_address
from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    CLIENT_MESSAGE_BYTES_MAX,
    encode_keep_alive,
    encode_message,
    ingress_header,
)
from quorate.protocol.session_messages import Ingress, Open

CROWD = 10_500
"""More connections than the default limit."""
SOME = 50
A_FEW = 5
OPENED_BYTES = 40
SLICE_S = 0.1
LONG_BYTES = 20_000
LATENCIES_MAX = 1_000_000
_PING = encode_keep_alive()

Seen = Mapping[str, float]
Attack = Callable[[str, asyncio.Event], Coroutine[None, None, Seen]]
"""Takes an address and when to end; returns what it has seen."""


async def attack(job: Job) -> Result:
    """Attack the first address of the job until standard input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ended = asyncio.Event()

    async def until_told() -> None:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        ended.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(until_told(), name="until told to end")
        seen = await ATTACKS[job.attack](job.addresses[0], ended)
    return dict(seen)


def _say_ready() -> None:
    print('{"ready": true}', flush=True)


def _opening() -> bytes:
    """Return the open of a new session."""
    return encode_message(Open(1, 1, ANY_CLUSTER, secrets.token_bytes(16), 0, 0, 0, "attacker"))


@asynccontextmanager
async def _attached(address: str) -> AsyncIterator[tuple[socket.socket, int]]:
    """Open a session; yield the socket and the session's id.

    Raises:
        ConnectionError: There is none to be had.

    """
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setblocking(False)
        await loop.sock_connect(raw, split_address(address))
        await loop.sock_sendall(raw, _opening())
        # The answer is short, and nothing else comes with it.
        answer = await loop.sock_recv(raw, 4096)
        if len(answer) < OPENED_BYTES:
            raise ConnectionError("no session")
        yield raw, int.from_bytes(answer[10:18], "little")


async def _together(count: int, one: Callable[[], Coroutine[None, None, int]]) -> int:
    """Run so many at once; return the sum of what they count."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(), name="one attacker") for _ in range(count)]
    return sum(task.result() for task in tasks)


async def crowd(address: str, ended: asyncio.Event) -> Seen:
    """More connections than there may be, all of them there; none asks for anything."""
    with contextlib.ExitStack() as stack:
        count = await _connect_many(address, stack, asyncio.Event())
        _say_ready()
        await ended.wait()
    return {"connections": count}


async def arrivals(address: str, ended: asyncio.Event) -> Seen:
    """The same while they come."""
    with contextlib.ExitStack() as stack:
        _say_ready()
        count = await _connect_many(address, stack, ended)
        await ended.wait()
    return {"connections": count}


async def _connect_many(address: str, stack: contextlib.ExitStack, ended: asyncio.Event) -> int:
    where = split_address(address)
    count = 0
    while count < CROWD and not ended.is_set():
        one = stack.enter_context(socket.socket())
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            one.connect(where)
        if count % SOME == 0:
            # As fast as they are taken, and not all in one gulp of the backlog.
            await asyncio.sleep(0.01)
        count += 1
    return count


async def churn(address: str, ended: asyncio.Event) -> Seen:
    """Connections that come and go, with an open, without, and with half of one."""
    where = split_address(address)
    loop = asyncio.get_running_loop()
    count = 0
    _say_ready()
    while not ended.is_set():
        with contextlib.suppress(OSError), socket.socket() as one:
            one.setblocking(False)
            await loop.sock_connect(one, where)
            await loop.sock_sendall(one, _opening()[: count % 3 * 40])
        count += 1
    return {"connections": count}


async def pings(address: str, ended: asyncio.Event) -> Seen:
    """Signs of life without end, whose answers are read."""

    async def one() -> int:
        count = 0
        async with _attached(address) as (raw, _):
            reading = asyncio.create_task(_read_all(raw), name="read")
            flood = _PING * 2000
            while not ended.is_set():
                with contextlib.suppress(BlockingIOError):
                    count += raw.send(flood) // len(_PING)
                await asyncio.sleep(0.001)
            reading.cancel()
        return count

    _say_ready()
    return {"pings": await _together(A_FEW, one)}


async def crumbs(address: str, ended: asyncio.Event) -> Seen:
    """Ingress in pieces of a byte, as fast as they go, from many sessions."""
    return await _in_bytes(address, ended, SOME, 0.002)


async def trickle(address: str, ended: asyncio.Event) -> Seen:
    """Ingress at a byte a second, from many sessions."""
    return await _in_bytes(address, ended, SOME, 1.0)


async def _in_bytes(address: str, ended: asyncio.Event, sessions: int, pause_s: float) -> Seen:
    ready = 0

    async def one() -> int:
        nonlocal ready
        count = 0
        async with _attached(address) as (raw, session_id):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            message = encode_message(Ingress(session_id, 1, 0, 1, encode_ingress_batch([b"crumb"])))
            ready += 1
            if ready == sessions:
                _say_ready()
            while not ended.is_set():
                raw.send(message[count % len(message) :][:1])
                count += 1
                await _pause(ended, pause_s)
        return count

    return {"bytes": await _together(sessions, one)}


async def promises(address: str, ended: asyncio.Event) -> Seen:
    """Sessions that begin the longest message and never end it: more than may be held of these."""
    head = CLIENT_MESSAGE_BYTES_MAX - 1
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2 * SOME):
            raw, session_id = await stack.enter_async_context(_attached(address))
            data = ingress_header(session_id, 1, 0, 1, head - 35) + bytes(head - 36)
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(raw, data[:-8])
        _say_ready()
        await ended.wait()
    return {}


async def glutton(address: str, ended: asyncio.Event) -> Seen:
    """One session that sends all it may: no attack, but more than its share if it could."""
    sender = Sender()
    await sender.connect([address])
    await sender.all_it_may(4 * SLICE_S)
    sender.forget()
    began = time.perf_counter()
    _say_ready()
    while not ended.is_set():
        await sender.all_it_may(SLICE_S)
        # Of millions, the last are enough to tell.
        del sender.latencies_ns[:-LATENCIES_MAX]
    passed = time.perf_counter() - began
    answered = sender.answered
    await sender.settle()
    await sender.client.close()
    assert sender.wrong is None, sender.wrong
    p99 = percentiles([ns / 1e3 for ns in sender.latencies_ns]).get("p99", 0.0)
    return {"answered": answered, "per_s": answered / passed, "p99_us": p99}


async def openers(address: str, ended: asyncio.Event) -> Seen:
    """Sessions without end, each left behind for the next."""

    async def one() -> int:
        count = 0
        while not ended.is_set():
            with contextlib.suppress(OSError):
                async with _attached(address):
                    count += 1
        return count

    _say_ready()
    return {"sessions": await _together(A_FEW, one)}


async def deaf(address: str, ended: asyncio.Event) -> Seen:
    """Sessions that ask on and never read what they are told."""

    async def one() -> int:
        count = 0
        while not ended.is_set():
            with contextlib.suppress(OSError):
                async with _attached(address) as (raw, session_id):
                    count += await _ask_on(raw, session_id, ended)
        return count

    _say_ready()
    return {"asked": await _together(A_FEW, one)}


async def ungrateful(address: str, ended: asyncio.Event) -> Seen:
    """Sessions that ask on, read all they are told and never acknowledge it."""

    async def one() -> int:
        count = 0
        while not ended.is_set():
            with contextlib.suppress(OSError):
                async with _attached(address) as (raw, session_id):
                    reading = asyncio.create_task(_read_all(raw), name="read")
                    try:
                        count += await _ask_on(raw, session_id, ended)
                    finally:
                        reading.cancel()
        return count

    _say_ready()
    return {"asked": await _together(A_FEW, one)}


async def _ask_on(raw: socket.socket, session_id: int, ended: asyncio.Event) -> int:
    """Send long messages, whatever the credit, until the connection ends; return how many."""
    sequence, rest = 0, b""
    batch = encode_ingress_batch([bytes(LONG_BYTES)])
    while not ended.is_set():
        if not rest:
            sequence += 1
            rest = encode_message(Ingress(session_id, sequence, 0, 1, batch))
        with contextlib.suppress(BlockingIOError):
            try:
                rest = rest[raw.send(rest) :]
            except ConnectionError:
                break
        await asyncio.sleep(0.02)
    return sequence


async def _pause(ended: asyncio.Event, seconds: float) -> None:
    """Wait, no longer than until the end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended.wait()


async def _read_all(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while await asyncio.get_running_loop().sock_recv(raw, 1 << 20):
            pass


ATTACKS: dict[str, Attack] = {
    each.__name__: each
    for each in (
        crowd,
        arrivals,
        churn,
        pings,
        crumbs,
        trickle,
        promises,
        glutton,
        openers,
        deaf,
        ungrateful,
    )
}
