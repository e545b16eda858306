import json

import pytest

from quorate.bench import report
from quorate.bench.figures import Figure, Measured, Target
from quorate.bench.machine import Probe
from quorate.bench.run import Block, Failure
from quorate.config import Durability

REFERENCE = Probe(146, 343, 18, 18, 0.1, 5.0)
SLOW = Probe(292, 700, 20, 52, 0.4, 5.5)
THROUGHPUT = Figure(
    "deep window", "/s", (100_000, 160_000, 155_000.4), Target(150_000, at_least=True), "Aeron 403"
)
CORES = Figure("busy, leader", "cores", (0.9, 1.0, 0.8))
IDLE = Figure("idle p50", "us", (900, 1_100, 1_000), Target(600), is_bound_by_machine=True)


def block(
    *figures: Figure, probe: Probe = REFERENCE, durability: Durability = Durability.FSYNC
) -> Block:
    return Block("idle", durability, Measured(figures, [{"count": 3}]), probe, probe)


def test_a_section_has_the_machine_and_a_line_for_each_figure() -> None:
    head, *lines = report.section(
        Block("closed", Durability.FSYNC, Measured([THROUGHPUT, CORES]), REFERENCE, SLOW)
    ).splitlines()
    assert head.startswith("closed, fsync | data sync 146, 292 us (reference 146)")
    assert "on one core 18, 20 us, on two 18, 52 us (reference 18)" in head
    assert head.endswith("load 0.1, stolen 0.5 s")
    assert "155,000/s  (100,000/s to 160,000/s)" in lines[0]
    assert lines[0].endswith("≥ 150,000/s: met  best peers: Aeron 403")
    assert lines[1].split()[-5:] == ["(0.80", "cores", "to", "1.00", "cores)"]


def test_columns_are_aligned() -> None:
    _, first, second = report.section(block(THROUGHPUT, CORES)).splitlines()
    assert first.index("  (100,000") == second.index("  (0.80")


@pytest.mark.parametrize(
    ("probe", "durability", "expected"),
    [
        (REFERENCE, Durability.FSYNC, "≤ 600.0 us: MISSED"),
        # Two round trips and a sync take (2 * 36 + 292) / (2 * 18 + 146) = 2 times as long.
        (SLOW, Durability.FSYNC, "≤ 600.0 us, here ≤ 1.20 ms: met"),
        (SLOW, Durability.REPLICATED, "≤ 600.0 us, here ≤ 1.20 ms: met"),
    ],
)
def test_a_latency_is_judged_by_what_the_machine_can_do(
    probe: Probe, durability: Durability, expected: str
) -> None:
    assert report.verdict(IDLE, block(IDLE, probe=probe, durability=durability)) == expected


def test_throughput_is_not_excused_by_a_slow_disk() -> None:
    slow = Figure("deep window", "/s", (90_000.0,), Target(100_000, at_least=True))
    assert report.verdict(slow, block(slow, probe=SLOW)) == "≥ 100,000/s: MISSED"


def test_a_fast_machine_does_not_make_targets_harder() -> None:
    fast = Probe(50, 60, 5, 5, 0.1, 0)
    figure = Figure("idle p50", "us", (550.0,), Target(600), is_bound_by_machine=True)
    assert report.bound_scale(figure, block(figure, probe=fast)) == 1
    assert report.verdict(figure, block(figure, probe=fast)) == "≤ 600.0 us: met"


def test_latencies_are_shown_in_round_trips_and_syncs() -> None:
    assert report.in_machine_terms(IDLE, block(IDLE, probe=SLOW)) == "27.8 trips, 3.4 syncs"
    replicated = block(IDLE, probe=SLOW, durability=Durability.REPLICATED)
    assert report.in_machine_terms(IDLE, replicated) == "27.8 trips"
    assert report.in_machine_terms(THROUGHPUT, replicated) == ""


def test_json_holds_every_repeat_the_machine_and_failures() -> None:
    text = report.to_json(
        [block(THROUGHPUT, IDLE, probe=SLOW)],
        [Failure("stop", Durability.FSYNC, "NotConnected: no leader")],
        {"quick": True},
    )
    document = json.loads(text)
    assert document["options"] == {"quick": True}
    assert document["machine"]["cores"] >= 1
    assert document["failures"] == [
        {"part": "stop", "durability": "fsync", "reason": "NotConnected: no leader"}
    ]
    (only,) = document["blocks"]
    assert (only["part"], only["durability"]) == ("idle", "fsync")
    assert only["before"]["sync_p50"] == 292
    assert only["details"] == [{"count": 3}]
    first, second = only["figures"]
    assert first["values"] == [100_000, 160_000, 155_000.4]
    assert (first["target"], first["met"]) == (150_000, True)
    assert second["target_here"] == pytest.approx(1_200)
    assert second["met"] is True


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (999.4, "us", "999.4 us"),
        (1_500, "us", "1.50 ms"),
        (12_345.6, "/s", "12,346/s"),
        (0.954, "x", "0.95 x"),
        (10_000_000, "", "10,000,000"),
    ],
)
def test_figures_for_people(value: float, unit: str, expected: str) -> None:
    assert report.shown(value, unit) == expected
