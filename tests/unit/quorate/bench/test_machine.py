import os
from pathlib import Path

from quorate.bench.machine import Probe, loopback_latency, sync_latency
from quorate.bench.processes import (
    busy_seconds,
    process_seconds,
    resident_mib,
    stolen_seconds,
)


def test_a_sync_takes_time_and_leaves_no_file(tmp_path: Path) -> None:
    measured = sync_latency(tmp_path, 20)
    assert measured["p50"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_round_trip_takes_time_and_leaves_this_thread_free() -> None:
    before = os.sched_getaffinity(0)
    assert loopback_latency(20, far=False)["p50"] > 0
    assert loopback_latency(20, far=True)["p50"] > 0
    assert os.sched_getaffinity(0) == before


def test_the_round_trip_is_between_near_and_far() -> None:
    assert Probe(100, 200, 20, 120, 0.5, 3).trip_p50 == 70


def test_processes_use_time_and_memory() -> None:
    assert process_seconds(os.getpid()) > 0
    assert 1 < resident_mib(os.getpid()) < 10_000
    assert stolen_seconds() >= 0
    assert busy_seconds() > process_seconds(os.getpid())
