"""What a client offered and the cluster has not acknowledged yet: numbered, batched, bounded.

Sequences count messages. *Totals* count batch bytes (a message and the four bytes of its
length) since the session's first message; window and credit are compared with totals, so that
an offer costs two additions and one comparison. A batch is joined when it is sent for the first
time and kept as it is until all of it is acknowledged: sending it again costs nothing, and what
the cluster has of it already it skips.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, NoReturn

from quorate.client.batches import join_ingress
from quorate.errors import (
    IngressBackPressure,
    MessageTooLarge,
    RemoteProtocolError,
    SessionClosed,
)
from quorate.protocol.batch import INGRESS_HEADER_LENGTH as LENGTH_FIELD

_STOPPED: Final = -1


class _Batch(NamedTuple):
    first: int
    last: int
    begin: int
    """Total before it."""
    end: int
    """Total behind it."""
    data: bytes


class OutgoingBatch(NamedTuple):
    """One batch to be sent now."""

    first_sequence: int
    message_count: int
    data: bytes


class IngressWindow:
    """The pending ingress of one session.

    Invariant:
        ``acknowledged <= sent_sequence <= last_sequence``; every message behind
        ``acknowledged`` is held here, as a message or in a batch.
    """

    # Slots: `offer` is on the path of every message and reads seven of them.
    __slots__ = (
        "_acknowledged_total",
        "_base",
        "_batch_bytes_max",
        "_batched_sequence",
        "_batched_total",
        "_credit",
        "_gather_bytes",
        "_kept",
        "_offer_limit",
        "_offered_total",
        "_on_unsent",
        "_sent_here",
        "_size_max",
        "_stop_reason",
        "_to_send",
        "_unacknowledged_max",
        "_unsent",
        "_window_bytes",
        "acknowledged",
        "last_sequence",
        "sent_sequence",
    )

    def __init__(
        self,
        window_bytes: int,
        on_unsent: Callable[[], None],
        *,
        unacknowledged_batches_max: int = 1 << 30,
        gather_bytes: int = 0,
    ) -> None:
        """Hold at most about ``window_bytes``; nothing may be offered before ``resume``.

        Args:
            window_bytes: Batch bytes offered and not acknowledged.
            on_unsent: Called with the first message since ``take_batches`` left none.
            unacknowledged_batches_max: While there are so many, what is offered gathers ...
            gather_bytes: ... until it is that much, or an acknowledgement comes, or it is taken
                ``at_once``.

        """
        self.last_sequence = 0
        self.sent_sequence = 0
        self.acknowledged = 0
        self._window_bytes = window_bytes
        self._on_unsent = on_unsent
        self._unacknowledged_max = unacknowledged_batches_max
        self._gather_bytes = gather_bytes
        self._offered_total = 0
        self._batched_total = 0
        self._acknowledged_total = 0
        self._offer_limit = 0
        self._size_max = 0
        self._batch_bytes_max = 0
        self._batched_sequence = 0
        self._unsent: list[bytes] = []
        self._kept: deque[_Batch] = deque()
        self._to_send: deque[_Batch] = deque()
        # Of the present connection: batch bytes sent, allowed, and the total where it began.
        self._sent_here = 0
        self._credit = 0
        self._base: int | None = None
        self._stop_reason = ""

    @property
    def pending_bytes(self) -> int:
        """Batch bytes offered and not acknowledged (whole batches)."""
        return self._offered_total - self._acknowledged_total

    @property
    def can_offer(self) -> bool:
        """Whether ``offer`` takes a message of allowed length now."""
        return self._offered_total < self._offer_limit

    @property
    def is_stopped(self) -> bool:
        """Whether offers are refused for good."""
        return self._offer_limit == _STOPPED

    @property
    def is_answer_owed(self) -> bool:
        """Whether something was sent and is not acknowledged."""
        return self.acknowledged < self.sent_sequence

    @property
    def is_sent(self) -> bool:
        """Whether everything offered has been sent on this connection, or acknowledged."""
        return not self._unsent and not self._to_send

    @property
    def is_acknowledged(self) -> bool:
        """Whether everything offered is acknowledged."""
        return self.acknowledged == self.last_sequence

    @property
    def is_gathering(self) -> bool:
        """Whether messages not sent yet wait for more: a frame costs more than a message."""
        return (
            bool(self._unsent)
            and len(self._kept) >= self._unacknowledged_max
            and self._offered_total - self._batched_total < self._gather_bytes
        )

    def offer(self, message: bytes) -> int:
        """Number ``message`` and keep it until it is acknowledged.

        Returns:
            Its ingress sequence.

        Raises:
            IngressBackPressure: No credit or no window is left; offer again after answers.
            MessageTooLarge: It is longer than the session allows; nothing was sent.
            SessionClosed: The session has ended, or is closing.
            TypeError: Not ``bytes``: what can change could change before it is sent.

        """
        size = len(message) + LENGTH_FIELD
        total = self._offered_total
        if total >= self._offer_limit or size > self._size_max or type(message) is not bytes:
            self._refuse(message)
        self._offered_total = total + size
        unsent = self._unsent
        if not unsent:
            self._on_unsent()
        unsent.append(message)
        self.last_sequence = sequence = self.last_sequence + 1
        return sequence

    def resume(
        self, *, applied: int, credit: int, message_bytes_max: int, batch_bytes_max: int
    ) -> None:
        """Begin sending on a connection whose session has applied ingress up to ``applied``.

        Raises:
            RemoteProtocolError: It claims to have applied what was never sent, or has lost what
                it once acknowledged.

        """
        if not self.acknowledged <= applied <= self.sent_sequence:
            raise RemoteProtocolError(
                f"resumed at ingress {applied}, outside of {self.acknowledged} (acknowledged) "
                f"to {self.sent_sequence} (sent)"
            )
        self._batch_bytes_max = batch_bytes_max
        self._size_max = min(message_bytes_max + LENGTH_FIELD, batch_bytes_max)
        self._credit = credit
        self._sent_here = 0
        self._send_again_behind(applied)

    def suspend(self) -> None:
        """Stop sending: there is no connection with this session."""
        self._base = None
        self._to_send.clear()
        self._set_limit()

    def stop(self, reason: str) -> None:
        """Refuse every further offer, with the first reason given; what is pending is sent yet."""
        if not self.is_stopped:
            self._stop_reason = reason
        self._offer_limit = _STOPPED

    def grant(self, credit: int) -> None:
        """Allow so many batch bytes on this connection; it never shrinks."""
        self._credit = max(self._credit, credit)
        self._set_limit()

    def rewind(self, sequence: int) -> None:
        """Send again from ``sequence`` on.

        Raises:
            RemoteProtocolError: It is acknowledged already, or was never sent.

        """
        if not self.acknowledged < sequence <= self.sent_sequence + 1:
            raise RemoteProtocolError(
                f"rewind to {sequence}, outside of {self.acknowledged + 1} to "
                f"{self.sent_sequence + 1}"
            )
        self._send_again_behind(sequence - 1)

    def acknowledge(self, sequence: int) -> bool:
        """Drop what is committed and applied; tell whether there was any.

        Raises:
            RemoteProtocolError: It was never sent.

        """
        if sequence <= self.acknowledged:
            return False
        if sequence > self.sent_sequence:
            raise RemoteProtocolError(f"{sequence} acknowledged, {self.sent_sequence} sent")
        self.acknowledged = sequence
        kept, to_send = self._kept, self._to_send
        while kept and kept[0].last <= sequence:
            self._acknowledged_total = kept.popleft().end
        while to_send and to_send[0].last <= sequence:
            # It was to be sent again, and takes no credit here any more.
            to_send.popleft()
            self._rebase()
        self._set_limit()
        return True

    def take_batches(self, *, at_once: bool = False) -> Iterator[OutgoingBatch]:
        """Yield what credit allows to send now, in order; each counts as sent when yielded.

        Args:
            at_once: Let nothing gather any longer.

        """
        if self._base is None:
            return
        while self._sent_here < self._credit:
            if not self._to_send:
                if not self._unsent or (self.is_gathering and not at_once):
                    return
                self._cut_unsent()
            first, last, _, _, data = self._to_send.popleft()
            self._sent_here += len(data)
            self.sent_sequence = max(self.sent_sequence, last)
            yield OutgoingBatch(first, last - first + 1, data)

    def _refuse(self, message: bytes) -> NoReturn:
        if message.__class__ is not bytes:
            raise TypeError(f"a message is bytes, not {type(message).__name__}")
        if self.is_stopped:
            raise SessionClosed(self._stop_reason)
        if 0 < self._size_max < len(message) + LENGTH_FIELD:
            raise MessageTooLarge(
                f"message of {len(message)} bytes exceeds {self._size_max - LENGTH_FIELD}"
            )
        raise IngressBackPressure(
            f"{self.pending_bytes} bytes are pending and no credit is left: "
            "offer again after some answers"
        )

    def _set_limit(self) -> None:
        if self.is_stopped:
            return
        limit = self._acknowledged_total + self._window_bytes
        self._offer_limit = limit if self._base is None else min(limit, self._base + self._credit)

    def _send_again_behind(self, sequence: int) -> None:
        self._to_send = deque(batch for batch in self._kept if batch.last > sequence)
        self._rebase()
        self._set_limit()

    def _rebase(self) -> None:
        """Reckon from what is to be sent next where the credit of this connection begins."""
        begin = self._to_send[0].begin if self._to_send else self._batched_total
        self._base = begin - self._sent_here

    def _cut_unsent(self) -> None:
        """Make batches of what was offered since the last time, none above the limit."""
        messages, self._unsent = self._unsent, []
        if self._offered_total - self._batched_total <= self._batch_bytes_max:
            self._add_batch(messages)
            return
        begin, size = 0, 0
        for index, message in enumerate(messages):
            length = len(message) + LENGTH_FIELD
            if size + length > self._batch_bytes_max:
                self._add_batch(messages[begin:index])
                begin, size = index, 0
            size += length
        self._add_batch(messages[begin:])

    def _add_batch(self, messages: list[bytes]) -> None:
        data = join_ingress(messages)
        first = self._batched_sequence + 1
        begin = self._batched_total
        self._batched_sequence += len(messages)
        self._batched_total += len(data)
        batch = _Batch(first, self._batched_sequence, begin, self._batched_total, data)
        self._kept.append(batch)
        self._to_send.append(batch)
