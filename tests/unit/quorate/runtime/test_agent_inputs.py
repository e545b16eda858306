"""What the neighbours of an agent tell reaches its module, in one turn and by one time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from quorate.consensus.messages import AppendReport, Founded
from quorate.consensus.types import (
    LOG_START,
    NOT_RECOVERING,
    Instant,
    LeadershipTermId,
    LogPosition,
    Seat,
)
from quorate.examples.echo import Echo
from quorate.protocol.entry_bodies import CloseReason, encode_session_close
from quorate.protocol.log_codec import EntryType, encode_entry
from quorate.runtime.effect_runner import PersistEffect
from quorate.service.outbox import EgressBatch
from quorate_runtime.bench import MS, AgentBench, ingress, life


def run(scenario: Callable[[AgentBench, int], Awaitable[None]]) -> None:
    """Play a scenario with a leading member of a cluster of one, and a session."""

    async def play() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        await scenario(bench, await bench.open_session())

    asyncio.run(play())


def test_an_input_is_judged_by_the_clocks_of_its_turn_or_of_its_own_time_between_turns() -> None:
    async def play() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        judged: list[Instant] = []
        bench.module.on_persisted = lambda now, _: judged.append(now)  # type: ignore[method-assign]
        for _ in range(2):
            bench.clock.now += 10 * MS
            bench.agent.on_persisted(0)
            assert judged[-1].boottime == bench.clock.now
            assert judged[-1].wall == bench.clock.wall()
        assert judged[1].loop == judged[0].loop + 10 * MS
        instant = bench.agent.begin_turn()
        bench.clock.now += 10 * MS
        bench.agent.on_persisted(0)
        assert judged[-1] is instant, "one turn, one time"

    asyncio.run(play())


def test_sessions_that_come_and_go_are_logged_where_they_are_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play() -> None:
        caplog.set_level("DEBUG", "quorate.runtime")
        bench = AgentBench(Echo())
        await bench.lead()
        caplog.clear()
        session = await bench.open_session()
        close = encode_entry(
            EntryType.SESSION_CLOSE, session, encode_session_close(CloseReason.CLIENT)
        )
        bench.agent.append_entry(close)
        await bench.turns()
        await bench.persist_all()
        assert [(vars(record)["event"], vars(record)["fields"]) for record in caplog.records] == [
            ("session_opened", {"session": session}),
            ("session_closed", {"session": session, "reason": "client"}),
        ]

    asyncio.run(play())


def test_the_watch_of_hanging_turns_sees_when_the_present_one_began() -> None:
    async def scenario(bench: AgentBench, _: int) -> None:
        assert bench.agent.turn_began_ns == 0
        bench.clock.now += 10 * MS
        began = bench.clock.now
        bench.agent.begin_turn()
        bench.clock.now += 10 * MS
        assert bench.agent.turn_began_ns == began
        await bench.turns(1)
        assert bench.agent.turn_began_ns == 0

    run(scenario)


def test_an_input_that_commits_within_a_turn_begins_no_second_one() -> None:
    async def scenario(bench: AgentBench, session: int) -> None:
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns(1)
        before = len(bench.gateway.turns)
        bench.agent.wake()
        bench.agent.on_persisted(bench.module.core.sequence)
        assert bench.module.core.has_news
        await bench.turns()
        assert bench.applier.position == bench.module.core.log.end.position
        assert len(bench.gateway.turns) == before + 1

    run(scenario)


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("on_link_up", (life(1),), {}),
        ("on_link_down", (life(1),), {}),
        ("on_reconnect_refused", (Seat(1),), {}),
        ("on_message", (life(1), Founded(5)), {}),
        ("on_log_read", (Seat(1), ()), {"more": True}),
        ("on_no_boundary", (Seat(1), LogPosition(64)), {}),
        ("request_found", (), {"discard": True}),
        ("request_transfer", (Seat(1),), {}),
    ],
)
def test_what_links_disk_and_operators_tell_reaches_the_module_in_a_turn(
    name: str,
    arguments: tuple[object, ...],
    named: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(bench: AgentBench, _: int) -> None:
        told: list[object] = []

        def tell(now: Instant, *what: object, **more: object) -> str:
            told.extend((now, what, more))
            return "answered"

        monkeypatch.setattr(bench.module, name, tell)
        bench.clock.now += 10 * MS
        began, turns = bench.clock.now, len(bench.gateway.turns)
        answer = getattr(bench.agent, name)(*arguments, **named)
        assert answer == ("answered" if name.startswith("request") else None)
        assert bench.agent.turn_began_ns == began
        assert told == [bench.agent.begin_turn(), arguments, named]
        await bench.turns(1)
        assert len(bench.gateway.turns) == turns + 1

    run(scenario)


def test_a_report_reaches_the_module_by_its_own_clocks_and_costs_no_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(bench: AgentBench, _: int) -> None:
        told: list[object] = []
        monkeypatch.setattr(bench.module, "on_message", lambda *what: told.extend(what))
        report = AppendReport(
            leadership_term_id=LeadershipTermId(1),
            matched=True,
            durable=LogPosition(0),
            checked=LogPosition(0),
            end=LOG_START,
            terms=(),
            round=1,
            service_position=LogPosition(0),
            recovering=NOT_RECOVERING,
            wall=0,
        )
        bench.clock.now += 10 * MS
        turns = len(bench.gateway.turns)
        bench.agent.on_message(life(1), report)
        now, *what = told
        assert what == [life(1), report]
        assert isinstance(now, Instant)
        assert now.boottime == bench.clock.now
        await bench.turns()
        assert len(bench.gateway.turns) == turns

    run(scenario)


def test_a_write_that_is_done_at_once_is_applied_in_the_same_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in durability ``replicated``, where no write waits for the disk."""

    async def scenario(bench: AgentBench, session: int) -> None:
        submit = bench.recorder.submit

        def submit_and_complete(effects: Sequence[PersistEffect]) -> None:
            submit(effects)
            bench.agent.on_persisted(effects[-1].sequence)

        monkeypatch.setattr(bench.recorder, "submit", submit_and_complete)
        bench.agent.append_entry(ingress(session, 1, [b"x"]))
        await bench.turns(1)
        assert bench.applier.position == bench.module.core.log.end.position
        assert [item for item in bench.gateway.outbox if isinstance(item, EgressBatch)]

    run(scenario)
