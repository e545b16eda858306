import pytest

from quorate.bench.failover import Blow, _longest, gap_within


def test_the_gap_of_a_kill_is_the_longest_that_overlaps_its_time() -> None:
    gaps = [(1.0, 1.9), (10.0, 10.05), (10.2, 10.3), (30.0, 40.0)]
    assert gap_within(10.01, 12.0, gaps) == pytest.approx(0.1)


def test_a_gap_that_was_under_way_at_the_kill_counts_whole() -> None:
    assert gap_within(5.0, 6.0, [(4.9, 5.4)]) == pytest.approx(0.5)


def test_a_kill_without_a_gap_has_none() -> None:
    assert gap_within(5.0, 6.0, [(1.0, 2.0), (20.0, 21.0)]) == 0.0


def test_a_gap_belongs_to_the_kill_or_to_the_return() -> None:
    blows = [Blow(at=10, returned_at=11, until=13), Blow(at=13, returned_at=14, until=16)]
    gaps = [(10.0, 10.1), (12.0, 12.02), (12.99, 13.19), (15.9, 15.95)]
    at_the_kill, at_the_return = _longest(blows, gaps)
    assert at_the_kill == pytest.approx((100, 200))
    assert at_the_return == pytest.approx((20, 50))
