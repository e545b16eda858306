"""A simulated client: one session, numbered messages, answers in order, leader after leader."""

from __future__ import annotations

import hashlib
from random import Random
from typing import TYPE_CHECKING

from quorate.protocol.batch import EgressKind, decode_egress_batch, encode_ingress_batch
from quorate.protocol.entry_bodies import CloseReason
from quorate_simulation.history import InvariantViolation
from quorate_simulation.linearizability import Operation
from quorate_simulation.timed_clock import MS
from quorate_simulation.timed_messages import (
    Answer,
    Closed,
    Egress,
    Ingress,
    Open,
    Opened,
    Redirect,
    Rewind,
)

if TYPE_CHECKING:
    from quorate_simulation.timed import World

ANSWER_TIMEOUT = 400 * MS
RETRY_MAX = 150 * MS
KEYS = (b"a", b"b", b"c")


class Connection:
    """One connection of a client to one life of a member."""

    def __init__(self, client: TimedClient, seat: int, life: int) -> None:
        """Connect; ``life`` tells restarts apart."""
        self.client = client
        self.seat = seat
        self.life = life

    def answer(self, answer: Answer) -> None:
        """Carry an answer back, in order."""
        world = self.client.world
        world.schedule.after(world.client_delay, lambda: self.client.on_answer(self, answer))

    def broke(self) -> None:
        """The member's process has ended."""
        world = self.client.world
        world.schedule.after(world.client_delay, lambda: self.client.on_broken(self))


class TimedClient:
    """Issues operations at random and remembers what it was told."""

    def __init__(self, world: World, number: int) -> None:
        """Start disconnected."""
        self.world = world
        self.number = number
        self._random = Random(world.random.getrandbits(48))
        key = hashlib.sha256(b"client %d" % number).digest()[:16]
        self.key_hash = hashlib.sha256(key).digest()[:16]
        self.session_id = 0
        self.operations: list[Operation] = []
        """Every message ever issued; its sequence is its place, from 1."""
        self.answered = 0
        self.last_egress = 0
        self.closed: str | None = None
        self.timers: list[int] = []
        self.window = self._random.choice((1, 4, 16))
        self.pause = self._random.choice((40 * MS, 150 * MS, 400 * MS))
        self._sent = 0
        self._connection: Connection | None = None
        self._is_open = False
        self._attempt = 0
        self._hint: int | None = None
        self._heard = 0

    # -- connecting -----------------------------------------------------------------------------

    def start(self) -> None:
        """Connect and begin to issue."""
        self._connect()
        self._issue()
        self._watch()

    def _connect(self) -> None:
        world = self.world
        self._attempt += 1
        self._is_open = False
        self._heard = world.schedule.now
        seat = self._hint if self._hint is not None else self._random.randrange(len(world.members))
        self._hint = None
        member = world.members[seat]
        if not member.is_up:
            self._connection = None
            self._retry()
            return
        connection = self._connection = Connection(self, seat, member.peer.start_nonce)
        message = Open(self.key_hash, self.session_id, self.last_egress)
        self._send(connection, message)

    def _retry(self) -> None:
        attempt = self._attempt
        delay = self._random.randrange(5 * MS, RETRY_MAX)
        self.world.schedule.after(delay, lambda: self._connect_again(attempt))

    def _connect_again(self, attempt: int) -> None:
        if attempt == self._attempt and self.closed is None:
            self._connect()

    def _send(self, connection: Connection, message: Open | Ingress) -> None:
        world = self.world
        world.schedule.after(world.client_delay, lambda: world.deliver(connection, message))

    def _watch(self) -> None:
        """Give up a connection on which nothing comes."""
        now = self.world.schedule.now
        waits = not self._is_open or self.answered < len(self.operations)
        if self._connection is not None and waits and now - self._heard > ANSWER_TIMEOUT:
            self._connect()
        self.world.schedule.after(50 * MS, self._watch)

    def on_broken(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection is self._connection:
            self._connection = None
            self._is_open = False
            self._retry()

    # -- issuing --------------------------------------------------------------------------------

    def _issue(self) -> None:
        world = self.world
        if not world.quiet and self.closed is None:
            free = self.window - (len(self.operations) - self.answered)
            for _ in range(self._random.randrange(free + 1) if free > 0 else 0):
                self._new_operation()
            self._send_rest()
        world.schedule.after(1 + int(2 * self.pause * self._random.random()), self._issue)

    def _new_operation(self) -> None:
        sequence = len(self.operations) + 1
        value = b"%d.%d" % (self.number, sequence)
        key = self._random.choice(KEYS)
        chance = self._random.random()
        if chance < 0.5:
            kind, message = "w", b"w " + key + b" " + value
        elif chance < 0.85:
            kind, message = "r", b"r " + key
        elif chance < 0.95:
            timer = self.number * 1_000_000 + sequence
            self.timers.append(timer)
            kind, message = "t", b"t %d %d" % (timer, self._random.randrange(400))
        elif chance < 0.98:
            kind, message = "s", b"s z " + value
        else:
            kind, message = "x", b"x"
        now = self.world.schedule.now
        self.operations.append(Operation(self.number, kind, key, value, message, now))

    def _send_rest(self) -> None:
        """Send what is open and not sent on this connection."""
        connection = self._connection
        if connection is None or not self._is_open or self._sent >= len(self.operations):
            return
        if self.answered == self._sent:
            self._heard = self.world.schedule.now
        batch = self.operations[self._sent :]
        message = Ingress(
            self.session_id,
            self._sent + 1,
            len(batch),
            self.last_egress,
            encode_ingress_batch([operation.message for operation in batch]),
        )
        self._sent = len(self.operations)
        self._send(connection, message)

    # -- answers --------------------------------------------------------------------------------

    def on_answer(self, connection: Connection, answer: Answer) -> None:
        """Take what a member says, on the present connection only."""
        if connection is not self._connection or self.closed is not None:
            return
        self._heard = self.world.schedule.now
        match answer:
            case Opened():
                self._on_opened(answer)
            case Egress():
                self._on_egress(answer)
            case Redirect():
                self._hint = answer.leader
                self._connection = None
                self._is_open = False
                self._retry()
            case Rewind() if answer.next_sequence <= self.answered:
                self._on_regressed(answer.next_sequence)
            case Rewind():
                self._sent = max(self.answered, answer.next_sequence - 1)
                self._send_rest()
            case Closed():
                if answer.reason is CloseReason.LOST and not self.world.is_lossy:
                    raise InvariantViolation("I18", f"client {self.number}: lost without a loss")
                self.closed = answer.reason.name

    def _on_opened(self, answer: Opened) -> None:
        if self.session_id and self.session_id != answer.session_id and not self.world.is_lossy:
            raise InvariantViolation("I16", f"client {self.number} got another session: {answer}")
        self.session_id = answer.session_id
        if answer.last_ingress_sequence < self.answered:
            self._on_regressed(answer.last_ingress_sequence + 1)
            return
        self._is_open = True
        # What was applied is not sent again; its answers are kept and come by themselves.
        self._sent = max(self.answered, answer.last_ingress_sequence)
        self._send_rest()

    def _on_regressed(self, next_sequence: int) -> None:
        """The cluster has forgotten what it acknowledged: only a declared loss may do that."""
        if not self.world.is_lossy:
            raise InvariantViolation(
                "I18", f"client {self.number}: back to {next_sequence}, answered {self.answered}"
            )
        self.closed = "lost"

    def _on_egress(self, answer: Egress) -> None:
        for offset, message in enumerate(decode_egress_batch(answer.batch, answer.message_count)):
            sequence = answer.first_sequence + offset
            if sequence <= self.last_egress:
                continue
            if sequence != self.last_egress + 1:
                raise InvariantViolation(
                    "I20", f"client {self.number}: egress {sequence} after {self.last_egress}"
                )
            self.last_egress = sequence
            if message.ingress_sequence:
                failed = message.kind is EgressKind.ERROR
                self._on_reply(message.ingress_sequence, message.payload, failed=failed)

    def _on_reply(self, sequence: int, payload: bytes, *, failed: bool) -> None:
        if sequence != self.answered + 1 or sequence > len(self.operations):
            raise InvariantViolation(
                "I16", f"client {self.number}: answer to {sequence} after {self.answered}"
            )
        operation = self.operations[sequence - 1]
        if failed != (operation.kind == "x"):
            raise InvariantViolation("I16", f"client {self.number}: {operation} answered {failed}")
        operation.returned = self.world.schedule.now
        operation.result = payload
        self.answered = sequence
