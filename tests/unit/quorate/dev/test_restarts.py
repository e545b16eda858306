"""When a member that ended is started again."""

from __future__ import annotations

import pytest

from quorate.dev.restarts import DELAY_MAX_S, FIRST_DELAY_S, STEADY_S, RestartPolicy


@pytest.mark.parametrize("code", [2, 3, 5, 6, 7])
def test_what_a_restart_cannot_cure_stays_down(code: int) -> None:
    assert RestartPolicy().delay_after(code, ran_s=1000) is None


@pytest.mark.parametrize("code", [0, 1, 4, -9, -15, 77])
def test_everything_else_starts_again_soon(code: int) -> None:
    assert RestartPolicy().delay_after(code, ran_s=1000) == FIRST_DELAY_S


def test_the_delay_doubles_up_to_a_bound_and_begins_anew_after_a_steady_run() -> None:
    policy = RestartPolicy()
    delays = [policy.delay_after(-9, ran_s=0) for _ in range(10)]
    assert delays[:4] == [FIRST_DELAY_S * factor for factor in (1, 2, 4, 8)]
    assert delays[-1] == DELAY_MAX_S
    # One that fails for a night; the supervisor of the others once ended with it.
    assert {policy.delay_after(-9, ran_s=0) for _ in range(10_000)} == {DELAY_MAX_S}
    assert policy.delay_after(-9, ran_s=STEADY_S) == FIRST_DELAY_S
    assert policy.delay_after(-9, ran_s=0) == FIRST_DELAY_S
    assert policy.delay_after(-9, ran_s=0) == 2 * FIRST_DELAY_S


@pytest.mark.parametrize("before", [0, 1, -9])
def test_a_configuration_that_was_good_before_may_be_good_again(before: int) -> None:
    policy = RestartPolicy()
    policy.delay_after(before, ran_s=STEADY_S)
    delays = [policy.delay_after(2, ran_s=0) for _ in range(10)]
    assert delays[:3] == [FIRST_DELAY_S * factor for factor in (1, 2, 4)]
    assert delays[-1] == DELAY_MAX_S


def test_a_configuration_that_never_was_good_stays_down_however_often_it_is_tried() -> None:
    policy = RestartPolicy()
    assert [policy.delay_after(2, ran_s=0) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize("code", [3, 5, 6, 7])
def test_other_ends_for_good_are_so_also_for_one_that_has_run(code: int) -> None:
    policy = RestartPolicy()
    policy.delay_after(-9, ran_s=STEADY_S)
    assert policy.delay_after(code, ran_s=0) is None
