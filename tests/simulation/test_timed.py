"""The timed simulation: a time budget of new seeds, fixed ones, determinism."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from quorate_simulation.budget import Budget
from quorate_simulation.command import report_timed
from quorate_simulation.linearizability import Operation, is_linearizable
from quorate_simulation.marks import TIMED_MARKS, missing
from quorate_simulation.timed import TimedResult, run_timed

BUDGET = Budget("SIMULATION")


def check(result: TimedResult) -> None:
    if result.failure is not None:
        report_timed(result)
        pytest.fail(f"{result.kind}: {result.failure}; repeat: {result.command()}")


ONCE_BROKEN = {
    "resumed over a loss: new answers under numbers that the client had seen": 7000000172,
    "frames of a tail that was about to be cut were read to be applied later": 60004607,
    "what a leader had committed was told when it led no more": 9000000257,
}


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_breaks_in_a_fixed_seed(seed: int) -> None:
    check(run_timed(seed))


@pytest.mark.parametrize("seed", ONCE_BROKEN.values(), ids=ONCE_BROKEN)
def test_what_once_broke_stays_mended(seed: int) -> None:
    check(run_timed(seed))


@pytest.mark.timeout(BUDGET.seconds * 3 + 180)
def test_nothing_breaks_in_new_seeds() -> None:
    print(BUDGET)
    marks: Counter[str] = Counter()
    runs, virtual, faults = 0, 0.0, 0
    began = time.monotonic()
    for seed in BUDGET.seeds():
        result = run_timed(seed)
        check(result)
        marks.update(result.marks)
        virtual += result.virtual
        faults += result.faults
        runs += 1
    rate = runs / (time.monotonic() - began)
    print(f"{runs} seeds, {virtual:.0f} simulated s, {faults} faults, {rate:.1f}/s")
    for name, count in sorted(marks.items()):
        print(f"{count:8} {name}")
    never = missing(TIMED_MARKS, marks, runs)
    assert not never, f"in {runs} seeds never reached: {never}"


def test_a_seed_gives_the_same_run_twice() -> None:
    assert run_timed(5).digest == run_timed(5).digest


def operation(
    client: int, kind: str, value: bytes, invoked: int, returned: int | None, result: bytes = b"-"
) -> Operation:
    made = Operation(client, kind, b"a", value, b"", invoked)
    if returned is not None:
        made.returned, made.result = returned, result
    return made


def test_the_linearizability_check_accepts_what_can_be_ordered() -> None:
    write = operation(1, "w", b"1", 0, 10)
    unanswered = operation(3, "w", b"3", 0, None)
    assert is_linearizable([write, operation(2, "r", b"", 5, 6)])
    assert is_linearizable([write, operation(2, "r", b"", 5, 6, b"1")])
    assert is_linearizable([write, unanswered, operation(2, "r", b"", 20, 21, b"3")])
    assert is_linearizable([write, unanswered, operation(2, "r", b"", 20, 21, b"1")])


def test_the_linearizability_check_refuses_what_cannot() -> None:
    write = operation(1, "w", b"1", 0, 10)
    second = operation(1, "w", b"2", 11, 12, b"1")
    assert not is_linearizable([write, operation(2, "r", b"", 11, 12)])
    assert not is_linearizable([write, operation(2, "r", b"", 11, 12, b"7")])
    assert not is_linearizable([write, second, operation(2, "r", b"", 20, 21, b"1")])
    assert not is_linearizable([write, operation(1, "w", b"2", 11, 12, b"-")])
    back = [operation(2, "r", b"", 20, 21, b"2"), operation(2, "r", b"", 22, 23, b"1")]
    assert not is_linearizable([write, operation(3, "w", b"2", 11, None), *back])
