"""Whole clusters under faults, edits, drains and ending operators; ``walk`` says what is promised.

A failure is repeated with ``python -m quorate_kubernetes_model.walk --seed N``.
"""

import pytest

from quorate_kubernetes_model.walk import walk


@pytest.mark.parametrize("seed", range(24))
def test_no_promise_is_broken_and_everything_heals(seed: int) -> None:
    marks = walk(seed).marks
    assert marks, "the walk came to an end that it does not know"
