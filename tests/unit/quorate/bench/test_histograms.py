from pathlib import Path

from quorate.bench.figures import Measured
from quorate.bench.histograms import recorded, write_histograms
from quorate.bench.machine import Probe
from quorate.bench.run import Block
from quorate.config import Durability

PROBE = Probe(146, 343, 18, 18, 0.1, 5.0)


def test_a_histogram_knows_its_percentiles() -> None:
    histogram = recorded({1_000_000: 900, 3_000_000: 90, 9_000_000: 10, 0: 1})
    assert histogram.get_total_count() == 1_001
    assert abs(histogram.get_value_at_percentile(50) - 1_000_000) < 2_000
    assert abs(histogram.get_value_at_percentile(99.9) - 9_000_000) < 18_000


def test_each_row_gets_a_file_in_microseconds(tmp_path: Path) -> None:
    measured = Measured([], (), {"open-10k": {250_000: 99, 4_000_000: 1}})
    block = Block("open-10k", Durability.REPLICATED, measured, PROBE, PROBE)
    (path,) = write_histograms([block], tmp_path)
    assert path == tmp_path / "open-10k-replicated.hgrm"
    text = path.read_text()
    assert text.split()[:2] == ["Value", "Percentile"]
    assert "250." in text
    assert "TotalCount     =      100.000" in text
