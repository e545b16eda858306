"""Slices of applying, with a service that takes its time."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace
from typing import Any

import pytest

from quorate.consensus.log_view import LogView
from quorate.consensus.types import FrameType, LeadershipTermId, LogFrame, LogPosition
from quorate.errors import InvariantBroken
from quorate.protocol.log_codec import EntryType, encode_entry
from quorate.protocol.term_codec import TermBody, encode_term
from quorate.runtime.applying import MESSAGES_PER_STEP, SLICE_NS, Applier
from quorate.service.api import ClientSession, ClusteredService
from quorate.service.container import ServiceContainer
from quorate.testing import ServiceHarness
from quorate_consensus.logs import HandLog
from quorate_runtime.bench import MS, AgentBench, FakeClock, ingress


class Slow(ClusteredService):
    """Takes a millisecond for each message, or no time."""

    def __init__(self) -> None:
        self.clock: FakeClock | None = None
        self.applied = 0
        self.cost_ns = MS
        self.ended = 0

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Let the clock go on."""
        self.applied += 1
        if self.clock is not None:
            self.clock.now += self.cost_ns

    def on_terminate(self) -> None:
        """Count."""
        self.ended += 1


async def prepared(service: Slow) -> tuple[AgentBench, int]:
    """Return a leading member of a cluster of one, and a session."""
    bench = AgentBench(service)
    await bench.lead()
    return bench, await bench.open_session()


def slices(bench: AgentBench, service: Slow) -> list[int]:
    """Apply everything, slice by slice; return how many messages each took."""
    taken = []
    while bench.applier.is_behind:
        before = service.applied
        bench.applier.apply_slice()
        taken.append(service.applied - before)
    return taken


def test_a_slow_service_is_given_so_few_messages_that_a_slice_ends_in_time() -> None:
    async def play() -> None:
        service = Slow()
        bench, session = await prepared(service)
        service.clock = bench.clock
        frame = [b"x"] * (2 * MESSAGES_PER_STEP)
        bench.agent.append_entry(ingress(session, 1, frame))
        bench.agent._append_entries()
        bench.applier.commit_to(bench.module.core.log.end.position)
        taken = slices(bench, service)
        assert sum(taken) == len(frame)
        assert taken[0] == MESSAGES_PER_STEP, "nothing is known before the first step"
        assert max(taken[1:]) * MS <= 2 * SLICE_NS
        service.clock = None
        frame *= 20
        bench.agent.append_entry(ingress(session, len(frame) // 20 + 1, frame))
        bench.agent._append_entries()
        bench.applier.commit_to(bench.module.core.log.end.position)
        assert slices(bench, service) == [len(frame)]
        assert bench.applier._step_messages == MESSAGES_PER_STEP, "fast again"

    asyncio.run(play())


def commit(bench: AgentBench, *entries: bytes) -> None:
    """Append these, each in a frame of its own, and allow applying them."""
    for entry in entries:
        bench.agent.append_entry(entry)
        bench.agent._append_entries()
    bench.applier.commit_to(bench.module.core.log.end.position)


def test_what_a_slice_leaves_is_applied_in_the_turns_that_follow_by_themselves() -> None:
    async def play() -> None:
        service = Slow()
        bench, session = await prepared(service)
        service.clock = bench.clock
        messages = 10 * SLICE_NS // MS
        for sequence in range(1, messages + 1):
            bench.agent.append_entry(ingress(session, sequence, [b"x"]))
            bench.agent._append_entries()
        bench.agent._carry_out()
        bench.agent.on_persisted(bench.module.core.sequence)
        await bench.turns(1)
        assert 0 < service.applied < messages
        await bench.turns(messages)
        assert service.applied == messages

    asyncio.run(play())


@pytest.mark.parametrize("found", ["nothing", "another frame"])
def test_a_recording_without_the_frame_that_is_next_is_our_bug(found: str) -> None:
    async def play() -> None:
        bench = AgentBench(Slow(), tail_bytes=1 << 14)
        await bench.lead()
        session = await bench.open_session()
        for sequence in range(1, 41):
            bench.agent.append_entry(ingress(session, sequence, [bytes(1000)]))
            bench.agent._append_entries()
        read = bench.recorder.read

        async def read_other(position: LogPosition, bytes_max: int) -> bytes:
            whole = await read(position, bytes_max)
            (length,) = struct.unpack_from("<I", whole)
            return b"" if found == "nothing" else whole[length + -length % 64 :]

        bench.applier._read = read_other
        await bench.turns()
        bench.agent.on_persisted(bench.module.core.sequence)
        await bench.turns()
        (task,) = bench.tasks
        with pytest.raises(InvariantBroken, match="the recording holds no frame at"):
            await task

    asyncio.run(play())


def test_frames_without_messages_do_not_show_that_a_service_has_become_fast() -> None:
    async def play() -> None:
        service = Slow()
        bench, session = await prepared(service)
        service.clock = bench.clock
        frame = [b"x"] * MESSAGES_PER_STEP
        commit(bench, ingress(session, 1, frame))
        slices(bench, service)
        acknowledgement = encode_entry(EntryType.EGRESS_ACKNOWLEDGEMENT, session, b"")
        commit(bench, *[acknowledgement] * 50, ingress(session, len(frame) + 1, frame))
        assert max(slices(bench, service)) * MS <= 2 * SLICE_NS

    asyncio.run(play())


@pytest.mark.parametrize("cost_us", [9, 17, 23, 45, 300, 5000])
def test_a_service_that_has_become_fast_gets_no_more_than_the_most(cost_us: int) -> None:
    async def play() -> None:
        service = Slow()
        bench, session = await prepared(service)
        service.clock, service.cost_ns = bench.clock, cost_us * 1000
        frame = [b"x"] * 20 * MESSAGES_PER_STEP
        commit(bench, ingress(session, 1, frame))
        slices(bench, service)
        assert bench.applier._step_messages < MESSAGES_PER_STEP
        service.clock = None
        commit(bench, ingress(session, len(frame) + 1, frame))
        slices(bench, service)
        assert bench.applier._step_messages == MESSAGES_PER_STEP

    asyncio.run(play())


def test_nothing_is_applied_once_the_service_was_told_of_the_end() -> None:
    """Not what is in memory, nor what was begun, nor what is committed later."""

    async def play() -> None:
        service = Slow()
        bench, session = await prepared(service)
        service.clock = bench.clock
        bench.agent.append_entry(ingress(session, 1, [b"x"] * (2 * MESSAGES_PER_STEP)))
        bench.agent._append_entries()
        bench.applier.commit_to(bench.module.core.log.end.position)
        bench.applier.apply_slice()
        assert bench.applier.can_go_on
        bench.applier.end()
        bench.agent.append_entry(ingress(session, 2 * MESSAGES_PER_STEP + 1, [b"x"]))
        await bench.persist_all()
        await bench.turns()
        assert not bench.applier.is_behind
        assert not bench.applier.can_go_on
        assert (service.applied, service.ended) == (MESSAGES_PER_STEP, 1)

    asyncio.run(play())


def test_a_possible_loss_is_told_of_the_newest_term_only() -> None:
    """As it was applied: an operator who looks later sees whether the present term has one."""

    async def play() -> None:
        harness = ServiceHarness(Slow)
        told = []
        container = ServiceContainer(Slow(), lambda _: None)
        container.start(None)
        log = SimpleNamespace(frame_at=lambda _: harness.applied[-1].frame)
        applier = Applier(container, log, FakeClock(), Any, Any, Any)  # type: ignore[arg-type]
        for term, lost in enumerate((None, False, True, True, False, True, False)):
            if lost is not None:
                body = term_body(harness, LeadershipTermId(term), possible_loss=lost)
                harness.append_frame(FrameType.NEW_LEADERSHIP_TERM, body, 0, timestamp=harness.time)
            applier.commit_to(harness.applied[-1].frame.end)
            applier.apply_slice()
            assert not applier.is_behind
            told.append(applier.possible_loss)
        assert told == [False, False, True, True, False, True, False]

    asyncio.run(play())


class Recorded:
    """A container that only remembers what it was given."""

    def __init__(self) -> None:
        self.position = LogPosition(0)
        self.begun: list[LogFrame] = []

    def begin(self, frame: LogFrame) -> None:
        self.begun.append(frame)

    def step(self, _messages: int) -> bool:
        self.position = self.begun[-1].end
        return True


def test_a_tail_that_is_about_to_be_cut_off_is_not_kept_to_be_applied_later() -> None:
    old = HandLog(1)
    old.begin_term(1)
    new = old.copy()
    old.add(1)
    new.begin_term(2)
    log = LogView(old.terms, old.end, 0, old.frames[0], 0)
    on_disk, asked = old, []

    async def read(position: LogPosition, _bytes_max: int) -> bytes:
        asked.append(position)
        return b"".join(frame.data for frame in on_disk.frames if frame.position >= position)

    container: Any = Recorded()
    tasks: list[Any] = []
    applier = Applier(
        container, log, FakeClock(), read, lambda task, _name: tasks.append(task), lambda: None
    )
    log.truncate(new.mark(2))
    log.append(new.frames[2])
    log.appended(1)
    applier.commit_to(log.end.position)
    applier.apply_slice()
    asyncio.run(tasks.pop())
    on_disk = new
    log.persisted(1)
    assert log.frame_at(new.frames[2].position) is None, "forgotten, as it is durable"
    while applier.is_behind:
        applier.apply_slice()
        for task in tasks:
            asyncio.run(task)
        tasks.clear()
    assert container.begun == new.frames
    assert asked == [0, new.frames[2].position]


def term_body(harness: ServiceHarness, term: LeadershipTermId, *, possible_loss: bool) -> bytes:
    """Return the body of a term frame that goes on from what the harness has."""
    container = harness.container
    return encode_term(
        TermBody(
            epoch=0,
            leadership_term_id=term,
            base=container.position,
            leader=container.membership.voters[0].member_id,
            log_time=harness.time,
            format_version=1,
            feature_activated=0,
            feature_supported=0,
            possible_loss=possible_loss,
            membership=container.membership,
            settings=container.settings,
        )
    )
