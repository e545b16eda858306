from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.examples import order_book
from quorate.examples.order_book import PRICE_MAX, QUANTITY_MAX, OrderBook
from quorate.testing import ServiceHarness


def test_orders_that_meet_trade_at_the_price_of_who_was_first() -> None:
    harness = ServiceHarness(OrderBook)
    seller, buyer = harness.open_session(), harness.open_session()
    assert seller.send(b"sell 10 100") == [b"accepted 1"]
    assert buyer.send(b"buy 4 105") == [b"accepted 2", b"trade 2 4 100"]
    assert seller.receive() == [b"trade 1 4 100"]
    assert buyer.send(b"buy 5 99") == [b"accepted 3"]
    assert seller.send(b"sell 9 98") == [b"accepted 4", b"trade 4 5 99"]
    assert seller.send(b"cancel 4") == [b"cancelled 4 4"]
    assert seller.send(b"cancel 1") == [b"cancelled 1 6"]
    harness.assert_deterministic()
    harness.assert_deterministic_across_processes()


def test_the_best_price_is_served_first_then_the_earliest() -> None:
    harness = ServiceHarness(OrderBook)
    seller, buyer = harness.open_session(), harness.open_session()
    seller.send(b"sell 1 102", b"sell 1 101", b"sell 1 101", b"sell 1 103")
    harness.restart()
    assert buyer.send(b"buy 4 102") == [
        b"accepted 5",
        b"trade 5 1 101",
        b"trade 5 1 101",
        b"trade 5 1 102",
    ]
    assert seller.receive() == [b"trade 2 1 101", b"trade 3 1 101", b"trade 1 1 102"]
    assert buyer.send(b"cancel 5") == [b"cancelled 5 1"]
    buyer.send(b"buy 1 90", b"buy 1 91", b"buy 1 91")
    assert seller.send(b"sell 2 91")[1:] == [b"trade 9 1 91", b"trade 9 1 91"]
    assert buyer.receive() == [b"trade 7 1 91", b"trade 8 1 91"]


@pytest.mark.parametrize("cancelled", [1, 2, 3])
@pytest.mark.parametrize(("side", "other"), [(b"buy", b"sell"), (b"sell", b"buy")])
def test_what_is_cancelled_is_the_order_that_was_named(
    side: bytes, other: bytes, cancelled: int
) -> None:
    harness = ServiceHarness(OrderBook)
    owner, taker = harness.open_session(), harness.open_session()
    owner.send(*[side + b" 1 5"] * 3, b"cancel %d" % cancelled)
    taker.send(other + b" 3 5")
    left = [order for order in (1, 2, 3) if order != cancelled]
    assert owner.receive() == [b"trade %d 1 5" % order for order in left]


def test_a_session_that_ends_takes_its_orders_with_it() -> None:
    harness = ServiceHarness(OrderBook)
    seller, buyer = harness.open_session(), harness.open_session()
    seller.send(b"sell 1 100", b"sell 1 101")
    buyer.send(b"buy 1 99")
    seller.close()
    assert buyer.send(b"buy 5 200") == [b"accepted 4"]
    harness.assert_deterministic()


def test_who_trades_with_himself_hears_both_sides() -> None:
    client = ServiceHarness(OrderBook).open_session()
    assert client.send(b"buy 1 5", b"sell 1 5")[2:] == [b"trade 1 1 5", b"trade 2 1 5"]


def test_nobody_cancels_the_order_of_another() -> None:
    harness = ServiceHarness(OrderBook)
    owner, other = harness.open_session(), harness.open_session()
    owner.send(b"buy 1 5")
    assert other.send(b"cancel 1") == [b"error: no waiting order 1 of yours"]
    assert owner.send(b"cancel 1", b"cancel 1")[0] == b"cancelled 1 1"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"buy 1",
        b"buy 0 1",
        b"buy 1 0",
        b"buy -1 1",
        b"sell x 1",
        b"hold 1 1",
        b"cancel",
        b"cancel x",
        b"buy %d 1" % (QUANTITY_MAX + 1),
        b"buy 1 %d" % (PRICE_MAX + 1),
        b"buy 1 " + b"9" * 5000,
    ],
)
def test_anything_else_is_answered_with_an_error(message: bytes) -> None:
    (answer,) = ServiceHarness(OrderBook).open_session().send(message)
    assert answer.startswith(b"error: ")


def test_the_largest_order_at_the_highest_price_is_accepted() -> None:
    client = ServiceHarness(OrderBook).open_session()
    most = b"%d %d" % (QUANTITY_MAX, PRICE_MAX)
    assert client.send(b"buy " + most, b"sell " + most)[2:] == [
        b"trade 1 " + most,
        b"trade 2 " + most,
    ]


def test_waiting_orders_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_book, "ORDERS_MAX", 1)
    client = ServiceHarness(OrderBook).open_session()
    assert [answer[:6] for answer in client.send(b"buy 1 5", b"buy 1 5")] == [b"accept", b"error:"]


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(
            st.tuples(st.sampled_from([b"buy", b"sell"]), st.integers(1, 5), st.integers(1, 6)).map(
                lambda w: b"%b %d %d" % w
            ),
            st.integers(1, 20).map(lambda order_id: b"cancel %d" % order_id),
        ),
    ),
    max_size=30,
)


@given(ORDERS)
def test_the_book_agrees_with_a_search_over_all_orders(orders: list[tuple[int, bytes]]) -> None:
    harness = ServiceHarness(OrderBook)
    clients = [harness.open_session() for _ in range(3)]
    waiting: list[list[int]] = []  # rank, id, client, quantity
    expected: list[list[bytes]] = [[], [], []]
    next_id = 1
    for index, message in orders:
        clients[index].send(message)
        verb, *words = message.split(b" ")
        numbers = [int(word) for word in words]
        if verb == b"cancel":
            found = [o for o in waiting if o[1] == numbers[0] and o[2] == index]
            waiting = [o for o in waiting if o not in found]
            answer = (
                b"cancelled %d %d" % (numbers[0], found[0][3])
                if found
                else (b"error: no waiting order %d of yours" % numbers[0])
            )
            expected[index].append(answer)
            continue
        rank = -numbers[1] if verb == b"buy" else numbers[1]
        order = [rank, next_id, index, numbers[0]]
        next_id += 1
        expected[index].append(b"accepted %d" % order[1])
        while order[3]:
            meets = [o for o in waiting if o[0] * rank < 0 and o[0] + rank <= 0]
            if not meets:
                waiting.append(order)
                break
            best = min(meets)
            traded = min(best[3], order[3])
            best[3] -= traded
            order[3] -= traded
            for party in (best, order):
                expected[party[2]].append(b"trade %d %d %d" % (party[1], traded, abs(best[0])))
            waiting = [o for o in waiting if o[3]]
    assert [[message.payload for message in client.egress] for client in clients] == expected
    harness.assert_deterministic()
