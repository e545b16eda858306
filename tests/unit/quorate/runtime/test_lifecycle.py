"""Exit codes tell causes apart; leadership is handed over within its bound."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from quorate.config import MemberConfig, NodeConfig
from quorate.consensus.effects import Effect, TransferEnded
from quorate.consensus.types import Role, Seat
from quorate.errors import (
    ConfigurationError,
    CorruptRecord,
    DirectoryInUse,
    DiskFull,
    ForeignData,
    InvariantBroken,
    ServiceFailed,
    StorageError,
    SyncFailed,
)
from quorate.examples.echo import Echo
from quorate.protocol.log_codec import UnknownFormat
from quorate.runtime.exit_codes import ExitCode
from quorate.runtime.lifecycle import exit_code_of, hand_over, shut_down
from quorate.runtime.member import Member
from quorate_runtime.bench import AgentBench, life


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 1),
        (ConfigurationError(["x"]), 2),
        (ForeignData("x"), 3),
        (DirectoryInUse("x"), 3),
        (UnknownFormat("written by a later release"), 3),
        (StorageError("x"), 4),
        (SyncFailed("x"), 4),
        (DiskFull("x"), 4),
        (CorruptRecord("x"), 5),
        (InvariantBroken("x"), 6),
        (AssertionError("x"), 6),
        (KeyError("a bug"), 6),
        (ServiceFailed("x"), 7),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code
    assert ExitCode(code).meaning


class _Parts:
    def __init__(self, bench: AgentBench) -> None:
        self.agent, self.effects = bench.agent, bench.effects


def test_alone_there_is_nobody_to_hand_over_to_and_no_wait() -> None:
    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        async with asyncio.timeout(20):
            await hand_over(cast("Member", _Parts(bench)), 60.0)

    asyncio.run(run())


def test_hand_over_tries_again_until_it_succeeds() -> None:
    """The first outcome is a failure; the second attempt goes through."""

    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        core = bench.module.core
        core.links[Seat(1)] = life(1)
        asked: list[Seat | None] = []

        def request(target: Seat | None) -> None:
            asked.append(target)
            done = len(asked) == 2
            if done:
                core.role, core.leader = Role.FOLLOWER, Seat(1)
            ended: Effect = TransferEnded(done, Seat(1), "told")
            asyncio.get_running_loop().call_soon(bench.effects.carry_out, [ended])

        bench.agent.request_transfer = request  # type: ignore[method-assign]
        async with asyncio.timeout(20):
            await hand_over(cast("Member", _Parts(bench)), 60.0)
        assert asked == [None, None]

    asyncio.run(run())


def test_a_member_stays_until_its_clients_can_be_told_who_leads() -> None:
    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        core = bench.module.core
        core.links[Seat(1)] = life(1)
        core.role, core.leader = Role.FOLLOWER, None
        async with asyncio.timeout(20):
            leaving = asyncio.ensure_future(hand_over(cast("Member", _Parts(bench)), 60.0))
            await bench.turns(10)
            assert not leaving.done()
            core.leader = Seat(1)
            await leaving

    asyncio.run(run())


def test_who_asked_for_a_refused_hand_over_waits_for_no_outcome() -> None:
    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        bench.module.core.links[Seat(1)] = life(1)
        bench.agent.request_transfer = lambda _: "not now"  # type: ignore[method-assign]
        await hand_over(cast("Member", _Parts(bench)), 0.2)
        assert bench.effects.transfer_outcomes == []

    asyncio.run(run())


def test_hand_over_ends_at_its_bound() -> None:
    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        bench.module.core.links[Seat(1)] = life(1)
        async with asyncio.timeout(20):
            await hand_over(cast("Member", _Parts(bench)), 0.2)
        assert bench.module.role is Role.LEADER

    asyncio.run(run())


class _Ending:
    """A member whose parts note in which order they are ended."""

    def __init__(self, bench: AgentBench, *, handover_ms: int, redirect_ms: int) -> None:
        self.order: list[str] = []
        self.agent, self.effects = bench.agent, bench.effects
        settings = MemberConfig(handover_timeout_ms=handover_ms, redirect_timeout_ms=redirect_ms)
        self.config = NodeConfig(member=settings)
        self.clients_gone = asyncio.Event()
        bench.agent.on_news = lambda: self.order.append(f"stopping {bench.agent.is_stopping}")
        bench.applier.end = lambda: self.order.append("service told")  # type: ignore[method-assign]
        self.gateway = SimpleNamespace(
            wait_empty=self.clients_gone.wait, close=lambda: self._end("clients")
        )
        self.links = SimpleNamespace(close=lambda: self._end("links"))
        self.writer = SimpleNamespace(close=lambda *, clean: self._end(f"files {clean}"))

    async def _end(self, what: str) -> None:
        self.order.append(what)


ENDED = ["stopping True", "clients", "links", "files True", "service told"]


def test_a_member_ends_in_its_order_though_clients_stay() -> None:
    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        member = _Ending(bench, handover_ms=60_000, redirect_ms=50)
        async with asyncio.timeout(20):
            await shut_down(cast("Member", member))
        assert member.order == ENDED

    asyncio.run(run())


@pytest.mark.parametrize("leader", [None, Seat(0)])
def test_clients_are_waited_for_only_while_they_can_be_told_a_leader(leader: Seat | None) -> None:
    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        bench.module.core.role, bench.module.core.leader = Role.FOLLOWER, leader
        member = _Ending(bench, handover_ms=60_000, redirect_ms=3_600_000)
        ending = asyncio.ensure_future(shut_down(cast("Member", member)))
        await bench.turns(10)
        assert ("clients" in member.order) == (leader is None)
        member.clients_gone.set()
        await ending
        assert member.order == ENDED

    asyncio.run(run())


def test_the_time_to_hand_over_is_taken_in_its_unit() -> None:
    """The third attempt succeeds, a tenth of a second later."""

    async def run() -> None:
        bench = AgentBench(Echo())
        await bench.lead()
        core, left = bench.module.core, [2]
        core.links[Seat(1)] = life(1)

        def request(_: Seat | None) -> str | None:
            if left[0]:
                left[0] -= 1
                return "not now"
            core.role, core.leader = Role.FOLLOWER, Seat(1)
            ended: Effect = TransferEnded(True, Seat(1), "told")
            asyncio.get_running_loop().call_soon(bench.effects.carry_out, [ended])
            return None

        bench.agent.request_transfer = request  # type: ignore[method-assign]
        member = _Ending(bench, handover_ms=20_000, redirect_ms=0)
        async with asyncio.timeout(20):
            await shut_down(cast("Member", member))
        assert bench.module.role is Role.FOLLOWER

    asyncio.run(run())
