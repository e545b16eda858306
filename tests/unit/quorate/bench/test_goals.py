import pytest

from quorate.bench.figures import Figure, Target
from quorate.bench.goals import GOALS, scale, with_goal
from quorate.config import Durability


def test_a_row_has_a_target_for_each_durability() -> None:
    figure = Figure("deep window", "/s", (1.0,))
    fsync = with_goal(figure, "closed", Durability.FSYNC)
    replicated = with_goal(figure, "closed", Durability.REPLICATED)
    assert fsync.target == Target(300_000, at_least=True)
    assert replicated.target == Target(400_000, at_least=True)
    assert "403,000" in fsync.peer
    assert "528,000" in replicated.peer


def test_what_is_no_row_has_no_target() -> None:
    figure = Figure("p99.9", "us", (1.0,))
    assert "idle p99.9" not in GOALS
    assert with_goal(figure, "idle p99.9", Durability.FSYNC) is figure


def test_the_reference_machine_has_scale_one() -> None:
    assert scale(146, 18, Durability.FSYNC) == 1
    assert scale(146, 18, Durability.REPLICATED) == 1


def test_only_fsync_waits_for_the_disk() -> None:
    assert scale(1_460, 18, Durability.REPLICATED) == 1
    assert scale(1_460, 18, Durability.FSYNC) == pytest.approx((36 + 1_460) / 182)
