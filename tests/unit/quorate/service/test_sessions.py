from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quorate.protocol.batch import EgressKind, decode_egress_batch
from quorate.service.api import LimitExceeded, NotAllowedHere
from quorate.service.collector import Collector
from quorate.service.outbox import EGRESS_BATCH_BYTES_MAX, EgressBatch
from quorate.service.sessions import (
    KEPT_BATCH_BYTES,
    Session,
    SessionTable,
    egress_after,
    kept_cost,
)


def open_session(session_id: int = 64, *, limit: int = 0) -> Session:
    collector = Collector()
    collector.forbidden = None
    collector.message_bytes_max = 2**20
    key_hash = session_id.to_bytes(16, "big")
    return Session(session_id, key_hash, b"principal", "name", limit, collector)


class Bytes(bytes):
    """May hold what bytes do not."""


def payloads(batches: list[EgressBatch]) -> list[bytes]:
    return [
        message.payload
        for batch in batches
        for message in decode_egress_batch(batch.batch, batch.message_count)
    ]


class EgressModel(RuleBasedStateMachine):
    """Compare kept egress with the plain list of everything ever offered."""

    @initialize()
    def begin(self) -> None:
        self.table = SessionTable()
        self.session = open_session()
        self.table.add(self.session)
        self.offered: list[bytes] = []
        self.flushed = 0
        self.ends: list[int] = []
        self.acknowledged = 0

    @rule(messages=st.lists(st.binary(max_size=5), max_size=4))
    def offer(self, messages: list[bytes]) -> None:
        for message in messages:
            self.session.offer(message)
        self.offered += messages

    @rule()
    def flush(self) -> None:
        batches = self.table.flush(self.session)
        assert payloads(batches) == self.offered[self.flushed :]
        assert [batch.first_egress_sequence for batch in batches] == (
            [self.flushed + 1] if batches else []
        )
        self.flushed = len(self.offered)
        if batches:
            self.ends.append(self.flushed)

    @rule(ahead=st.integers(-3, 3))
    def acknowledge(self, ahead: int) -> None:
        sequence = max(0, self.acknowledged + ahead)
        self.table.acknowledge(self.session, sequence)
        self.acknowledged = max(self.acknowledged, min(sequence, self.flushed))

    @rule(back=st.integers(0, 5))
    def resume(self, back: int) -> None:
        after = max(self.acknowledged, self.flushed - back)
        batches = egress_after(self.session, after)
        assert payloads(batches) == self.offered[after : self.flushed]
        if batches:
            assert batches[0].first_egress_sequence == after + 1

    @invariant()
    def what_is_kept_is_what_is_not_acknowledged_whole(self) -> None:
        assert self.session.egress_acknowledged == self.acknowledged
        starts = [0, *self.ends]
        kept = [end for end in self.ends if end > self.acknowledged]
        begin = max((start for start in starts if start <= self.acknowledged), default=0)
        assert payloads(list(self.session.kept)) == (
            self.offered[begin : self.flushed] if kept else []
        )
        assert self.session.kept_bytes == sum(map(kept_cost, self.session.kept))
        assert self.table.kept_bytes == self.session.kept_bytes
        pending = self.offered[self.flushed :]
        assert self.session.pending_bytes() == sum(16 + len(message) for message in pending)


TestEgressModel = EgressModel.TestCase
TestEgressModel.settings = settings(max_examples=50, stateful_step_count=30)


def test_an_offer_carries_the_sequence_of_the_message_being_applied() -> None:
    session = open_session()
    session.offer(b"before")
    session.cause = 7
    session.offer(b"during")
    session.offer_error(4096, 7)
    (batch,) = SessionTable().flush(session)
    messages = decode_egress_batch(batch.batch, batch.message_count)
    assert [message.ingress_sequence for message in messages] == [0, 7, 7]
    assert [message.kind for message in messages] == [
        EgressKind.MESSAGE,
        EgressKind.MESSAGE,
        EgressKind.ERROR,
    ]
    assert messages[2].payload == (4096).to_bytes(8, "little")


@pytest.mark.parametrize("cause", [-1, 3])
def test_only_bytes_are_offered(cause: int) -> None:
    session = open_session()
    session.cause = cause
    for wrong in ("text", bytearray(b"x"), memoryview(b"x"), None, 3, Bytes(b"x")):
        with pytest.raises(TypeError):
            session.offer(wrong)  # type: ignore[arg-type]
    assert not session.parts


def test_an_offer_beyond_the_limit_raises() -> None:
    session = open_session()
    session.cause = 1
    session.offer(bytes(2**20))
    with pytest.raises(LimitExceeded):
        session.offer(bytes(2**20 + 1))


def test_an_offer_outside_of_a_callback_raises() -> None:
    session = Session(64, bytes(16), b"", "", 0, Collector())
    with pytest.raises(NotAllowedHere):
        session.offer(b"x")
    with pytest.raises(NotAllowedHere):
        session.close()


def test_an_offer_to_a_session_that_has_ended_is_dropped() -> None:
    table, session = SessionTable(), open_session()
    table.add(session)
    session.offer(b"x")
    table.flush(session)
    session.offer(b"x")
    table.remove(session)
    session.offer(b"y")
    session.close()
    assert not session.parts
    assert not table.flush(session)
    assert table.kept_bytes == 0


@given(st.lists(st.integers(0, EGRESS_BATCH_BYTES_MAX + 100), min_size=1, max_size=6))
def test_egress_is_cut_into_batches_that_fit_a_frame(lengths: list[int]) -> None:
    session = open_session()
    for index, length in enumerate(lengths):
        session.offer(bytes([index]) * length)
    batches = SessionTable().flush(session)
    expected = [bytes([index]) * length for index, length in enumerate(lengths)]
    assert payloads(batches) == expected
    for batch in batches:
        assert len(batch.batch) <= EGRESS_BATCH_BYTES_MAX or batch.message_count == 1
    sizes = [len(batch.batch) for batch in batches]
    for before, after in pairwise(batches):
        first = decode_egress_batch(after.batch, after.message_count)[0].payload
        assert len(before.batch) + 16 + len(first) > EGRESS_BATCH_BYTES_MAX
        assert after.first_egress_sequence == before.last_egress_sequence + 1
    assert sum(sizes) + KEPT_BATCH_BYTES * len(sizes) == session.kept_bytes
    for received in range(len(lengths) + 1):
        again = egress_after(session, received)
        assert payloads(again) == expected[received:], "a client that resumes gets all it lacks"


def test_the_table_finds_sessions_by_id_and_by_key_and_lists_them_by_id() -> None:
    table = SessionTable()
    first, second = open_session(64), open_session(128)
    table.add(first)
    table.add(second)
    assert [session.session_id for session in table] == [64, 128]
    assert table.get(128) is second
    assert table.by_key(first.key_hash) is first
    assert dict(table.view) == {64: first, 128: second}
    table.remove(first)
    assert table.get(64) is None
    assert table.by_key(first.key_hash) is None
    assert len(table) == 1
    with pytest.raises(AssertionError):
        table.add(second)


def test_the_greediest_keeps_most_and_then_has_the_lowest_id() -> None:
    table = SessionTable()
    sessions = [open_session(session_id) for session_id in (64, 128, 192)]
    for session in sessions:
        table.add(session)
        session.offer(b"12345")
        table.flush(session)
    assert table.greediest([]) is sessions[0]
    sessions[1].offer(b"x")
    assert table.greediest(sessions) is sessions[1]


@pytest.mark.parametrize(("own", "cluster", "limit"), [(0, 9, 9), (5, 9, 5), (12, 9, 9)])
def test_the_smaller_limit_of_client_and_cluster_counts(own: int, cluster: int, limit: int) -> None:
    view = open_session(limit=own).view(cluster)
    assert view.message_bytes_max == limit
    assert (view.session_id, view.principal, view.name) == (64, b"principal", "name")
