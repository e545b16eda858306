"""Goal: whatever is lost, cut or doubled between them, client and cluster agree exactly once.

Method: the production session against a cluster that fits on a page, over byte pipes that break
anywhere. After every step: what was applied is a prefix of what was offered, and what was
received is a prefix of what was produced. In the end, everything arrives.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from quorate.client.session import Session, SessionSettings, SessionState
from quorate.client.session_events import Acknowledged, EgressReceived, Event
from quorate.errors import IngressBackPressure
from quorate.protocol.batch import (
    EgressKind,
    EgressMessage,
    decode_ingress_batch,
    encode_egress_batch,
)
from quorate.protocol.session_codec import (
    CLIENT_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Credit,
    Egress,
    EgressAcknowledge,
    Ingress,
    KeepAlive,
    Open,
    Opened,
    Redirect,
    Rewind,
)

SESSION_ID = 4096
WINDOW = 60


class PageCluster:
    """A log, a service that answers ``n`` times to a message that begins with ``n``."""

    def __init__(self) -> None:
        self.uncommitted: list[Ingress] = []
        self.applied: list[bytes] = []
        self.produced: list[EgressMessage] = []
        self.kept_from = 1
        self.gap_at: int | None = None

    def apply(self, entry: Ingress) -> None:
        self.kept_from = max(self.kept_from, min(entry.egress_acknowledged, len(self.produced)) + 1)
        skipped = len(self.applied) + 1 - entry.first_sequence
        if skipped < 0:
            self.gap_at = len(self.applied) + 1
            return
        for message in decode_ingress_batch(entry.batch, entry.message_count)[skipped:]:
            self.applied.append(message)
            sequence = len(self.applied)
            self.produced += [
                EgressMessage(EgressKind.MESSAGE, 0, sequence, message) for _ in range(message[0])
            ]

    def egress(self, after: int, applied: int) -> list[ClientLinkMessage]:
        after = max(after, self.kept_from - 1)
        rest = self.produced[after:]
        batches: list[ClientLinkMessage] = []
        for begin in range(0, len(rest), 3):
            part = rest[begin : begin + 3]
            batch = encode_egress_batch(part)
            batches.append(Egress(0, after + begin + 1, len(part), batch))
        return [*batches, Egress(applied, 0, 0, b"")]


class ExactlyOnce(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cluster = PageCluster()
        self.session = Session(session_key=b"k" * 16)
        self.now = 0
        self.offered: list[bytes] = []
        self.received: list[tuple[int, bytes]] = []
        self.acknowledged = 0
        self.is_connected = False
        self.cut()

    # The connection

    def cut(self) -> None:
        self.to_cluster = self.to_client = b""
        self.splitter = MessageSplitter(CLIENT_MESSAGE_BYTES_MAX)
        self.is_attached = False
        self.is_asked = False
        self.egress_sent = 0
        self.received_here = 0
        if self.is_connected:
            self.session.on_disconnected()
        self.is_connected = False

    def answer(self, message: ClientLinkMessage) -> None:
        self.to_client += encode_message(message)

    @rule()
    @precondition(lambda self: not self.is_connected)
    def connect(self) -> None:
        self.session.on_connected(self.now)
        self.is_connected = True

    @rule()
    @precondition(lambda self: self.is_connected)
    def lose_the_connection(self) -> None:
        self.cut()

    @rule()
    @precondition(lambda self: self.is_connected)
    def send(self) -> None:
        self.to_cluster += b"".join(self.session.data_to_send(self.now))

    @rule(length=st.integers(1, 200))
    @precondition(lambda self: self.to_cluster)
    def reach_the_cluster(self, length: int) -> None:
        data, self.to_cluster = self.to_cluster[:length], self.to_cluster[length:]
        for raw in self.splitter.feed(data):
            self.on_client(decode_message(raw))

    @rule(length=st.integers(1, 200))
    @precondition(lambda self: self.to_client)
    def reach_the_client(self, length: int) -> None:
        data, self.to_client = self.to_client[:length], self.to_client[length:]
        self.on_events(self.session.receive(data, self.now))

    @rule(by_ms=st.integers(1, 300))
    def let_time_pass(self, by_ms: int) -> None:
        self.now += by_ms * 1_000_000
        self.on_events(self.session.on_tick(self.now))
        assert self.session.next_deadline > self.now, "what was due is done, sent or not"

    @initialize(batches=st.sampled_from((1, 2, 1 << 30)), gather=st.sampled_from((0, 30, 4000)))
    def begin_open(self, batches: int, gather: int) -> None:
        settings = SessionSettings(
            window_bytes=3 * WINDOW, unacknowledged_batches_max=batches, gather_bytes=gather
        )
        self.session = Session(session_key=b"k" * 16, settings=settings)
        self.exchange()

    @rule()
    def exchange(self) -> None:
        """Bring the conversation forward as far as it goes; without it few runs get deep."""
        if self.session.state is SessionState.DETACHED:
            self.connect()
        for _ in range(2):
            self.send()
            while self.to_cluster:
                self.reach_the_cluster(10_000)
            if self.is_asked:
                self.attach()
            while self.to_client:
                self.reach_the_client(10_000)

    @rule(count=st.integers(1, 5), length=st.integers(0, 8))
    def offer_and_send(self, count: int, length: int) -> None:
        """Several batches under way at once, which is where losing them hurts."""
        for index in range(count):
            self.offer(index % 3, length)
            if self.is_connected:
                self.send()

    # The client's application

    @rule(answers=st.integers(0, 3), length=st.integers(0, 30))
    def offer(self, answers: int, length: int) -> None:
        message = bytes([answers]) + len(self.offered).to_bytes(2, "big") + bytes(length)
        try:
            sequence = self.session.ingress.offer(message)
        except IngressBackPressure:
            return
        self.offered.append(message)
        assert sequence == len(self.offered)

    def on_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, EgressReceived):
                self.received += [(item[1], item[2]) for item in event.items]
            elif isinstance(event, Acknowledged):
                self.acknowledged = event.ingress_sequence

    # The cluster

    def on_client(self, message: ClientLinkMessage) -> None:
        match message:
            case Open():
                assert not self.is_attached, "an open on an open session"
                assert not self.is_asked, "two opens under way"
                assert message.cluster_session_id == SESSION_ID or not self.cluster.applied
                self.is_asked = True
                self.asked_after = message.egress_received
            case Ingress():
                if self.is_attached:
                    self.received_here += len(message.batch)
                    self.cluster.uncommitted.append(message)
            case EgressAcknowledge(_, sequence):
                if self.is_attached:
                    assert sequence <= len(self.cluster.produced)
                    self.cluster.kept_from = max(self.cluster.kept_from, sequence + 1)
            case KeepAlive():
                if not self.is_attached:
                    self.answer(Redirect(""))
            case _:
                pytest.fail(f"{message} from a client")

    @rule()
    @precondition(lambda self: self.is_asked)
    def attach(self) -> None:
        self.is_asked, self.is_attached = False, True
        self.received_here = 0
        self.egress_sent = self.asked_after
        applied = len(self.cluster.applied)
        self.answer(Opened(1, 0, SESSION_ID, applied, WINDOW, 30_000_000_000, 100, 150, ("a:1",)))
        self.publish()

    @rule(count=st.integers(1, 4))
    @precondition(lambda self: self.cluster.uncommitted)
    def commit(self, count: int) -> None:
        entries = self.cluster.uncommitted
        for entry in entries[:count]:
            self.cluster.apply(entry)
        del entries[:count]

    @rule(back=st.integers(0, 4), count=st.integers(0, 3))
    @precondition(lambda self: self.is_attached)
    def commit_and_publish(self, back: int, count: int) -> None:
        """Publish what is new together with some of what was published before."""
        if self.cluster.uncommitted and count:
            self.commit(count)
        self.egress_sent = max(0, self.egress_sent - back)
        self.publish()

    def publish(self) -> None:
        for message in self.cluster.egress(self.egress_sent, len(self.cluster.applied)):
            self.answer(message)
        self.egress_sent = len(self.cluster.produced)
        self.answer(Credit(self.received_here + WINDOW))
        if self.cluster.gap_at is not None:
            self.answer(Rewind(self.cluster.gap_at))
            self.cluster.gap_at = None

    @rule(at=st.integers(0, 5))
    @precondition(lambda self: self.cluster.uncommitted)
    def double_an_entry(self, at: int) -> None:
        entries = self.cluster.uncommitted
        entries.append(entries[at % len(entries)])

    @rule(kept=st.integers(0, 4), is_connection_kept=st.booleans())
    def change_the_leader(self, kept: int, *, is_connection_kept: bool) -> None:
        del self.cluster.uncommitted[kept:]
        self.cluster.gap_at = None
        if self.is_connected and is_connection_kept:
            self.is_attached = False
            self.answer(Redirect(""))
        elif self.is_connected:
            self.cut()

    # What must hold

    @invariant()
    def applied_is_what_was_offered(self) -> None:
        assert self.cluster.applied == self.offered[: len(self.cluster.applied)]

    @invariant()
    def received_is_what_was_produced(self) -> None:
        produced = [(m.ingress_sequence, m.payload) for m in self.cluster.produced]
        assert self.received == produced[: len(self.received)]

    @invariant()
    def acknowledged_is_applied_and_answered(self) -> None:
        assert self.acknowledged <= len(self.cluster.applied)
        answered = {sequence for sequence, _ in self.received}
        for sequence, message in enumerate(self.offered[: self.acknowledged], start=1):
            assert not message[0] or sequence in answered

    def teardown(self) -> None:
        for _ in range(200):
            if self.acknowledged == len(self.offered) and not self.to_client:
                break
            self.exchange()
            if self.cluster.uncommitted:
                self.commit(1000)
            if self.is_attached:
                self.publish()
            self.exchange()
        assert self.cluster.applied == self.offered
        assert len(self.received) == len(self.cluster.produced)
        assert self.session.ingress.pending_bytes == 0


def test_exactly_once_in_both_directions() -> None:
    run_state_machine_as_test(
        ExactlyOnce, settings=settings(max_examples=150, stateful_step_count=60)
    )
