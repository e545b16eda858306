"""What a session owes and is owed, at the limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.client.ingress_window import IngressWindow
from quorate.client.session import Session, SessionSettings
from quorate.client.session_events import MemberSilent
from quorate.errors import RemoteProtocolError
from quorate.protocol.batch import EgressKind, EgressMessage, encode_egress_batch
from quorate.protocol.session_codec import (
    CLIENT_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import ClientLinkMessage, Egress, EgressAcknowledge, Opened

MS = 1_000_000
OPENED = Opened(1, 0, 4096, 0, 1 << 20, 30_000 * MS, 1000, 2000, ("a:1",))


def opened(settings: SessionSettings) -> Session:
    session = Session(session_key=bytes(16), settings=settings)
    session.on_connected(0)
    said(session)
    session.receive(encode_message(OPENED), 0)
    return session


def said(session: Session, now: int = 0) -> list[ClientLinkMessage]:
    data = b"".join(session.data_to_send(now))
    return [decode_message(raw) for raw in MessageSplitter(CLIENT_MESSAGE_BYTES_MAX).feed(data)]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40))
def test_egress_adds_up_until_it_is_acknowledged(lengths: list[int]) -> None:
    limit = 500
    session = opened(SessionSettings(acknowledge_after_bytes=limit))
    unsaid = 0
    for sequence, length in enumerate(lengths, start=1):
        batch = encode_egress_batch([EgressMessage(EgressKind.MESSAGE, 0, 0, bytes(length))])
        session.receive(encode_message(Egress(0, sequence, 1, batch)), 0)
        unsaid += len(batch)
        is_due = unsaid >= limit
        assert said(session) == ([EgressAcknowledge(4096, sequence)] if is_due else [])
        unsaid = 0 if is_due else unsaid


def test_a_close_that_nobody_answers_is_asked_of_another_member() -> None:
    session = opened(SessionSettings())
    session.close("closed here")
    said(session)
    events = []
    for _ in range(10):
        now = session.next_deadline
        events += session.on_tick(now)
        said(session, now)
        if events:
            break
    assert events == [MemberSilent()]
    assert now == session.settings.silence_max_ns


@given(sent=st.integers(1, 6), acknowledged=st.integers(0, 6), to=st.integers(0, 9))
def test_a_rewind_goes_to_any_sequence_that_is_not_acknowledged_or_comes_next(
    sent: int, acknowledged: int, to: int
) -> None:
    window = IngressWindow(1 << 20, lambda: None)
    window.resume(applied=0, credit=1 << 20, message_bytes_max=100, batch_bytes_max=200)
    for _ in range(sent):
        window.offer(b"x")
        list(window.take_batches())
    acknowledged = min(acknowledged, sent)
    window.acknowledge(acknowledged)
    if acknowledged < to <= sent + 1:
        window.rewind(to)
        again = [batch.first_sequence for batch in window.take_batches()]
        assert again == list(range(to, sent + 1))
    else:
        with pytest.raises(RemoteProtocolError):
            window.rewind(to)
