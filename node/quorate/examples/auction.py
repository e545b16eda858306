"""An auction house: clients open lots and bid; timers of the log bring the hammer down.

::

    sell SECONDS RESERVE     lot LOT                       (RESERVE: the least bid, an integer)
    bid LOT AMOUNT           leading LOT AMOUNT | error: ...
    to who was outbid        outbid LOT AMOUNT
    at the end, to seller    sold LOT AMOUNT | unsold LOT
    at the end, to winner    won LOT AMOUNT

A bid in the last ten seconds gives the others ten seconds more.

What to learn here: ``cluster.time`` is the only clock, a timer's id is chosen by the author (here
the lot's number), timers fire on every member at the same place of the log and survive a change
of leader, and a session may be gone when there is news for it.

Run it with ``quorate dev --service quorate.examples.auction:Auction``.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass

from quorate.service import (
    ClientSession,
    Cluster,
    ClusteredService,
    SnapshotInput,
    SnapshotOutput,
)

SECOND = 1_000_000_000
EXTENSION = 10 * SECOND
SECONDS_MAX = 7 * 24 * 3600
AMOUNT_MAX = 10**15
LOTS_MAX = 10_000

_NOBODY = 0
_NEXT_LOT = struct.Struct("<Q")
_LOT = struct.Struct("<QQQQQQ")
_DIGITS_MAX = 18


@dataclass(slots=True)
class Lot:
    """What is for sale, and who leads."""

    lot_id: int
    seller: int
    """Session id; ids rather than objects, so that a snapshot can hold them."""
    reserve: int
    ends: int
    """Log time at which the hammer falls."""
    bidder: int = _NOBODY
    amount: int = 0


class Auction(ClusteredService):
    """Holds the open lots."""

    def __init__(self) -> None:
        """Begin without lots."""
        self._lots: dict[int, Lot] = {}
        self._next_lot = 1

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Load the lots. Their timers are the cluster's to keep: do not set them again."""
        self._cluster = cluster
        records = iter(snapshot or ())
        for record in records:
            (self._next_lot,) = _NEXT_LOT.unpack(record)
            break
        for record in records:
            lot = Lot(*_LOT.unpack(record))
            self._lots[lot.lot_id] = lot

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        """Write the next number, then the lots; they are in the order of their numbers."""
        snapshot.write(_NEXT_LOT.pack(self._next_lot))
        for lot in self._lots.values():
            snapshot.write(_LOT.pack(*astuple(lot)))

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Open a lot or take a bid."""
        assert session is not None, "this service sends no messages to itself"
        match message.split(b" "):
            case [b"sell", seconds, reserve]:
                session.offer(self._sell(session, _number(seconds), _number(reserve)))
            case [b"bid", lot_id, amount]:
                session.offer(self._bid(session, _number(lot_id), _number(amount)))
            case _:
                session.offer(b"error: sell SECONDS RESERVE or bid LOT AMOUNT")

    def on_timer(self, timer_id: int, timestamp: int) -> None:
        """Bring the hammer down on the lot that the timer is named after."""
        lot = self._lots.pop(timer_id)
        if lot.bidder == _NOBODY:
            self._tell(lot.seller, b"unsold %d" % lot.lot_id)
        else:
            self._tell(lot.seller, b"sold %d %d" % (lot.lot_id, lot.amount))
            self._tell(lot.bidder, b"won %d %d" % (lot.lot_id, lot.amount))

    def _sell(self, session: ClientSession, seconds: int, reserve: int) -> bytes:
        if not 0 < seconds <= SECONDS_MAX or not 0 < reserve <= AMOUNT_MAX:
            return b"error: 1 to %d seconds, a reserve of 1 to %d" % (SECONDS_MAX, AMOUNT_MAX)
        if len(self._lots) >= LOTS_MAX:
            return b"error: %d lots are open, wait for one to end" % LOTS_MAX
        ends = self._cluster.time + seconds * SECOND
        lot = Lot(self._next_lot, session.session_id, reserve, ends)
        self._cluster.schedule_timer(lot.lot_id, ends)
        self._lots[lot.lot_id] = lot
        self._next_lot += 1
        return b"lot %d" % lot.lot_id

    def _bid(self, session: ClientSession, lot_id: int, amount: int) -> bytes:
        lot = self._lots.get(lot_id)
        if lot is None:
            return b"error: no open lot %d" % lot_id
        if session.session_id == lot.seller:
            return b"error: lot %d is your own" % lot_id
        if not max(lot.reserve, lot.amount + 1) <= amount <= AMOUNT_MAX:
            return b"error: bid %d or more" % max(lot.reserve, lot.amount + 1)
        if lot.bidder not in (_NOBODY, session.session_id):
            self._tell(lot.bidder, b"outbid %d %d" % (lot_id, amount))
        lot.bidder, lot.amount = session.session_id, amount
        if lot.ends < self._cluster.time + EXTENSION:
            lot.ends = self._cluster.time + EXTENSION
            self._cluster.schedule_timer(lot_id, lot.ends)
        return b"leading %d %d" % (lot_id, amount)

    def _tell(self, session_id: int, news: bytes) -> None:
        """Send news to a client that may have gone meanwhile."""
        session = self._cluster.sessions.get(session_id)
        if session is not None:
            session.offer(news)


def _number(word: bytes) -> int:
    """Return what a word of digits says, or 0, which no command accepts."""
    return int(word) if word.isdigit() and len(word) <= _DIGITS_MAX else 0
