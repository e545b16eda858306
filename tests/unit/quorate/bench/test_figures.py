import pytest

from quorate.bench.figures import Figure, Target, gather, percentiles


def test_a_figure_is_the_median_with_its_range() -> None:
    figure = Figure("messages", "/s", (3.0, 1.0, 2.0))
    assert (figure.low, figure.value, figure.high) == (1.0, 2.0, 3.0)


def test_a_figure_may_be_the_worst_of_its_repeats() -> None:
    assert Figure("gap", "ms", (3.0, 1.0, 2.0), is_worst=True).value == 3.0


@pytest.mark.parametrize(
    ("target", "met", "missed"),
    [(Target(150, at_least=True), 150, 149.9), (Target(150), 150, 150.1)],
)
def test_targets(target: Target, met: float, missed: float) -> None:
    assert target.is_met(met)
    assert not target.is_met(missed)


def test_a_target_may_be_stretched() -> None:
    assert Target(100).is_met(150, scale=1.5)
    assert not Target(100).is_met(151, scale=1.5)


def test_percentiles_need_samples_beyond_them() -> None:
    assert percentiles([1.0] * 19) == {}
    assert set(percentiles([1.0] * 20)) == {"p50"}
    assert set(percentiles([1.0] * 999)) == {"p50"}
    assert set(percentiles([1.0] * 1_000)) == {"p50", "p99"}
    assert set(percentiles([1.0] * 10_000)) == {"p50", "p99", "p99.9"}


def test_percentiles_of_samples_in_any_order() -> None:
    samples = [float(number) for number in range(9_999, -1, -1)]
    assert percentiles(samples) == {"p50": 5_000, "p99": 9_900, "p99.9": 9_990}


def test_repeats_become_one_figure_for_each_key_that_all_have() -> None:
    figures = gather("us", [{"p50": 1.0, "p99": 9.0}, {"p50": 2.0}], "idle, ")
    assert figures == [Figure("idle, p50", "us", (1.0, 2.0))]
