"""What the disk and the loopback of this machine do: the physical limit of the figures beside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from quorate.bench.echo_process import MESSAGE_BYTES, receive
from quorate.bench.figures import percentiles
from quorate.bench.processes import stolen_seconds

BLOCK_BYTES = 4096
FILE_BYTES = 16 * 1024 * 1024
SYNC_COUNT = 1_000
TRIP_COUNT = 2_000
CONNECT_TIMEOUT_S = 30.0
_PIECE = bytes(256 * 1024)


@dataclass(frozen=True, slots=True)
class Probe:
    """One look at the machine; latencies in microseconds."""

    sync_p50: float
    sync_p99: float
    near_trip_p50: float
    """Round trip of two processes on one core."""
    far_trip_p50: float
    """On two cores: a virtual machine may take much longer to wake up another core."""
    load_average: float
    """Of the last minute, so mostly of what was measured before."""
    stolen_s: float
    """Processor time that the host has kept from this machine since it started."""

    @property
    def trip_p50(self) -> float:
        """The mean of both: the processes of a cluster use all cores."""
        return (self.near_trip_p50 + self.far_trip_p50) / 2


def probe(directory: Path) -> Probe:
    """Look at disk and loopback; takes about a second.

    Blocking:
        Syncs ``SYNC_COUNT`` times and waits for another process.

    """
    load_average = os.getloadavg()[0]
    sync = sync_latency(directory, SYNC_COUNT)
    near, far = (loopback_latency(TRIP_COUNT, far=far)["p50"] for far in (False, True))
    return Probe(sync["p50"], sync["p99"], near, far, load_average, stolen_seconds())


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


def loopback_latency(count: int, *, far: bool) -> dict[str, float]:
    """Send 100 bytes to another process and back, with blocking sockets.

    Args:
        count: Round trips.
        far: Whether the other process runs on another core, if there is one.

    Returns:
        Percentiles in microseconds.

    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(CONNECT_TIMEOUT_S)
        port = str(server.getsockname()[1])
        echo = subprocess.Popen([sys.executable, "-m", "quorate.bench.echo_process", port])
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[0]})
        try:
            os.sched_setaffinity(echo.pid, {cores[-1 if far else 0]})
            connection, _ = server.accept()
            connection.settimeout(None)
            with connection:
                samples = _round_trips(connection, count)
        except BaseException:
            echo.kill()
            raise
        finally:
            os.sched_setaffinity(0, cores)
            echo.wait()
    return percentiles(samples)


def _round_trips(connection: socket.socket, count: int) -> list[float]:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message, samples = b"x" * MESSAGE_BYTES, []
    for _ in range(count):
        began = time.perf_counter()
        connection.sendall(message)
        receive(connection)
        samples.append((time.perf_counter() - began) * 1e6)
    return samples
