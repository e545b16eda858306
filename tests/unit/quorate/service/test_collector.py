from __future__ import annotations

import pytest

from quorate.service.api import LimitExceeded, NotAllowedHere
from quorate.service.collector import Collector
from quorate.service.sessions import Session


def collecting() -> tuple[Collector, Session]:
    collector = Collector()
    collector.forbidden = None
    collector.message_bytes_max = 10
    collector.self_messages_left = 2
    return collector, Session(64, bytes(16), b"", "", 0, collector)


def test_between_callbacks_everything_is_refused_with_the_reason() -> None:
    collector, session = collecting()
    collector.forbidden = "on_query"
    for effect in (
        lambda: collector.admits(session),
        lambda: collector.ask_close(session),
        lambda: collector.offer_to_itself(b"x"),
        lambda: collector.check_timer("cluster.schedule_timer", 1, 1),
    ):
        with pytest.raises(NotAllowedHere, match="is not allowed in on_query"):
            effect()
    assert not collector.dirty


def test_what_was_asked_is_dropped_by_a_roll_back() -> None:
    collector, session = collecting()
    session.offer(b"before")
    collector.clear()
    session.offer(b"dropped")
    session.offer(b"dropped")
    session.close()
    collector.offer_to_itself(b"dropped")
    collector.set_timer(1, 5)
    collector.timers_added += 1
    was_dirty = collector.dirty
    collector.roll_back()
    assert session.parts[1:] == [b"before"]
    assert (was_dirty, collector.dirty) == (True, False)
    empty = (collector.marks, collector.closes, collector.self_messages, collector.timers)
    assert not any(empty)
    assert collector.timers_added == 0


def test_messages_to_itself_are_counted_and_measured() -> None:
    collector, _ = collecting()
    for wrong in ("x", bytearray(b"x"), None):
        with pytest.raises(TypeError):
            collector.offer_to_itself(wrong)  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded, match="exceeds 10"):
        collector.offer_to_itself(bytes(11))
    collector.offer_to_itself(bytes(10))
    collector.offer_to_itself(b"")
    with pytest.raises(LimitExceeded, match="self_messages_max"):
        collector.offer_to_itself(b"")
    assert len(collector.self_messages) == 2


def test_a_session_that_has_ended_is_neither_offered_to_nor_ended() -> None:
    collector, session = collecting()
    session.is_open = False
    admitted = collector.admits(session)
    collector.ask_close(session)
    assert (admitted, collector.dirty) == (False, False)


@pytest.mark.parametrize("value", [-1, 2**63])
def test_numbers_of_timers_fit_a_snapshot(value: int) -> None:
    collector, _ = collecting()
    for pair in ((value, 0), (0, value)):
        with pytest.raises(ValueError, match="outside"):
            collector.check_timer("x", *pair)
    collector.check_timer("x", 0, 2**63 - 1)
