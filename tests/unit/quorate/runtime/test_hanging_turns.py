"""A turn that does not end is told of, with where it stands, once."""

from __future__ import annotations

import logging
import threading

import pytest

from quorate.runtime.hanging_turns import LOOKS, HangingTurns

SECOND = 1_000_000_000


def fields_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.__dict__["fields"] for record in caplog.records]


def looking(turns: list[int], limit_ns: int = 10 * SECOND) -> HangingTurns:
    return HangingTurns(lambda: turns[-1], limit_ns, seat=2, thread_id=threading.get_ident())


def test_a_turn_that_many_looks_have_found_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns = [7]
    watch = looking(turns)
    for _ in range(LOOKS):
        watch.look()
    assert caplog.records == []
    for _ in range(3 * LOOKS):
        watch.look()
    (fields,) = fields_of(caplog)
    assert (fields["seat"], fields["seconds"]) == (2, 10.0)
    turns.append(8)
    for _ in range(LOOKS + 1):
        watch.look()
    assert len(caplog.records) == 2
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_turns_that_end_and_a_loop_that_waits_are_nothing_to_tell(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns = [0]
    watch = looking(turns)
    for number in range(5 * LOOKS):
        watch.look()
        watch.look()
        turns.append(number % 3)
    turns.append(0)
    for _ in range(5 * LOOKS):
        watch.look()
    assert caplog.records == []


def test_what_hangs_is_named_innermost_first(caplog: pytest.LogCaptureFixture) -> None:
    records, turns = caplog.records, [0]

    def never_returns() -> None:
        with looking(turns, limit_ns=4_000_000):
            # Not before: the start of the watch waits for its thread, and is not what hangs.
            turns.append(7)
            while not records:
                pass

    never_returns()
    (fields,) = fields_of(caplog)
    calls = str(fields["where"]).split("; ")
    assert calls[0].startswith(f"never_returns ({__file__}:")
    assert calls[1].startswith("test_what_hangs_is_named_innermost_first (")
