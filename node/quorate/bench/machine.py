"""What the disk and the loopback of this machine do: the physical limit of the figures beside."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from pathlib import Path

from quorate.bench.figures import percentiles

BLOCK_BYTES = 4096
FILE_BYTES = 16 * 1024 * 1024
MESSAGE_BYTES = 100
_PIECE = bytes(256 * 1024)


def sync_latency(directory: Path, count: int) -> dict[str, float]:
    """Write 4 KiB into a pre-written file and sync, as the recording does.

    Returns:
        Percentiles in microseconds.

    """
    path = directory / "sync-probe"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for offset in range(0, FILE_BYTES, len(_PIECE)):
            os.pwrite(descriptor, _PIECE, offset)
        os.fsync(descriptor)
        block, samples = os.urandom(BLOCK_BYTES), []
        for number in range(count):
            began = time.perf_counter()
            os.pwrite(descriptor, block, number * BLOCK_BYTES % FILE_BYTES)
            os.fdatasync(descriptor)
            samples.append((time.perf_counter() - began) * 1e6)
    finally:
        os.close(descriptor)
        path.unlink()
    return percentiles(samples)


def loopback_latency(count: int) -> dict[str, float]:
    """Send 100 bytes to another process and back, with blocking sockets.

    Returns:
        Percentiles in microseconds.

    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = multiprocessing.get_context("spawn").Process(
            target=_echo, args=(server.getsockname()[1],), daemon=True
        )
        echo.start()
        connection, _ = server.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message, samples = b"x" * MESSAGE_BYTES, []
        for _ in range(count):
            began = time.perf_counter()
            connection.sendall(message)
            _receive(connection)
            samples.append((time.perf_counter() - began) * 1e6)
    echo.join()
    return percentiles(samples)


def _echo(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while message := _receive(connection):
            connection.sendall(message)


def _receive(connection: socket.socket) -> bytes:
    """Return one message, or nothing when the other side is gone."""
    data = b""
    while len(data) < MESSAGE_BYTES:
        piece = connection.recv(MESSAGE_BYTES - len(data))
        if not piece:
            return b""
        data += piece
    return data
