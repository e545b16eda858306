"""Services that are wrong in the ways in which services are wrong must be found out."""

from __future__ import annotations

import itertools

import pytest

from quorate.service import (
    ClientSession,
    Cluster,
    ClusteredService,
    SnapshotInput,
    SnapshotOutput,
)
from quorate.testing import NonDeterministic, ServiceHarness
from quorate_services import Scripted

AMBIENT = itertools.count()
"""Stands for a clock or a random source: another value at every look."""


class Counting(ClusteredService):
    """A sound service; the wrong ones differ from it in one thing."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        self.cluster = cluster
        for record in snapshot or ():
            self.count = int(record)

    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        snapshot.write(b"%d" % self.count)

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        self.count += 1
        self.act(session)

    def act(self, session: ClientSession | None) -> None:
        assert session is not None
        session.offer(b"%d" % self.count)


class AnswersWithTheClock(Counting):
    def act(self, session: ClientSession | None) -> None:
        assert session is not None
        session.offer(b"%d" % next(AMBIENT))


class SetsTimersByTheClock(Counting):
    def act(self, session: ClientSession | None) -> None:
        self.cluster.schedule_timer(1, self.cluster.time + 1_000_000 + next(AMBIENT))


class FailsAtRandom(Counting):
    def act(self, session: ClientSession | None) -> None:
        if next(AMBIENT) % 5 == 0:
            raise ValueError


class ForgetsInItsSnapshot(Counting):
    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        snapshot.write(b"0")


class RemembersInItsSnapshotWhatItDoesNotLoad(Counting):
    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        self.cluster = cluster

    def act(self, session: ClientSession | None) -> None:
        """Answers nothing, so only the snapshot tells."""


class WritesTheClockIntoItsSnapshot(Counting):
    def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
        snapshot.write(b"%d" % next(AMBIENT))

    def act(self, session: ClientSession | None) -> None:
        """Answers nothing, so only the snapshot tells."""


def run(service: type[ClusteredService]) -> ServiceHarness:
    harness = ServiceHarness(service, tolerate_failures=True)
    client = harness.open_session()
    for _ in range(6):
        client.send(b"a", b"b")
        harness.advance(10)
    return harness


@pytest.mark.parametrize("service", [Counting, Scripted])
def test_a_sound_service_passes(service: type[ClusteredService]) -> None:
    run(service).assert_deterministic()


@pytest.mark.parametrize(
    ("service", "message"),
    [
        (AnswersWithTheClock, "message by message, the service answers differently"),
        (SetsTimersByTheClock, "message by message, the service sets other timers"),
        (FailsAtRandom, "the service answers differently"),
        (ForgetsInItsSnapshot, "from a snapshot, the service answers differently"),
        (RemembersInItsSnapshotWhatItDoesNotLoad, "from a snapshot, .* another snapshot"),
        (WritesTheClockIntoItsSnapshot, "message by message, .* another snapshot"),
    ],
)
def test_a_wrong_service_is_found_out(service: type[ClusteredService], message: str) -> None:
    with pytest.raises(NonDeterministic, match=message):
        run(service).assert_deterministic()


class ActsOtherwiseAtFirst(Counting):
    """What its first object does is ``first``, what the others do ``later``."""

    first: bytes | Exception | None
    later: bytes | Exception | None

    def __init__(self) -> None:
        super().__init__()
        self.said = self.first if next(self.made) == 0 else self.later

    def act(self, session: ClientSession | None) -> None:
        assert session is not None
        session.offer(b"same")
        if isinstance(self.said, Exception):
            raise self.said
        if self.said is not None:
            session.offer(self.said)


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        (b"tea", b"coffee", r"first b'tea' to session \d+, then b'coffee' to session \d+$"),
        (b"tea", None, r"first b'tea' to session \d+, then nothing$"),
        (None, b"tea", r"first nothing, then b'tea' to session \d+$"),
        (ValueError(), None, r"first a failure to session \d+, then b'same' to session \d+$"),
        (b"x" * 9000, b"y", r"first b'x{10,}\.\.\.x{10,}' to session \d+, then b'y' to .{,20}$"),
    ],
)
def test_the_message_names_the_first_difference(
    first: bytes | Exception | None, later: bytes | Exception | None, expected: str
) -> None:
    class Wrong(ActsOtherwiseAtFirst):
        made = itertools.count()

    Wrong.first, Wrong.later = first, later
    harness = ServiceHarness(Wrong, tolerate_failures=True)
    harness.open_session().send(b"a")
    with pytest.raises(NonDeterministic, match=expected):
        harness.assert_deterministic()


def test_the_message_names_an_end_that_differs() -> None:
    class EndsOnce(Counting):
        made = itertools.count()

        def __init__(self) -> None:
            super().__init__()
            self.ends = next(self.made) == 0

        def act(self, session: ClientSession | None) -> None:
            assert session is not None
            if self.ends:
                session.close()

    harness = ServiceHarness(EndsOnce)
    harness.open_session().send(b"a")
    with pytest.raises(NonDeterministic, match=r"first SessionClosed\(.*SERVICE.*, then nothing"):
        harness.assert_deterministic()


def test_a_long_log_is_compared_through_few_snapshots() -> None:
    taken = itertools.count()

    class Long(Counting):
        def on_take_snapshot(self, snapshot: SnapshotOutput) -> None:
            next(taken)
            super().on_take_snapshot(snapshot)

    harness = ServiceHarness(Long)
    client = harness.open_session()
    for _ in range(200):
        client.send(b"a")
    harness.assert_deterministic()
    assert 10 < next(taken) < 50
