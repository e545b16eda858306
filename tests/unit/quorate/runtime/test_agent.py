"""The agent's turns: what arrives together becomes one frame, and a stall judges nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from quorate.consensus.effects import HaltCode
from quorate.consensus.types import (
    ROOM_UNBOUNDED,
    FrameType,
    LogPosition,
    Role,
    Seat,
)
from quorate.runtime.slow_callbacks import SHOWN_NS
from quorate.service.api import ClientSession, ClusteredService
from quorate.service.outbox import EgressBatch
from quorate_runtime.bench import MS, AgentBench, appended, ingress, open_entry

SECOND = 1_000 * MS
MIB = 1024 * 1024


class Timing(ClusteredService):
    """Echoes; a message ``t`` asks for a timer a second later, ``!`` fails."""

    def __init__(self) -> None:
        self.fired: list[int] = []
        self.applied: list[bytes] = []

    def on_start(self, cluster, snapshot):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Keep the cluster."""
        self.cluster = cluster

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Echo, set a timer, or fail."""
        self.applied.append(message)
        if message == b"!":
            raise ValueError("as asked")
        if message == b"t":
            self.cluster.schedule_timer(7, timestamp + SECOND)
        if session is not None:
            session.offer(message)

    def on_timer(self, timer_id: int, timestamp: int) -> None:
        """Note it."""
        self.fired.append(timestamp)


def run(scenario: Callable[[AgentBench, Timing], Awaitable[None]]) -> None:
    """Play a scenario with a leading member of a cluster of one."""

    async def play() -> None:
        service = Timing()
        bench = AgentBench(service)
        await bench.lead()
        await scenario(bench, service)

    asyncio.run(play())


def test_alone_it_leads_and_serves_once_its_term_frame_is_applied() -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        assert bench.module.role is Role.LEADER
        assert bench.agent.serving
        leading = bench.module.leading
        assert leading is not None
        assert bench.applier.position >= leading.term_frame_end

    run(scenario)


def test_entries_of_one_iteration_share_a_frame_and_a_batch() -> None:
    async def scenario(bench: AgentBench, service: Timing) -> None:
        session = await bench.open_session()
        frames, batches = len(appended(bench)), len(bench.recorder.batches)
        for sequence in (1, 2, 3):
            bench.agent.append_entry(ingress(session, sequence, [b"%d" % sequence]))
        await bench.turns(1)
        new = appended(bench)[frames:]
        assert [(frame.frame_type, frame.entry_count) for frame in new] == [(FrameType.ENTRIES, 3)]
        assert len(bench.recorder.batches) == batches + 1
        assert service.applied == []
        await bench.persist_all()
        assert service.applied == [b"1", b"2", b"3"]

    run(scenario)


def test_nothing_is_applied_or_answered_before_it_is_durable() -> None:
    async def scenario(bench: AgentBench, service: Timing) -> None:
        session = await bench.open_session()
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns(10)
        assert service.applied == []
        assert not [item for item in bench.gateway.outbox if isinstance(item, EgressBatch)]
        await bench.persist_all()
        assert [item for item in bench.gateway.outbox if isinstance(item, EgressBatch)]

    run(scenario)


def test_entries_beyond_the_frame_limit_make_several_frames_in_order() -> None:
    async def scenario(bench: AgentBench, service: Timing) -> None:
        session = await bench.open_session()
        before = len(appended(bench))
        messages = [bytes([65 + n]) * 200_000 for n in range(12)]
        for sequence, message in enumerate(messages, 1):
            bench.agent.append_entry(ingress(session, sequence, [message]))
        await bench.turns(1)
        new = appended(bench)[before:]
        assert [frame.entry_count for frame in new] == [5, 5, 2]
        await bench.persist_all()
        await bench.turns(50)
        assert service.applied == messages

    run(scenario)


def test_timer_fires_by_an_empty_frame_when_due_and_not_before() -> None:
    async def scenario(bench: AgentBench, service: Timing) -> None:
        session = await bench.open_session()
        bench.agent.append_entry(ingress(session, 1, [b"t"]))
        await bench.turns()
        await bench.persist_all()
        before = len(appended(bench))
        await bench.pass_time(900)
        assert len(appended(bench)) == before
        await bench.pass_time(200)
        new = appended(bench)[before:]
        assert [frame.frame_type for frame in new] == [FrameType.EMPTY]
        await bench.persist_all()
        assert len(service.fired) == 1
        await bench.pass_time(2_000)
        assert len(appended(bench)) == before + 1, "one timer wants one frame"

    run(scenario)


def test_a_stall_judges_no_deadline_before_the_sockets_were_read() -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        ticks: list[int] = []
        bench.module.on_tick = lambda now: ticks.append(now.loop)  # type: ignore[method-assign]
        bench.clock.now += 5 * SECOND
        bench.agent.on_timer()
        await bench.turns()
        bench.agent.on_timer()
        assert ticks == [], "two polls of the sockets come first"
        await bench.turns()
        bench.agent.on_timer()
        assert len(ticks) == 1

    run(scenario)


def test_a_stall_is_told_with_its_length(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks why leadership went finds it in the log."""

    async def scenario(bench: AgentBench, _: Timing) -> None:
        await bench.pass_time(50)
        caplog.clear()
        bench.clock.now += 5 * SECOND
        bench.agent.on_timer()
        await bench.turns()
        (record,) = caplog.records
        assert vars(record)["event"] == "loop_stalled"
        assert vars(record)["fields"] == {"seat": 0, "ms": 5_000}

    run(scenario)


def test_loop_time_grows_by_at_most_the_stall_bound() -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        before = bench.agent.begin_turn().loop
        await bench.turns()
        bench.clock.now += 60 * SECOND
        assert bench.agent.begin_turn().loop - before <= 200 * MS

    run(scenario)


def test_clocks_are_read_once_a_turn() -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        await bench.turns()
        first = bench.agent.begin_turn()
        bench.clock.now += 10 * MS
        assert bench.agent.begin_turn() is first

    run(scenario)


def test_an_input_that_changes_nothing_costs_no_turn_and_one_that_commits_begins_one() -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        session = await bench.open_session()
        before = len(bench.gateway.turns)
        bench.agent.on_persisted(bench.module.core.sequence)
        await bench.turns()
        assert len(bench.gateway.turns) == before
        now = bench.agent.begin_turn().loop
        await bench.turns()
        bench.agent.on_persisted(bench.module.core.sequence)
        bench.clock.now += 10 * MS
        assert bench.agent.begin_turn().loop == now + 10 * MS, "the clocks are read anew"
        await bench.turns()
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns()
        before = len(bench.gateway.turns)
        bench.agent.on_persisted(bench.module.core.sequence)
        await bench.turns()
        assert len(bench.gateway.turns) == before + 1
        written, committed, applied = bench.gateway.turns[-1]
        assert written == committed == applied

    run(scenario)


def test_failing_callback_is_told_here_and_the_next_message_is_applied() -> None:
    async def scenario(bench: AgentBench, service: Timing) -> None:
        session = await bench.open_session()
        bench.agent.append_entry(ingress(session, 1, [b"!", b"after"]))
        await bench.turns()
        await bench.persist_all()
        assert len(bench.failures) == 1
        assert service.applied == [b"!", b"after"]

    run(scenario)


def test_slow_disk_makes_a_leader_hand_over_or_say_so() -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        bench.agent.storage_busy_ns = lambda: 2 * SECOND
        await bench.pass_time(100)
        assert bench.module.core.storage_stalled
        assert bench.module.role is Role.LEADER, "alone there is nobody to hand over to"
        bench.agent.storage_busy_ns = lambda: 0
        await bench.pass_time(100)
        assert not bench.module.core.storage_stalled

    run(scenario)


def test_what_the_full_log_does_not_take_is_kept_and_goes_in_first_when_there_is_room() -> None:
    async def scenario(bench: AgentBench, service: Timing) -> None:
        session = await bench.open_session()
        room = bench.module.core.log.end.position + 5 * MIB
        bench.agent.room_end = lambda: LogPosition(room)
        await bench.pass_time(50)
        assert "storage_low" in bench.effects.alarms
        assert "refuse ingress" not in bench.gateway.calls
        messages = [b"%02d" % n + bytes(MIB // 4 - 8192) for n in range(18)]
        for first in range(0, 18, 3):
            batch = messages[first : first + 3]
            bench.agent.append_entry(ingress(session, first + 1, batch))
        await bench.turns()
        await bench.persist_all()
        assert service.applied == messages[:12]
        assert bench.gateway.calls[-2:] == ["refuse ingress", "resume"]
        assert bench.module.core.log.end.position <= room - 2 * MIB
        assert "storage_full" in bench.effects.alarms
        bench.agent.append_entry(ingress(session, 19, [b"last"]))
        await bench.pass_time(100)
        await bench.persist_all()
        assert service.applied == messages[:12]
        bench.agent.room_end = lambda: ROOM_UNBOUNDED
        await bench.pass_time(50)
        await bench.persist_all()
        assert bench.gateway.calls[-2:] == ["take ingress", "resume"]
        assert service.applied == [*messages, b"last"]
        assert not bench.effects.alarms
        assert "rejected" not in bench.gateway.calls

    run(scenario)


def test_timers_that_are_due_wait_for_room_without_a_spin() -> None:
    async def scenario(bench: AgentBench, service: Timing) -> None:
        session = await bench.open_session()
        bench.agent.append_entry(ingress(session, 1, [b"t"]))
        await bench.turns()
        await bench.persist_all()
        bench.agent.room_end = lambda: bench.module.core.log.end.position
        await bench.pass_time(2000)
        assert not service.fired
        assert bench.loop.delays_s[-1] > 0
        bench.agent.room_end = lambda: ROOM_UNBOUNDED
        await bench.pass_time(100)
        await bench.persist_all()
        assert len(service.fired) == 1

    run(scenario)


def test_an_alarm_of_a_slow_callback_stands_for_minutes_and_is_then_taken_back() -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        session = await bench.open_session()
        bench.agent.slow_callbacks.limit_ns = 5 * MS

        async def be_slow(sequence: int) -> None:
            bench.clock.step = 10 * MS
            bench.agent.append_entry(ingress(session, sequence, [b"x"]))
            await bench.turns()
            await bench.persist_all()
            bench.clock.step = 0

        shown_ms = SHOWN_NS // MS
        await be_slow(1)
        await bench.pass_time(shown_ms - 1_000)
        assert "callback_slow" in bench.effects.alarms
        await be_slow(2)
        await bench.pass_time(shown_ms - 1_000)
        assert "callback_slow" in bench.effects.alarms
        await bench.pass_time(1_000)
        assert "callback_slow" not in bench.effects.alarms

    run(scenario)


@pytest.mark.parametrize("code", [HaltCode.DAMAGED, HaltCode.INVARIANT_BROKEN])
def test_after_a_halt_nothing_is_carried_out(code: HaltCode) -> None:
    async def scenario(bench: AgentBench, _: Timing) -> None:
        batches = len(bench.recorder.batches)
        bench.effects.halt(code, "told to")
        bench.agent.append_entry(open_entry())
        await bench.turns()
        assert bench.halts == [(code, "told to")]
        assert len(bench.recorder.batches) == batches

    run(scenario)


def test_applying_goes_on_from_the_recording_when_memory_has_forgotten() -> None:
    """Frames evicted from memory before they were applied come back from the file."""

    async def play() -> None:
        service = Timing()
        bench = AgentBench(service, tail_bytes=1)
        await bench.lead()
        session = await bench.open_session()
        held = bench.applier.commit_to
        allowed: list[LogPosition] = []
        bench.applier.commit_to = allowed.append  # type: ignore[method-assign,assignment]
        for sequence in range(1, 6):
            bench.agent.append_entry(ingress(session, sequence, [b"%d" % sequence]))
            await bench.turns()
            await bench.persist_all()
        assert service.applied == []
        assert bench.module.core.log.tail_start == bench.module.core.log.end.position
        bench.applier.commit_to = held  # type: ignore[method-assign]
        bench.applier.commit_to(allowed[-1])
        bench.agent.wake()
        await bench.turns(20)
        assert service.applied == [b"1", b"2", b"3", b"4", b"5"]
        assert bench.recorder.reads, "nothing was in memory"

    asyncio.run(play())


def test_what_is_read_beyond_the_commit_position_is_read_again_when_it_is_committed() -> None:
    """An uncommitted frame may be cut off and replaced; the one read before must not be applied."""

    async def play() -> None:
        service = Timing()
        bench = AgentBench(service, tail_bytes=1)
        await bench.lead()
        session = await bench.open_session()
        held = bench.applier.commit_to
        bench.applier.commit_to = lambda _position: None  # type: ignore[method-assign,assignment]
        ends: list[LogPosition] = []
        for sequence in (1, 2):
            bench.agent.append_entry(ingress(session, sequence, [b"%d" % sequence]))
            await bench.turns()
            await bench.persist_all()
            ends.append(bench.module.core.log.end.position)
        bench.applier.commit_to = held  # type: ignore[method-assign]
        bench.applier.commit_to(ends[0])
        bench.agent.wake()
        await bench.turns(20)
        assert service.applied == [b"1"]
        reads = list(bench.recorder.reads)
        bench.applier.commit_to(ends[1])
        bench.agent.wake()
        await bench.turns(20)
        assert service.applied == [b"1", b"2"]
        assert bench.recorder.reads == [*reads, ends[0]], "read anew from where it went on"

    asyncio.run(play())


def test_a_timer_that_is_due_while_leadership_is_handed_over_does_not_spin() -> None:
    """Nothing may be appended then; the loop must not go round for it without sleeping."""

    async def scenario(bench: AgentBench, _: Timing) -> None:
        session = await bench.open_session()
        bench.agent.append_entry(ingress(session, 1, [b"t"]))
        await bench.turns()
        await bench.persist_all()
        transfer = bench.module._transfer
        assert transfer is not None
        transfer.target = Seat(1)
        await bench.pass_time(2_000)
        bench.loop.delays_s.clear()
        await bench.pass_time(50)
        assert min(bench.loop.delays_s) > 0, bench.loop.delays_s

    run(scenario)


def test_the_gateway_is_told_of_what_the_log_rejects() -> None:
    async def play() -> None:
        bench = AgentBench(Timing())
        bench.attach()
        bench.agent.append_entry(open_entry())
        await bench.turns()
        assert bench.gateway.calls.count("rejected") == 1
        assert bench.metrics.refusals()["client", "not leader"] == 1

    asyncio.run(play())
