"""What the agent owes its neighbours in every turn, whatever else happens in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.config import ClusterConstants
from quorate.consensus.effects import IngressChanged, IngressState, Send
from quorate.consensus.messages import Founded, Message
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    FrameType,
    Instant,
    LogPosition,
    Role,
    Seat,
)
from quorate.errors import ServiceFailed
from quorate.runtime.agent import TICK_MAX_NS
from quorate.service.api import ClientSession, Cluster, ClusteredService, SnapshotInput
from quorate_runtime.bench import MS, AgentBench, appended, ingress


class Alarmed(ClusteredService):
    """Echoes; a number asks for a timer so many milliseconds later."""

    def on_start(self, cluster: Cluster, snapshot: SnapshotInput | None) -> None:
        """Keep the cluster."""
        self.cluster = cluster
        self.applied: list[bytes] = []

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Echo, and set a timer."""
        self.applied.append(message)
        if message.isdigit():
            self.cluster.schedule_timer(len(self.applied), timestamp + int(message) * MS)
        if session is not None:
            session.offer(message)


def run(scenario: Callable[[AgentBench, int], Awaitable[None]]) -> None:
    """Play a scenario with a leading member of a cluster of one, and a session."""

    async def play() -> None:
        bench = AgentBench(Alarmed())
        await bench.lead()
        await scenario(bench, await bench.open_session())

    asyncio.run(play())


def applied(bench: AgentBench) -> list[bytes]:
    """Return what the service has got."""
    service = bench.applier.container._service
    assert isinstance(service, Alarmed)
    return service.applied


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=6))
def test_the_loop_sleeps_no_longer_than_the_next_timer_wants_and_never_long(
    delays_ms: list[int],
) -> None:
    async def scenario(bench: AgentBench, session: int) -> None:
        for sequence, delay in enumerate(delays_ms, 1):
            bench.agent.append_entry(ingress(session, sequence, [b"%d" % delay]))
            await bench.turns()
            await bench.persist_all()
            (woken,) = bench.loop.pending
            assert woken.at_ns <= bench.clock.now + TICK_MAX_NS
            due = bench.applier.container.next_timer_deadline
            log_time = bench.module.log_time(bench.agent.begin_turn())
            assert due is not None
            assert log_time is not None
            assert woken.at_ns <= bench.clock.now + max(0, due - log_time)
            await bench.turns()
            await bench.pass_time(7)

    run(scenario)


@pytest.mark.parametrize("before_ms", [0, 1, 1000])
def test_a_timer_for_a_time_that_is_over_fires_though_nothing_else_happens(before_ms: int) -> None:
    """A quiet cluster gives it a frame; it would else wait for whoever sends the next message."""

    class Late(Alarmed):
        def on_session_message(
            self, session: ClientSession | None, timestamp: int, message: bytes
        ) -> None:
            self.cluster.schedule_timer(1, timestamp - before_ms * MS)
            self.applied = [message]

        def on_timer(self, timer_id: int, timestamp: int) -> None:
            self.applied.append(b"fired")

    async def play() -> None:
        bench = AgentBench(Late())
        await bench.lead()
        bench.agent.append_entry(ingress(await bench.open_session(), 1, [b"x"]))
        await bench.turns()
        await bench.persist_all()
        await bench.pass_time(50)
        await bench.persist_all()
        assert applied(bench) == [b"x", b"fired"]

    asyncio.run(play())


def test_who_waits_for_an_election_wakes_as_often_as_anybody() -> None:
    """Else loop time, which a turn moves by 100 ms at most, would fall behind."""

    async def play() -> None:
        bench = AgentBench(Alarmed(), 3)
        bench.attach()
        for _ in range(5):
            await bench.pass_time(50)
            (woken,) = bench.loop.pending
            assert woken.at_ns <= bench.clock.now + TICK_MAX_NS

    asyncio.run(play())


@pytest.mark.parametrize("over", [-8, 0, 8, 16, 64])
def test_a_frame_is_filled_to_its_limit_and_not_beyond(over: int) -> None:
    limit = ClusterConstants().frame_bytes_max

    async def scenario(bench: AgentBench, session: int) -> None:
        parts = [ingress(session, n, [bytes(200_000)]) for n in range(1, 6)]
        room = limit - 64 - sum(map(len, parts))
        last = ingress(session, 6, [bytes(room - len(ingress(session, 6, [b""])) + over)])
        assert len(last) == room + over
        before = len(appended(bench))
        for entry in (*parts, last):
            bench.agent.append_entry(entry)
        await bench.turns()
        new = appended(bench)[before:]
        assert [frame.entry_count for frame in new] == ([6] if over <= 0 else [5, 1])
        assert all(len(frame.data) <= limit for frame in new)

    run(scenario)


def test_what_waited_for_room_is_forgotten_with_the_office_that_took_it() -> None:
    """Its clients send it again, to whoever leads then."""

    async def scenario(bench: AgentBench, session: int) -> None:
        bench.agent.room_end = lambda: bench.module.core.log.end.position
        await bench.pass_time(50)
        bench.agent.append_entry(ingress(session, 1, [b"old"]))
        await bench.turns()
        bench.effects.carry_out([IngressChanged(IngressState.CLOSED)])
        bench.agent.room_end = lambda: ROOM_UNBOUNDED
        await bench.pass_time(100)
        await bench.persist_all()
        assert applied(bench) == []

    run(scenario)


def test_one_slow_callback_is_news_once() -> None:
    async def scenario(bench: AgentBench, session: int) -> None:
        news: list[None] = []
        bench.agent.on_news = lambda: news.append(None)
        bench.agent.slow_callbacks.limit_ns = 5 * MS
        bench.clock.step = 10 * MS
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns()
        await bench.persist_all()
        bench.clock.step = 0
        told = len(news)
        assert told
        for sequence in (2, 3, 4):
            bench.agent.append_entry(ingress(session, sequence, [b"x"]))
            await bench.turns()
            await bench.persist_all()
        assert applied(bench) == [b"x"] * 4
        assert len(news) == told

    run(scenario)


@pytest.mark.parametrize(
    ("error", "ends_with"),
    [
        (MemoryError(), MemoryError),
        (SystemExit(0), SystemExit),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (GeneratorExit(), ServiceFailed),
        (asyncio.CancelledError(), ServiceFailed),
    ],
)
def test_what_ends_a_leader_at_a_message_is_behind_the_news_of_its_commit(
    error: BaseException, ends_with: type[BaseException]
) -> None:
    """The others end at the same message, and are not left waiting for it.

    Nor is what only a service raises taken for a bug in Quorate.
    """

    class Dying(Alarmed):
        def on_session_message(self, *_: object) -> None:
            raise error

    told: list[str] = []

    async def scenario(bench: AgentBench, session: int) -> None:
        def publish(_: Instant) -> None:
            bench.module.core.effects.append(Send(Seat(1), Founded(0)))

        def send(seat: Seat, message: Message) -> bool:
            told.append(f"{message} to {seat}")
            return True

        bench.module.publish_commit = publish  # type: ignore[method-assign]
        bench.links.send = send  # type: ignore[method-assign]
        bench.links.flush = lambda: told.append("sent") if told else None  # type: ignore[method-assign]
        bench.applier.container._runner._service = Dying()
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns()
        assert told == []
        await bench.persist_all()

    with pytest.raises(ends_with):
        run(scenario)
    assert told == [f"{Founded(0)} to 1", "sent"]


def test_only_a_leader_answers() -> None:
    async def scenario(bench: AgentBench, session: int) -> None:
        allow, held = bench.applier.commit_to, list[LogPosition]()
        bench.applier.commit_to = held.append  # type: ignore[method-assign,assignment]
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns()
        await bench.persist_all()
        bench.module.core.role = Role.FOLLOWER
        bench.gateway.outbox.clear()
        allow(held[-1])
        bench.agent.wake()
        await bench.turns()
        assert applied(bench) == [b"x"]
        assert bench.gateway.outbox == []

    run(scenario)


def test_a_leader_serves_from_the_end_of_its_own_term_frame_on() -> None:
    async def play() -> None:
        bench = AgentBench(Alarmed())
        allow, held = bench.applier.commit_to, list[LogPosition]()
        bench.applier.commit_to = held.append  # type: ignore[method-assign,assignment]
        await bench.lead()
        founding, term, *_ = appended(bench)
        for position in (founding.end, term.end):
            assert bench.module.role is Role.LEADER
            assert not bench.agent.serving
            assert "serving changed" not in bench.gateway.calls[-1:]
            allow(position)
            bench.agent.wake()
            await bench.turns()
        assert bench.agent.serving
        assert bench.gateway.calls[-1] == "serving changed"

    asyncio.run(play())


def test_a_commit_position_that_was_heard_is_never_taken_back() -> None:
    async def scenario(bench: AgentBench, session: int) -> None:
        before, allow = bench.applier.position, bench.applier.commit_to
        bench.applier.commit_to = lambda _: None  # type: ignore[method-assign]
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns()
        await bench.persist_all()
        allow(bench.module.commit_position)
        allow(before)
        bench.agent.wake()
        await bench.turns()
        assert applied(bench) == [b"x"]

    run(scenario)


def test_while_the_recording_is_read_no_turn_asks_for_the_next_one() -> None:
    async def play() -> None:
        bench = AgentBench(Alarmed(), tail_bytes=1 << 14)
        await bench.lead()
        session = await bench.open_session()
        for sequence in range(1, 41):
            bench.agent.append_entry(ingress(session, sequence, [bytes(1000)]))
            bench.agent._append_entries()
        read, may_go_on = bench.recorder.read, asyncio.Event()

        async def wait(position: LogPosition, bytes_max: int) -> bytes:
            await may_go_on.wait()
            return await read(position, bytes_max)

        bench.applier._read = wait
        await bench.turns()
        await bench.persist_all()
        assert bench.applier.is_behind
        before = len(bench.gateway.turns)
        await bench.turns(20)
        assert len(bench.gateway.turns) == before
        may_go_on.set()
        await bench.turns(50)
        assert not bench.applier.is_behind

    asyncio.run(play())


def test_what_a_turn_itself_adds_is_written_in_the_same_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A timer that is due, and what the gateway says at the end, such as that a session expired."""

    async def scenario(bench: AgentBench, session: int) -> None:
        bench.agent.append_entry(ingress(session, 1, [b"20"]))
        await bench.turns()
        await bench.persist_all()
        before = len(appended(bench))
        bench.clock.now += 30 * MS
        bench.agent.wake()
        await bench.turns(1)
        assert [frame.frame_type for frame in appended(bench)[before:]] == [FrameType.EMPTY]
        await bench.persist_all()

        def expire(_now_ns: int, _positions: tuple[int, int, int]) -> None:
            monkeypatch.undo()
            bench.agent.append_entry(ingress(session, 2, [b"late"]))

        monkeypatch.setattr(bench.gateway, "on_turn", expire)
        before = len(appended(bench))
        bench.agent.wake()
        await bench.turns(1)
        assert [frame.frame_type for frame in appended(bench)[before:]] == [FrameType.ENTRIES]

    run(scenario)


def test_each_turn_is_measured_from_its_beginning() -> None:
    async def scenario(bench: AgentBench, _: int) -> None:
        measured = bench.metrics.loop_turn
        count, total = measured.buckets()[-1][1], measured.sum
        bench.agent.begin_turn()
        bench.clock.now += 30 * MS
        await bench.turns(1)
        assert measured.buckets()[-1][1] == count + 1
        assert measured.sum == pytest.approx(total + 0.03)

    run(scenario)


def test_after_a_stall_the_sockets_are_polled_again_at_once() -> None:
    async def scenario(bench: AgentBench, _: int) -> None:
        bench.clock.now += 5_000 * MS
        bench.loop.pending.clear()
        bench.agent.on_timer()
        await bench.turns(1)
        (again,) = bench.loop.pending
        assert again.at_ns == bench.clock.now + MS
        bench.agent.on_timer()
        await bench.turns(1)
        bench.agent.on_timer()
        bench.loop.pending.clear()
        await bench.turns(1)
        (later,) = bench.loop.pending
        assert later.at_ns > bench.clock.now + MS

    run(scenario)
