from pathlib import Path

from quorate.bench.machine import loopback_latency, sync_latency


def test_a_sync_takes_time_and_leaves_no_file(tmp_path: Path) -> None:
    measured = sync_latency(tmp_path, 20)
    assert measured["p50"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_round_trip_takes_time() -> None:
    assert loopback_latency(20)["p50"] > 0
