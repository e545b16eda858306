"""What every test run shares: Hypothesis profiles and the marks that follow from a test's folder.

pytest-randomly prints the seed of the order; ``pytest --randomly-seed=N`` repeats it.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).resolve().parent

# No deadline: a loaded machine is not a wrong program. Not derandomised: every run looks at new
# examples, and `print_blob` gives the line that repeats a failure. `.ci/run` takes the fixed ones.
settings.register_profile("quick", deadline=None, derandomize=False, print_blob=True)
settings.register_profile("fixed", settings.get_profile("quick"), derandomize=True)
settings.register_profile(
    "nightly",
    settings.get_profile("quick"),
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

MARK_OF_FOLDER = {
    "integration": "integration",
    "kubernetes": "kubernetes",
    "simulation": "simulation",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by folder, so that none can run in the wrong group for want of a mark."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        mark = MARK_OF_FOLDER.get(item.path.relative_to(TESTS).parts[0])
        if mark is not None:
            item.add_marker(mark)
