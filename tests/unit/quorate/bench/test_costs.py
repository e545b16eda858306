import pytest

from quorate.bench.costs import last_to_first, last_to_half, share_of_possible


def test_a_steady_rate_has_ratio_one() -> None:
    samples = [(second * 0.25, second * 25) for second in range(41)]
    assert last_to_first(samples) == pytest.approx(1.0)


def test_a_rate_that_halves_has_ratio_one_half() -> None:
    samples = [(float(second), 100 * second) for second in range(21)]
    samples += [(20.0 + second, 2_000 + 50 * second) for second in range(1, 21)]
    assert last_to_first(samples) == pytest.approx(0.5)


def test_the_warm_up_is_left_out_of_the_first_quarter() -> None:
    samples = [(float(second), 0) for second in range(5)]
    samples += [(5.0 + second, 100 * second) for second in range(35)]
    assert last_to_first(samples) == pytest.approx(1.0)


def test_two_samples_are_enough() -> None:
    assert last_to_first([(0.0, 0), (1.0, 100)]) == pytest.approx(1.0)


def test_memory_is_the_largest_member_s() -> None:
    rows = [[50.0, 60.0], [50.0, 80.0], [70.0, 60.0], [88.0, 60.0]]
    assert last_to_half(rows) == pytest.approx(88 / 70)


def test_a_service_is_held_against_a_thread_and_against_the_cores() -> None:
    # Without work 250,000/s at 2 cores: 4 us of one thread, 8 us of processor time a message.
    one_thread, cores = share_of_possible(25_000, 250_000, 2.0)
    assert one_thread == pytest.approx(25_000 * 24e-6)
    assert cores == pytest.approx(25_000 * 68e-6 / 2)


def test_cores_that_are_not_the_limit_are_no_excuse() -> None:
    one_thread, cores = share_of_possible(25_000, 250_000, 40.0)
    assert one_thread == cores
