from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.examples import auction
from quorate.examples.auction import AMOUNT_MAX, SECONDS_MAX, Auction
from quorate.testing import ServiceHarness
from quorate.testing.service_harness import SECOND


def test_the_hammer_falls_when_the_time_has_come() -> None:
    harness = ServiceHarness(Auction)
    seller, bidder = harness.open_session(), harness.open_session()
    assert seller.send(b"sell 60 100") == [b"lot 1"]
    assert bidder.send(b"bid 1 100") == [b"leading 1 100"]
    harness.advance(60 * SECOND - 1)
    assert seller.receive() == []
    harness.advance(1)
    assert seller.receive() == [b"sold 1 100"]
    assert bidder.receive() == [b"won 1 100"]
    assert bidder.send(b"bid 1 200") == [b"error: no open lot 1"]
    harness.assert_deterministic()
    harness.assert_deterministic_across_processes()


def test_a_higher_bid_leads_and_who_led_is_told() -> None:
    harness = ServiceHarness(Auction)
    seller, first, second = (harness.open_session() for _ in range(3))
    seller.send(b"sell 60 100")
    assert first.send(b"bid 1 99", b"bid 1 100") == [b"error: bid 100 or more", b"leading 1 100"]
    assert second.send(b"bid 1 100", b"bid 1 101") == [b"error: bid 101 or more", b"leading 1 101"]
    assert first.receive() == [b"outbid 1 101"]
    assert second.send(b"bid 1 150") == [b"leading 1 150"]
    assert second.receive() == [], "nobody outbids himself"


def test_a_lot_without_a_bid_is_unsold() -> None:
    harness = ServiceHarness(Auction)
    seller = harness.open_session()
    seller.send(b"sell 1 1")
    harness.advance(SECOND)
    assert seller.receive() == [b"unsold 1"]


def test_a_late_bid_gives_the_others_ten_seconds_more() -> None:
    harness = ServiceHarness(Auction)
    seller, bidder = harness.open_session(), harness.open_session()
    seller.send(b"sell 60 1")
    harness.advance(55 * SECOND)
    bidder.send(b"bid 1 5")
    harness.restart()
    harness.advance(10 * SECOND - 1)
    assert seller.receive() == []
    harness.advance(1)
    assert seller.receive() == [b"sold 1 5"]
    harness.assert_deterministic()


def test_nobody_bids_on_his_own_lot() -> None:
    harness = ServiceHarness(Auction)
    assert harness.open_session().send(b"sell 9 1", b"bid 1 5")[1] == b"error: lot 1 is your own"


def test_news_for_who_has_gone_are_dropped() -> None:
    harness = ServiceHarness(Auction)
    seller, bidder = harness.open_session(), harness.open_session()
    seller.send(b"sell 60 1")
    bidder.send(b"bid 1 5")
    seller.close()
    harness.advance(60 * SECOND)
    assert bidder.receive() == [b"won 1 5"]
    harness.assert_deterministic()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"sell",
        b"sell 0 1",
        b"sell 1 0",
        b"sell x 1",
        b"sell -1 1",
        b"sell %d 1" % (SECONDS_MAX + 1),
        b"sell 1 %d" % (AMOUNT_MAX + 1),
        b"bid 7 1",
        b"bid 1",
        b"buy 1 1",
        b"sell 1 " + b"9" * 5000,
    ],
)
def test_anything_else_is_answered_with_an_error(message: bytes) -> None:
    (answer,) = ServiceHarness(Auction).open_session().send(message)
    assert answer.startswith(b"error: ")


def test_the_bounds_themselves_are_accepted_and_nothing_beyond() -> None:
    harness = ServiceHarness(Auction)
    seller, bidder = harness.open_session(), harness.open_session()
    assert seller.send(b"sell %d %d" % (SECONDS_MAX, AMOUNT_MAX)) == [b"lot 1"]
    beyond, leading = bidder.send(b"bid 1 %d" % (AMOUNT_MAX + 1), b"bid 1 %d" % AMOUNT_MAX)
    assert beyond.startswith(b"error: ")
    assert leading == b"leading 1 %d" % AMOUNT_MAX
    harness.advance(SECONDS_MAX * SECOND)
    assert seller.receive() == [b"sold 1 %d" % AMOUNT_MAX]


def test_open_lots_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auction, "LOTS_MAX", 1)
    harness = ServiceHarness(Auction)
    seller = harness.open_session()
    first, second = seller.send(b"sell 1 1", b"sell 1 1")
    assert (first, second[:6]) == (b"lot 1", b"error:")
    harness.advance(SECOND)
    assert seller.send(b"sell 1 1") == [b"unsold 1", b"lot 2"]


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(
            st.tuples(st.integers(1, 30), st.integers(1, 9)).map(lambda w: b"sell %d %d" % w),
            st.tuples(st.integers(1, 4), st.integers(1, 30)).map(lambda w: b"bid %d %d" % w),
            st.integers(1, 20),
        ),
    ),
    max_size=25,
)


@given(ACTIONS)
def test_every_lot_ends_once_at_the_highest_bid(actions: list[tuple[int, bytes | int]]) -> None:
    harness = ServiceHarness(Auction)
    clients = [harness.open_session() for _ in range(3)]
    highest: dict[bytes, bytes] = {}
    for index, action in actions:
        if isinstance(action, int):
            harness.advance(action * SECOND)
            continue
        for answer in clients[index].send(action):
            if answer.startswith(b"leading"):
                _, lot, amount = answer.split(b" ")
                assert int(amount) > int(highest.get(lot, b"0"))
                highest[lot] = amount
    harness.advance(60 * SECOND)
    heard = [message.payload for client in clients for message in client.egress]
    lots = [word.split(b" ")[1] for word in heard if word.startswith(b"lot ")]
    ends = {
        word.split(b" ")[1]: word for word in heard if word.split(b" ")[0] in (b"sold", b"unsold")
    }
    assert sorted(ends) == sorted(lots)
    for lot in lots:
        expected = b"sold %b %b" % (lot, highest[lot]) if lot in highest else b"unsold " + lot
        assert ends[lot] == expected
        assert heard.count(b"won %b %b" % (lot, highest.get(lot, b""))) == (lot in highest)
    assert harness.next_timer_deadline is None
    harness.assert_deterministic()
