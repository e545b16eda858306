"""When a member's interpreter stops to look at all objects."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from quorate.runtime import garbage

CONNECTIONS = 10_000
OBJECTS_EACH = 25
"""More than the garbage collector sees of a connection with its session."""
EVERYTHING = 2
"""The oldest generation."""


@pytest.fixture
def looks_at_everything() -> Iterator[list[int]]:
    """Yield how many objects each look at everything has found, from a member's beginning on."""
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == EVERYTHING:
            found.append(info["collected"])

    before = gc.get_threshold()
    garbage.settle()
    gc.callbacks.append(note)
    try:
        yield found
    finally:
        gc.callbacks.remove(note)
        gc.unfreeze()
        gc.set_threshold(*before)


def test_ten_thousand_clients_that_come_cost_no_look_at_everything(
    looks_at_everything: list[int],
) -> None:
    crowd = [[[] for _ in range(OBJECTS_EACH)] for _ in range(CONNECTIONS)]
    assert len(crowd) == CONNECTIONS
    assert looks_at_everything == []


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_a_cycle_that_has_become_old_is_found_in_the_end(looks_at_everything: list[int]) -> None:
    cycle, gone = Cycle(), []
    watch = weakref.ref(cycle, gone.append)
    gc.collect(1)
    del cycle
    assert watch() is not None, "reached only by itself, but old"
    kept = []
    most = 2 * garbage.YOUNG_OBJECTS * garbage.YOUNG_LOOKS * garbage.LOOKS_AT_MIDDLE
    # Not `watch() is not None`: since CPython 3.12 a look begins between two instructions, and
    # what was asked for would hold the cycle at just that moment, each time.
    while not gone and len(kept) < most:
        kept.append([])
    assert gone
    assert looks_at_everything
