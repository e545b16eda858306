from pathlib import Path

import pytest

from quorate.bench.parts import Plan, gap_at, last_to_first


def test_the_gap_of_a_kill_is_the_longest_that_it_can_have_caused() -> None:
    gaps = [(1.0, 1.9), (10.0, 10.05), (10.2, 10.3), (30.0, 40.0)]
    assert gap_at(10.01, gaps) == pytest.approx(0.1)


def test_a_gap_that_was_under_way_at_the_kill_counts_whole() -> None:
    assert gap_at(5.0, [(4.9, 5.4)]) == pytest.approx(0.5)


def test_a_kill_without_a_gap_has_none() -> None:
    assert gap_at(5.0, [(1.0, 2.0), (20.0, 21.0)]) == 0.0


def test_a_steady_rate_has_ratio_one() -> None:
    samples = [(second * 0.25, second * 25) for second in range(41)]
    assert last_to_first(samples) == pytest.approx(1.0)


def test_a_rate_that_halves_has_ratio_one_half() -> None:
    samples = [(float(second), 100 * second) for second in range(21)]
    samples += [(20.0 + second, 2_000 + 50 * second) for second in range(1, 21)]
    assert last_to_first(samples) == pytest.approx(0.5)


def test_a_quick_plan_still_repeats(tmp_path: Path) -> None:
    plan = Plan(tmp_path).quick()
    assert plan.repeats == 3
    assert plan.kills == 3
    assert plan.closed_s < Plan(tmp_path).closed_s
