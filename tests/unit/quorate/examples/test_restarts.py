"""Every example goes on from its snapshot as if nothing had happened, whatever clients did."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.examples.auction import Auction
from quorate.examples.calculator import Calculator
from quorate.examples.echo import Echo
from quorate.examples.key_value import KeyValue
from quorate.examples.order_book import OrderBook
from quorate.service import ClusteredService
from quorate.testing import HarnessSession, ServiceHarness

SECOND = 1_000_000_000
NUMBERS = st.integers(1, 4)
KEYS = st.sampled_from([b"a", b"b", b"c d"])
WORDS: dict[Callable[[], ClusteredService], st.SearchStrategy[bytes]] = {
    Auction: st.one_of(
        st.builds(b"sell %d %d".__mod__, st.tuples(st.integers(1, 30), NUMBERS)),
        st.builds(b"bid %d %d".__mod__, st.tuples(NUMBERS, st.integers(1, 9))),
    ),
    Calculator: st.sampled_from([b"8", b"x5", b"+2", b"-9", b"/0", b"=", b"C", b"junk"]),
    Echo: st.binary(max_size=3),
    KeyValue: st.one_of(
        st.builds(b"put %b %b".__mod__, st.tuples(KEYS, KEYS)),
        st.builds(b"swap %b %b %b".__mod__, st.tuples(KEYS, KEYS, KEYS)),
        st.builds(b"delete %b".__mod__, KEYS),
        st.builds(b"get %b".__mod__, KEYS),
        st.just(b"count"),
    ),
    OrderBook: st.one_of(
        st.builds(b"buy %d %d".__mod__, st.tuples(NUMBERS, NUMBERS)),
        st.builds(b"sell %d %d".__mod__, st.tuples(NUMBERS, NUMBERS)),
        st.builds(b"cancel %d".__mod__, st.integers(1, 12)),
    ),
}
Action = tuple[str, int, bytes]


def actions(words: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[Action]]:
    seats = st.integers(0, 2)
    sending = st.tuples(st.just("send"), seats, words)
    others = st.tuples(st.sampled_from(["reopen", "wait", "restart"]), seats, st.just(b""))
    return st.lists(st.one_of(sending, sending, sending, others), max_size=25)


class Clients:
    """Three clients of one service, who open another session when theirs has ended."""

    def __init__(self, service: Callable[[], ClusteredService], *, restarts: bool) -> None:
        self.harness = ServiceHarness(service)
        self.seats = [self.harness.open_session(f"client {seat}") for seat in range(3)]
        self.sessions: list[HarnessSession] = list(self.seats)
        self.restarts = restarts

    def do(self, action: Action) -> None:
        kind, seat, message = action
        match kind:
            case "send":
                self.harness.feed(self.seats[seat], (message,))
            case "reopen":
                self.seats[seat].close()
                self.seats[seat] = self.harness.open_session(f"client {seat}, anew")
                self.sessions.append(self.seats[seat])
            case "wait":
                self.harness.advance(7 * SECOND)
            case "restart" if self.restarts:
                self.harness.restart()

    def heard(self) -> list[object]:
        return [(each.session_id, each.closed, each.egress) for each in self.sessions]


@pytest.mark.parametrize("service", WORDS, ids=lambda service: service.__name__)
@given(data=st.data())
def test_a_service_that_is_restarted_answers_as_one_that_is_not(
    service: Callable[[], ClusteredService], data: st.DataObject
) -> None:
    steady, restarted = Clients(service, restarts=False), Clients(service, restarts=True)
    for action in data.draw(actions(WORDS[service])):
        steady.do(action)
        restarted.do(action)
        assert restarted.heard() == steady.heard()
    assert restarted.harness.take_snapshot() == steady.harness.take_snapshot()
    steady.harness.assert_deterministic()
