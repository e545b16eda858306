"""The link's timer, in a loop whose time the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from quorate.client.member_link import MemberLink
from quorate.client.session import NEVER, Session, SessionSettings, SessionState
from quorate.client.session_events import Established, Event, Redirected
from quorate.protocol.batch import EgressKind, EgressMessage, encode_egress_batch
from quorate.protocol.session_codec import encode_message
from quorate.protocol.session_messages import Credit, Egress, Opened, Redirect, Rewind

MS = 1_000_000
ANSWER = Opened(1, 0, 4096, 0, 1 << 20, 30_000 * MS, 1000, 2000, ("a:1", "b:1"))
OPENED = encode_message(ANSWER)
EGRESS = encode_message(
    Egress(0, 1, 1, encode_egress_batch([EgressMessage(EgressKind.MESSAGE, 0, 0, b"tick")]))
)
REDIRECT = encode_message(Redirect(""))


class Timer:
    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Only what a link asks of its loop."""

    def __init__(self) -> None:
        self.now = 1.0
        self.timers: list[Timer] = []
        self.soon: list[Callable[[], None]] = []
        self.events: list[Event] = []
        """What the link's owner was told."""

    def create_future(self) -> asyncio.Future[None]:
        return cast("asyncio.Future[None]", object())

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(at, callback))
        return self.timers[-1]

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    @property
    def armed_ns(self) -> int:
        return min((int(t.at * 1e9) for t in self.timers if not t.is_cancelled), default=NEVER)


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_aborted = False
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.is_aborted = True

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


def linked() -> tuple[Loop, Transport, Session, MemberLink]:
    loop, transport = Loop(), Transport()
    session = Session(session_key=bytes(16), settings=SessionSettings())
    link = MemberLink(session, cast("asyncio.AbstractEventLoop", loop), loop.events.extend)
    link.connection_made(cast("asyncio.Transport", transport))
    link.data_received(OPENED)
    loop.turn()
    loop.events.clear()
    return loop, transport, session, link


@pytest.mark.parametrize("arrives", [EGRESS, REDIRECT, EGRESS + REDIRECT])
@pytest.mark.parametrize("is_writable", [True, False])
def test_the_timer_is_armed_for_whatever_arrives(arrives: bytes, *, is_writable: bool) -> None:
    loop, _, session, link = linked()
    if not is_writable:
        link.pause_writing()
    link.data_received(arrives)
    loop.turn()
    assert loop.armed_ns <= session.next_deadline < NEVER


def test_who_only_listens_acknowledges_when_it_is_due() -> None:
    loop, transport, session, link = linked()
    link.data_received(EGRESS)
    loop.turn()
    transport.written.clear()
    due = min((t for t in loop.timers if not t.is_cancelled), key=lambda t: t.at)
    rounding = 1e-6
    assert due.at - loop.now <= session.settings.acknowledge_after_ns / 1e9 + rounding
    loop.now = due.at + rounding
    due.callback()
    assert transport.written


def test_after_its_end_a_link_arms_nothing() -> None:
    loop, _, _, link = linked()
    link.abort()
    link.data_received(EGRESS)
    link.flush()
    assert loop.armed_ns == NEVER


def test_what_was_offered_to_a_full_socket_leaves_as_soon_as_it_is_not_full() -> None:
    loop, transport, session, link = linked()
    transport.written.clear()
    link.pause_writing()
    session.ingress.offer(b"waits")
    link.plan_flush()
    loop.turn()
    assert not transport.written
    link.resume_writing()
    assert transport.written


def test_who_does_not_read_takes_no_silence_for_a_loss() -> None:
    loop, _, session, link = linked()
    link.set_reading(is_reading=False)
    session.ingress.offer(b"8")
    link.flush()
    for _ in range(50):
        due = min((t for t in loop.timers if not t.is_cancelled), key=lambda t: t.at)
        due.is_cancelled = True
        loop.now = max(loop.now, due.at) + 1e-6
        due.callback()
    assert loop.now > session.settings.silence_max_ns / 1e9
    assert loop.events == []


def test_what_a_member_said_before_it_spoke_nonsense_is_not_lost() -> None:
    loop, transport, session, link = linked()
    link.data_received(EGRESS)
    told = list(loop.events)
    link.data_received(encode_message(Redirect("")) + OPENED + encode_message(Rewind(9)))
    assert link.is_malformed
    assert transport.is_aborted, "nobody waits for more of it"
    assert session.state is SessionState.DETACHED
    assert [type(event) for event in loop.events[len(told) :]] == [Redirected, Established]


def test_what_waits_for_credit_leaves_when_it_comes() -> None:
    """Not with the next timer: a stream would go from one to the next."""
    loop, transport, session, link = linked()
    link.data_received(encode_message(Redirect("")))
    link.data_received(encode_message(ANSWER._replace(credit=0)))
    loop.turn()
    link.data_received(encode_message(Credit(1)))
    session.ingress.offer(b"first")
    link.flush()
    transport.written.clear()
    link.data_received(encode_message(Rewind(1)))
    loop.turn()
    assert transport.written == [], "there is no credit left"
    link.data_received(encode_message(Credit(100)))
    loop.turn()
    assert b"first" in b"".join(transport.written)


def test_reading_stops_and_goes_on_with_the_connection_that_is_there() -> None:
    _, transport, _, link = linked()
    link.set_reading(is_reading=False)
    assert not transport.is_reading
    link.set_reading(is_reading=True)
    assert transport.is_reading
