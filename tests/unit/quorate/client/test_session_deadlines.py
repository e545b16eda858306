"""The owner of a session sleeps until ``next_deadline``: nothing is due before, or twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quorate.client.session import NEVER, Session, SessionSettings, SessionState
from quorate.client.session_events import Event
from quorate.protocol.batch import EgressKind, EgressMessage, encode_egress_batch
from quorate.protocol.session_codec import (
    CLIENT_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Close,
    Egress,
    EgressAcknowledge,
    KeepAlive,
    Opened,
    Redirect,
)

MS = 1_000_000
OPENED = Opened(1, 0, 4096, 0, 1 << 20, 3_000 * MS, 1000, 2000, ("a:1",))


class Driven:
    """A session with an owner that does what an owner does, at times of its choice."""

    def __init__(self) -> None:
        self.now = 0
        self.egress = 0
        self.events: list[Event] = []
        self.session = Session(session_key=bytes(16), settings=SessionSettings())
        self.session.on_connected(0)
        self.send()

    def send(self) -> list[ClientLinkMessage]:
        data = b"".join(self.session.data_to_send(self.now))
        return [decode_message(raw) for raw in MessageSplitter(CLIENT_MESSAGE_BYTES_MAX).feed(data)]

    def hear(self, message: ClientLinkMessage) -> None:
        self.events += self.session.receive(encode_message(message), self.now)

    def do(self, what: str) -> None:
        session = self.session
        is_open = session.state is SessionState.OPEN
        if what == "open" and session.state is SessionState.OPENING:
            self.hear(OPENED._replace(ingress_applied=session.ingress.sent_sequence))
        elif what == "offer" and is_open and session.ingress.can_offer:
            session.ingress.offer(b"x")
        elif what == "answer" and is_open:
            self.egress += 1
            batch = encode_egress_batch([EgressMessage(EgressKind.MESSAGE, 0, 0, b"y")])
            self.hear(Egress(session.ingress.sent_sequence, self.egress, 1, batch))
        elif what == "no leader":
            self.hear(Redirect(""))
        elif what == "leader":
            self.hear(Redirect("a:1"))
        elif what == "reconnect":
            session.on_disconnected()
            session.on_connected(self.now)
        self.send()

    def sleep(self) -> list[ClientLinkMessage]:
        """Let the time come that the session asked for; nothing may have been due before."""
        deadline = self.session.next_deadline
        if deadline > self.now:
            self.now = deadline - 1
            wanted = self.session.wants_to_send
            assert self.session.on_tick(self.now) == []
            assert self.session.wants_to_send == wanted
            self.now = deadline
        # Else what has arrived made something due at once, such as a sign of life.
        self.events += self.session.on_tick(self.now)
        said = self.send()
        assert self.now < self.session.next_deadline < NEVER, "nothing stays due, nothing ends"
        return said


ACTS = st.sampled_from(["open", "offer", "answer", "no leader", "leader", "reconnect", "sleep"])


@given(st.lists(ACTS, max_size=30))
def test_nothing_is_due_before_the_deadline_and_nothing_stays_due(acts: list[str]) -> None:
    driven = Driven()
    for act in acts:
        if act == "sleep":
            driven.sleep()
        else:
            driven.do(act)
    for _ in range(5):
        driven.sleep()


def test_a_session_that_sends_needs_no_signs_of_life_besides() -> None:
    driven = Driven()
    driven.do("open")
    for _ in range(50):
        driven.now += 500 * MS
        assert driven.session.next_deadline > driven.now, "there is nothing to wake up for"
        driven.do("offer")
        driven.hear(Egress(driven.session.ingress.sent_sequence, 0, 0, b""))
    assert driven.sleep() == [KeepAlive()]


def test_who_is_told_that_all_is_applied_wants_to_send_the_close() -> None:
    driven = Driven()
    driven.do("open")
    driven.do("offer")
    driven.session.close("closed here")
    driven.send()
    driven.hear(Egress(1, 0, 0, b""))
    assert driven.session.wants_to_send
    assert driven.send() == [Close(4096)]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=30))
def test_what_is_received_is_acknowledged_in_time_however_much_follows(
    pauses_ms: list[int],
) -> None:
    """The cluster keeps it until then."""
    driven = Driven()
    driven.do("open")
    limit = driven.session.settings.acknowledge_after_ns
    unsaid: list[int] = []
    for pause in pauses_ms:
        until = driven.now + pause * MS
        while driven.session.next_deadline <= until:
            said = driven.sleep()
            if any(isinstance(message, EgressAcknowledge) for message in said):
                assert driven.now - unsaid[0] <= limit
                unsaid.clear()
        driven.now = until
        assert not unsaid or driven.now - unsaid[0] <= limit
        driven.do("answer")
        unsaid.append(driven.now)
