"""Hostile clients in a process of their own, so that what they cost is not the victim's clients'.

``python -m quorate_overload.attacker NAME HOST:PORT SECONDS`` prints ``ready`` once the attack has
its full strength, keeps it up for that long, and then says what it has seen as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager

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
from quorate_overload.traffic import Sender

CROWD = 10_500
SOME = 50
OPENED_BYTES = 40
Seen = dict[str, int]
Attack = Callable[[str, float], Coroutine[None, None, Seen]]


def ready() -> None:
    """Say that the attack has its full strength."""
    print("ready", flush=True)


def opening() -> bytes:
    """Return the open of a new session."""
    return encode_message(Open(1, 1, ANY_CLUSTER, secrets.token_bytes(16), 0, 0, 0, "attacker"))


def passing(seconds: float) -> Iterator[None]:
    """Yield until the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield


@asynccontextmanager
async def attached(address: str) -> AsyncIterator[tuple[socket.socket, int]]:
    """Open a session; yield the socket and the session's id."""
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setblocking(False)
        await loop.sock_connect(raw, split_address(address))
        await loop.sock_sendall(raw, opening())
        # The answer is short, and nothing else comes with it.
        answer = await loop.sock_recv(raw, 4096)
        if len(answer) < OPENED_BYTES:
            raise ConnectionError("no session")
        yield raw, int.from_bytes(answer[10:18], "little")


async def crowd(address: str, seconds: float) -> Seen:
    """More connections than there may be; none asks for anything."""
    host, port = split_address(address)
    sockets: list[socket.socket] = []
    refused = 0
    for number in range(CROWD):
        one = socket.socket()
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            one.connect((host, port))
        sockets.append(one)
        if number % 50 == 0:
            # As fast as they are taken, and not all in one gulp of the backlog.
            await asyncio.sleep(0.01)
    ready()
    await asyncio.sleep(seconds)
    for one in sockets:
        with contextlib.suppress(OSError):
            refused += not one.recv(100) or True
    for one in sockets:
        one.close()
    return {"refused": refused}


async def churn(address: str, seconds: float) -> Seen:
    """Connections that come and go, with an open, without, and with half of one."""
    host, port = split_address(address)
    count = 0
    ready()
    for _ in passing(seconds):
        with contextlib.suppress(OSError), socket.create_connection((host, port)) as one:
            one.sendall(opening()[: count % 3 * 40])
        count += 1
    return {"connections": count}


async def pings(address: str, seconds: float) -> Seen:
    """Signs of life without end, whose answers are read."""

    async def one() -> int:
        count = 0
        async with attached(address) as (raw, _):
            reading = asyncio.create_task(_read_all(raw), name="read")
            flood = encode_keep_alive() * 2000
            for _ in passing(seconds):
                with contextlib.suppress(BlockingIOError):
                    count += raw.send(flood) // len(encode_keep_alive())
                await asyncio.sleep(0.001)
            reading.cancel()
        return count

    ready()
    return {"pings": sum(await asyncio.gather(*(one() for _ in range(5))))}


async def crumbs(address: str, seconds: float) -> Seen:
    """Ingress in pieces of a byte, from many sessions."""

    async def one() -> int:
        count = 0
        async with attached(address) as (raw, session_id):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            message = encode_message(Ingress(session_id, 1, 0, 1, encode_ingress_batch([b"crumb"])))
            for _ in passing(seconds):
                raw.send(message[count % len(message) :][:1])
                count += 1
                await asyncio.sleep(0.002)
        return count

    ready()
    return {"crumbs": sum(await asyncio.gather(*(one() for _ in range(SOME))))}


async def promises(address: str, seconds: float) -> Seen:
    """Sessions that begin the longest message and never end it: more than may be held of these."""
    head = CLIENT_MESSAGE_BYTES_MAX - 1
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2 * SOME):
            raw, session_id = await stack.enter_async_context(attached(address))
            data = ingress_header(session_id, 1, 0, 1, head - 35) + bytes(head - 36)
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(raw, data[:-8])
        ready()
        await asyncio.sleep(seconds)
    return {}


async def glutton(address: str, seconds: float) -> Seen:
    """One session that sends all it may: no attack, but more than its share if it could."""
    sender = Sender()
    await sender.connect([address])
    await sender.all_it_may(0.4)
    ready()
    sender.forget()
    await sender.all_it_may(seconds)
    answered = sender.answered
    await sender.client.close()
    return {"answered": answered}


async def openers(address: str, seconds: float) -> Seen:
    """Sessions without end, each left behind for the next."""
    count = 0
    ready()
    for _ in passing(seconds):
        with contextlib.suppress(OSError):
            async with attached(address):
                count += 1
    return {"sessions": count}


async def deaf(address: str, seconds: float) -> Seen:
    """Sessions that ask on and never read what they are told."""

    async def one() -> int:
        sequence = 0
        async with attached(address) as (raw, session_id):
            for _ in passing(seconds):
                sequence += 1
                batch = encode_ingress_batch([bytes(20_000)])
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    raw.send(encode_message(Ingress(session_id, sequence, 0, 1, batch)))
                await asyncio.sleep(0.02)
        return sequence

    ready()
    return {"asked": sum(await asyncio.gather(*(one() for _ in range(5))))}


async def _read_all(raw: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(raw, 1 << 20):
        pass


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (crowd, churn, pings, crumbs, promises, glutton, openers, deaf)
}


def main() -> None:
    """Attack as the command line says."""
    name, address, seconds = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(asyncio.run(ATTACKS[name](address, float(seconds)))), flush=True)


if __name__ == "__main__":
    main()
