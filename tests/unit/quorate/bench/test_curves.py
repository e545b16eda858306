import pytest

from quorate.bench.curves import Bar, bars, nines
from quorate.bench.figures import Figure, Measured, Target
from quorate.bench.machine import Probe
from quorate.bench.run import Block
from quorate.config import Durability

PROBE = Probe(146, 343, 18, 18, 0.1, 5.0)


def test_a_curve_goes_up_with_the_share_of_faster_samples() -> None:
    across, up = nines({3_000_000: 90, 1_000_000: 900, 9_000_000: 10})
    assert up == [1, 3, 9]
    assert across == pytest.approx([1, 10, 100])


def test_a_curve_ends_where_too_few_samples_lie_beyond() -> None:
    _, up = nines({1_000_000: 991, 9_000_000: 9})
    assert up == [1]


def test_bars_are_throughputs_with_a_target() -> None:
    figures = [
        Figure("deep window", "/s", (1.0, 3.0, 2.0), Target(5, at_least=True)),
        Figure("without target", "/s", (1.0,)),
        Figure("p50", "us", (1.0,), Target(5)),
    ]
    block = Block("closed", Durability.FSYNC, Measured(figures), PROBE, PROBE)
    assert bars([block]) == [Bar("closed, fsync", 2, 1, 3, 5)]
