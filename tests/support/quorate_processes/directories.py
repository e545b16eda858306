"""Directories of ``quorate dev``: opened, or refused with one problem."""

from __future__ import annotations

import pytest

from quorate.dev.layout import DevDirectory, DevOptions
from quorate.errors import ConfigurationError


def opened(options: DevOptions) -> DevDirectory:
    """Open and close again, as a supervisor that ended would have."""
    directory = DevDirectory.open(options)
    directory.close()
    return directory


def problem_of(options: DevOptions) -> str:
    """Return the one problem for which it is refused."""
    with pytest.raises(ConfigurationError) as raised:
        DevDirectory.open(options)
    (problem,) = raised.value.problems
    return problem
