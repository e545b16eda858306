"""Whole clusters under faults, edits, drains and ending operators; ``walk`` says what is promised.

The seeds are fixed, so that the verdict is the same on every machine; new ones are tried with
``python -m quorate_kubernetes_model.walk --seconds 60 --first N``, and one that failed is repeated
with ``--seed N``.
"""

import functools
from collections import Counter

import pytest

from quorate_kubernetes_model.walk import marks_of, walk

SEEDS = range(48)
REACHED = (
    "healed",
    "majority lost",
    "replicas differ",
    "all volumes lost",
    "older template",
    "drain waits",
    "late call",
    "second look differs",
    "founding asked",
    "evicted",
    "deleted dead",
    "deleted alive",
    "deleted before the founding",
    "transfer: Updating",
    "transfer: HandingOver",
    "update stopped",
    "update stuck",
    "told at a deadline",
)


@functools.cache
def reached(seed: int) -> Counter[str]:
    return marks_of(walk(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_promise_is_broken_and_everything_heals(seed: int) -> None:
    assert reached(seed), "the walk came to an end that it does not know"


def test_these_seeds_come_to_what_they_are_there_for() -> None:
    marks = sum((reached(seed) for seed in SEEDS), Counter[str]())
    missing = [name for name in REACHED if not marks[name]]
    assert not missing, f"no seed comes to {missing}: choose others"
