import pytest

from quorate.bench.schedule import held, histogram, late_us


def test_a_message_is_late_from_when_it_was_due() -> None:
    rows = [(100.0015, 2), (100.0025, 3)]
    late = late_us(rows, began=100.0, rate=1_000, warm_up_s=0)
    assert late == pytest.approx([1_500, 500, 500], abs=1e-3)


def test_a_pause_is_charged_to_all_that_were_due_meanwhile() -> None:
    late = late_us([(1.0, 1_000)], began=0.0, rate=1_000, warm_up_s=0)
    assert late[0] == pytest.approx(1e6)
    assert late[-1] == pytest.approx(1_000)
    assert sum(late) / 1_000 == pytest.approx(500_500)


def test_what_is_due_in_the_warm_up_does_not_count() -> None:
    late = late_us([(0.5, 10), (1.0, 20)], began=0.0, rate=20, warm_up_s=0.5)
    assert len(late) == 10


def test_a_rate_is_held_when_all_was_done_in_time() -> None:
    rows = [(10.5, 50), (11.0, 100), (12.0, 101)]
    assert held(rows, began=10.0, rate=100, seconds=1.0) == 1.0
    assert held(rows, began=10.0, rate=200, seconds=1.0) == 0.5
    assert held([], began=10.0, rate=100, seconds=1.0) == 0.0


def test_a_histogram_keeps_three_digits() -> None:
    assert histogram([0.0, 1.0004, 1.0001, 123.4567, 98_765.4]) == {
        0: 1,
        1_000: 2,
        123_000: 1,
        98_800_000: 1,
    }


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    assert histogram([-0.5]) == {0: 1}
