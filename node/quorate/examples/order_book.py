"""A limit-order book with price-time priority; prices and money are integers.

::

    buy QUANTITY PRICE       accepted ORDER, then a trade for every match
    sell QUANTITY PRICE      the same
    cancel ORDER             cancelled ORDER QUANTITY | error: ...
    to both sides            trade ORDER QUANTITY PRICE     (the price of who was there first)

An order that finds no match waits in the book; a session that ends takes its orders with it.

What to learn here: an order's number comes from a counter in the state, never from chance; the
outcome rests on the order of the log alone; asserts guard what must hold.

Run it with ``quorate dev --service quorate.examples.order_book:OrderBook``.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, insort
from dataclasses import astuple, dataclass

from quorate.service import (
    ClientSession,
    CloseReason,
    Cluster,
    ClusteredService,
    SnapshotInput,
    SnapshotOutput,
)

QUANTITY_MAX = 10**9
PRICE_MAX = 10**12
ORDERS_MAX = 100_000

_NEXT_ORDER = struct.Struct("<Q")
_ORDER = struct.Struct("<qQQQ")
_DIGITS_MAX = 18


@dataclass(slots=True, order=True)
class Order:
    """An order that waits; sorts by priority within its side."""

    rank: int
    """The price, negative for a buyer: the lowest rank is served first, then the lowest id."""
    order_id: int
    session_id: int
    quantity: int


class OrderBook(ClusteredService):
    """Holds the waiting orders of both sides."""

    def __init__(self) -> None:
        """Begin with an empty book."""
        self._next_order = 1
        self._orders: dict[int, Order] = {}
        self._sides: dict[bool, list[Order]] = {True: [], False: []}  # True: who buys

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Load the book."""
        self._cluster = cluster
        records = iter(snapshot or ())
        for record in records:
            (self._next_order,) = _NEXT_ORDER.unpack(record)
            break
        for record in records:
            self._wait(Order(*_ORDER.unpack(record)))

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        """Write the next number, then all orders, each side by priority."""
        snapshot.write(_NEXT_ORDER.pack(self._next_order))
        for order in (*self._sides[True], *self._sides[False]):
            snapshot.write(_ORDER.pack(*astuple(order)))

    def on_session_close(self, session: ClientSession, timestamp: int, reason: CloseReason) -> None:
        """Take the orders of a session that has ended out of the book."""
        for order in [o for o in self._orders.values() if o.session_id == session.session_id]:
            self._remove(order)

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Take an order or cancel one."""
        assert session is not None, "this service sends no messages to itself"
        match message.split(b" "):
            case [(b"buy" | b"sell") as side, quantity, price]:
                rank = -_number(price) if side == b"buy" else _number(price)
                self._take(session, rank, _number(quantity))
            case [b"cancel", order_id]:
                session.offer(self._cancel(session, _number(order_id)))
            case _:
                session.offer(b"error: buy QUANTITY PRICE, sell QUANTITY PRICE or cancel ORDER")

    def _take(self, session: ClientSession, rank: int, quantity: int) -> None:
        if not 0 < quantity <= QUANTITY_MAX or not 0 < abs(rank) <= PRICE_MAX:
            session.offer(b"error: quantity 1 to %d, price 1 to %d" % (QUANTITY_MAX, PRICE_MAX))
            return
        if len(self._orders) >= ORDERS_MAX:
            session.offer(b"error: %d orders wait, cancel some" % ORDERS_MAX)
            return
        order = Order(rank, self._next_order, session.session_id, quantity)
        self._next_order += 1
        session.offer(b"accepted %d" % order.order_id)
        self._match(order)
        if order.quantity:
            self._wait(order)
        bids, offers = self._sides[True], self._sides[False]
        assert not bids or not offers or bids[0].rank + offers[0].rank > 0, (bids[0], offers[0])
        assert len(self._orders) == len(bids) + len(offers), "an order waits on one side only"

    def _match(self, order: Order) -> None:
        """Trade with the other side, best price first, as long as the prices meet."""
        others = self._sides[order.rank > 0]
        while others and order.quantity and order.rank + others[0].rank <= 0:
            other = others[0]
            traded = min(order.quantity, other.quantity)
            order.quantity -= traded
            other.quantity -= traded
            for party in (other, order):
                session = self._cluster.sessions[party.session_id]  # its end ends its orders
                session.offer(b"trade %d %d %d" % (party.order_id, traded, abs(other.rank)))
            if not other.quantity:
                self._remove(other)

    def _cancel(self, session: ClientSession, order_id: int) -> bytes:
        order = self._orders.get(order_id)
        if order is None or order.session_id != session.session_id:
            return b"error: no waiting order %d of yours" % order_id
        self._remove(order)
        return b"cancelled %d %d" % (order_id, order.quantity)

    def _wait(self, order: Order) -> None:
        self._orders[order.order_id] = order
        insort(self._sides[order.rank < 0], order)

    def _remove(self, order: Order) -> None:
        del self._orders[order.order_id]
        side = self._sides[order.rank < 0]
        del side[bisect_left(side, order)]


def _number(word: bytes) -> int:
    """Return what a word of digits says, or 0, which no command accepts."""
    return int(word) if word.isdigit() and len(word) <= _DIGITS_MAX else 0
