from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from quorate.config import ClusterSettings
from quorate.gateway.connection import ClientConnection, ConnectionState
from quorate.gateway.credit import CreditAccount
from quorate.gateway.egress import EgressPublisher
from quorate.gateway.refusals import Refusal
from quorate.gateway.turn_budget import TurnBudget
from quorate.protocol.session_codec import (
    EGRESS_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_error,
)
from quorate.protocol.session_messages import Egress, LinkError, RawMessage
from quorate.service.outbox import EgressBatch, SessionView

SESSION = 4096


class NoDesk:
    """Takes nothing."""

    now = 0
    budget = TurnBudget()

    def on_incomplete(self, more_bytes: int) -> None: ...

    def on_lagging(self, connection: ClientConnection) -> None: ...

    def on_connected(self, connection: ClientConnection) -> None: ...

    def on_messages(self, connection: ClientConnection, messages: Sequence[RawMessage]) -> None: ...

    def on_writable(self, connection: ClientConnection) -> None: ...

    def on_lost(self, connection: ClientConnection) -> None: ...

    def refuse(self, connection: ClientConnection, reason: Refusal, code: LinkError) -> None: ...


class SlowTransport(asyncio.Transport):
    """Keeps what is written, and is full after ``room`` bytes."""

    def __init__(self, connection: ClientConnection, room: int) -> None:
        super().__init__()
        self.written = b""
        self.room = room
        self._connection = connection

    def close(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        if len(self.written) > self.room and not self._connection.is_lagging:
            self._connection.pause_writing()


@dataclass
class FakeContainer:
    """What the publisher looks up: one session, and what is kept for it."""

    view: SessionView
    kept: list[EgressBatch] = field(default_factory=list)
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    applied_messages: int = 0
    looked_at: int = 0

    def find_session(self, key_hash: bytes) -> SessionView | None:
        return self.view

    def session(self, session_id: int) -> SessionView | None:
        return self.view

    def progress_of(self, session_id: int) -> tuple[int, int, bool] | None:
        view = self.view
        self.looked_at += 1
        return view.last_ingress_sequence, view.last_egress_sequence, view.is_flushed

    def session_ids(self) -> Sequence[int]:
        return [self.view.session_id]

    @property
    def sessions_count(self) -> int:
        return 1

    def egress_after(self, session_id: int, egress_sequence: int) -> list[EgressBatch]:
        return [batch for batch in self.kept if batch.last_egress_sequence > egress_sequence]


@dataclass
class FakePort:
    """A serving leader."""

    container: FakeContainer
    cluster_id: bytes = bytes(16)
    leadership_term_id: int = 1
    serving: bool = True
    leader_client_address: str | None = None
    member_client_addresses: tuple[str, ...] = ()

    def append_entry(self, entry: bytes) -> None:
        raise AssertionError("egress appends nothing")


class Scene:
    """A publisher with one attached connection."""

    def __init__(self, *, room: int = 1 << 30, applied: int = 0, produced: int = 0) -> None:
        view = SessionView(SESSION, bytes(16), b"", "", 100, applied, produced, 0, 0, True)
        self.container = FakeContainer(view)
        self.publisher = EgressPublisher(FakePort(self.container))
        self.connection = ClientConnection(NoDesk())
        self.transport = SlowTransport(self.connection, room)
        self.connection.connection_made(self.transport)
        self.connection.change_state(ConnectionState.ATTACHED)
        self.connection.session_id = SESSION
        self.connection.credit = CreditAccount(1000)

    def sent(self) -> list[tuple[int, int, int]]:
        """Return applied, first sequence and count of each egress since the last call."""
        data, self.transport.written = self.transport.written, b""
        messages = [
            decode_message(raw) for raw in MessageSplitter(EGRESS_MESSAGE_BYTES_MAX).feed(data)
        ]
        return [(m[0], m[1], m[2]) for m in messages if isinstance(m, Egress)]


def batch(first: int, count: int, *, applied: int, length: int = 16) -> EgressBatch:
    return EgressBatch(SESSION, applied, first, count, bytes(length * count))


def test_only_the_last_batch_of_a_publication_acknowledges() -> None:
    scene = Scene()
    scene.publisher.publish(scene.connection, [batch(1, 2, applied=9), batch(3, 1, applied=9)])
    assert scene.sent() == [(0, 1, 2), (9, 3, 1)]


def test_what_was_sent_is_not_sent_again() -> None:
    scene = Scene()
    scene.publisher.publish(scene.connection, [batch(1, 2, applied=1)])
    scene.publisher.publish(scene.connection, [batch(1, 2, applied=1)])
    assert scene.sent() == [(1, 1, 2)]


def test_nothing_is_acknowledged_while_answers_are_not_numbered_yet() -> None:
    scene = Scene(applied=5)
    scene.container.view = scene.container.view._replace(is_flushed=False)
    scene.publisher.expect(scene.connection)
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == []
    scene.container.view = scene.container.view._replace(is_flushed=True)
    scene.publisher.on_turn(1000, 128)
    assert scene.sent() == [(5, 0, 0)]


def test_nothing_is_acknowledged_while_answers_are_not_sent_yet() -> None:
    scene = Scene(applied=5, produced=1)
    scene.publisher.expect(scene.connection)
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == []
    scene.publisher.publish(scene.connection, [batch(1, 1, applied=5)])
    assert scene.sent() == [(5, 1, 1)]


def test_a_full_connection_gets_no_more_and_catches_up_without_a_gap() -> None:
    scene = Scene(room=300_000, applied=4, produced=4)
    batches = [batch(n, 1, applied=4, length=200_000) for n in range(1, 5)]
    scene.container.kept = batches
    scene.publisher.publish(scene.connection, batches)
    assert scene.sent() == [(0, 1, 1), (0, 2, 1)]
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == [], "no acknowledgement before the rest"
    scene.connection.resume_writing()
    scene.publisher.catch_up(scene.connection)
    assert scene.sent() == [(0, 3, 1), (0, 4, 1)]
    scene.connection.resume_writing()
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == [(4, 4, 0)]


def test_a_connection_that_is_full_is_not_written_to_whatever_comes() -> None:
    """What a client leaves unread would take room without an end."""
    scene = Scene(room=1000, produced=2)
    batches = [batch(n, 1, applied=n, length=2000) for n in (1, 2, 3)]
    scene.publisher.publish(scene.connection, batches[:1])
    assert scene.sent() == [(1, 1, 1)]
    scene.container.kept = batches
    for known in (batches[1:2], batches[2:]):
        scene.publisher.publish(scene.connection, known)
        assert scene.sent() == []
    scene.transport.room = 1 << 30
    scene.connection.resume_writing()
    scene.publisher.catch_up(scene.connection)
    assert scene.sent() == [(1, 2, 1), (1, 3, 1)]


def test_what_is_acknowledged_never_falls_and_is_said_once() -> None:
    scene = Scene(applied=3, produced=1)
    scene.connection.credit.on_ingress(4, 10, 10)
    scene.publisher.expect(scene.connection)
    scene.publisher.publish(scene.connection, [batch(1, 1, applied=3)])
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == [(3, 1, 1)], "not again without an answer"
    scene.publisher.publish(scene.connection, [batch(2, 1, applied=4), batch(3, 1, applied=4)])
    assert scene.sent() == [(3, 2, 1), (4, 3, 1)]


def test_what_was_caught_up_with_is_acknowledged_where_nothing_else_happens() -> None:
    scene = Scene(applied=2, produced=2)
    scene.publisher.expect(scene.connection)
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == []
    scene.container.kept = [batch(1, 2, applied=2)]
    scene.publisher.catch_up(scene.connection)
    assert scene.sent() == [(0, 1, 2)]
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == [(2, 2, 0)]


def test_who_has_been_told_everything_is_not_looked_at_again() -> None:
    scene = Scene(applied=2)
    scene.connection.credit.on_ingress(2, 10, 10)
    scene.publisher.expect(scene.connection)
    scene.publisher.on_turn(1000, 64)
    assert scene.sent() == [(2, 0, 0)]
    looked_at = scene.container.looked_at
    for position in range(128, 1024, 64):
        scene.publisher.on_turn(1000, position)
    assert scene.container.looked_at == looked_at


def test_nobody_looks_at_who_is_gone() -> None:
    scene = Scene(applied=2, produced=1)
    scene.publisher.expect(scene.connection)
    scene.publisher.on_turn(1000, 64)
    assert scene.container.looked_at == 1, "there is egress that was not sent"
    scene.publisher.forget(scene.connection)
    scene.publisher.on_turn(1000, 128)
    assert scene.container.looked_at == 1


def test_nothing_follows_the_last_words() -> None:
    scene = Scene()
    scene.connection.end_with(LinkError.REPLACED)
    scene.connection.write(b"a")
    scene.connection.write_pieces([b"b"])
    scene.connection.end_with(LinkError.SHUTTING_DOWN)
    assert scene.transport.written == encode_error(LinkError.REPLACED)


def test_a_hole_in_front_of_new_egress_is_filled_from_what_is_kept() -> None:
    scene = Scene(produced=3)
    scene.container.kept = [batch(1, 2, applied=1), batch(3, 1, applied=2)]
    scene.publisher.publish(scene.connection, [batch(3, 1, applied=2)])
    assert scene.sent() == [(0, 1, 2), (0, 3, 1)]


def test_a_frame_that_is_under_way_frees_credit() -> None:
    scene = Scene(applied=0)
    scene.connection.credit.on_ingress(10, 1000, 1000)
    scene.publisher.expect(scene.connection)
    scene.container.view = scene.container.view._replace(is_flushed=False, last_ingress_sequence=4)
    scene.container.applied_messages = 4
    scene.publisher.on_turn(1000, 64)
    assert scene.publisher.applied_bytes == 400
    assert scene.connection.credit.granted_bytes == 1400
    assert scene.sent() == [], "and acknowledges nothing"
