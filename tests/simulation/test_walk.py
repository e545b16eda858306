"""The untimed random walk: a time budget of new seeds, the seeds that once failed, determinism."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from quorate_simulation.budget import Budget
from quorate_simulation.command import report
from quorate_simulation.marks import WALK_MARKS, missing
from quorate_simulation.walk import STEPS, WalkResult, replay, run_walk

BUDGET = Budget("WALK")
FIXED = range(40)
"""Walked in every run, so that a change that breaks a common case fails the same way twice."""


def check(result: WalkResult, steps: int) -> None:
    if result.failure is not None:
        report(result, steps, shorten=True)
        pytest.fail(f"{result.kind}: {result.failure}; repeat: {result.command(steps)}")


@pytest.mark.parametrize("first", [FIXED[i] for i in range(0, len(FIXED), 10)])
def test_no_invariant_breaks_in_the_fixed_seeds(first: int) -> None:
    for seed in range(first, first + 10):
        check(run_walk(seed), STEPS)


@pytest.mark.timeout(BUDGET.seconds * 3 + 120)
def test_no_invariant_breaks_in_new_seeds() -> None:
    print(BUDGET)
    marks: Counter[str] = Counter()
    walks = 0
    began = time.monotonic()
    for seed in BUDGET.seeds():
        # Some walks are long: a few faults need two elections and a catch-up before them.
        steps = STEPS * 4 if seed % 16 == 0 else STEPS
        result = run_walk(seed, steps)
        check(result, steps)
        marks.update(result.marks)
        walks += 1
    print(f"{walks} walks: {walks / (time.monotonic() - began):.0f}/s")
    for name, count in sorted(marks.items()):
        print(f"{count:8} {name}")
    never = missing(WALK_MARKS, marks, walks)
    assert not never, f"in {walks} walks never reached: {never}"


def test_a_seed_gives_the_same_walk_twice() -> None:
    for seed in (3, 8, 21):
        first, second = run_walk(seed), run_walk(seed)
        assert first.choices == second.choices
        assert first.digest == second.digest
        assert replay(seed, first.choices).digest == first.digest


def test_deleting_choices_leaves_a_walk_that_can_be_made() -> None:
    result = run_walk(5)
    for step in (2, 3, 7):
        assert replay(5, result.choices[::step]).failure is None
