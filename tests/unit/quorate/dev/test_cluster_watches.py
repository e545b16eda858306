"""What a running cluster tells of its members, and what can be waited for and asked of it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.consensus.types import Seat
from quorate.control.status import AlarmRow, MemberState
from quorate.dev import cluster as module
from quorate.dev import watch
from quorate.dev.cluster import DevCluster, DevEvent
from quorate.dev.layout import DevOptions
from quorate.errors import NotConnected
from quorate_processes.stand_ins import RUNS, ControlPorts, command, says

FOLLOWERS = [says(seat, MemberState.FOLLOWER) for seat in range(3)]


class Watched:
    """A running cluster with all that it tells."""

    def __init__(self, cluster: DevCluster, ports: ControlPorts) -> None:
        self.cluster = cluster
        self.ports = ports
        self.told: list[tuple[Seat | None, str]] = []

    def tell(self, event: DevEvent) -> None:
        self.told.append((event.seat, event.text))

    async def until_told(self, count: int) -> None:
        while len(self.told) < count:  # noqa: ASYNC110 - what is told changes no condition
            await asyncio.sleep(0.01)

    async def until_known(self, seat: int, state: MemberState | None) -> None:
        def is_known() -> bool:
            status = self.cluster.known_statuses()[Seat(seat)]
            return (None if status is None else status.state) == state

        await self.cluster.wait_until(is_known, 10)


@pytest.fixture
def options(tmp_path: Path) -> DevOptions:
    return DevOptions(tmp_path / "dev")


@asynccontextmanager
async def watched(
    options: DevOptions,
    monkeypatch: pytest.MonkeyPatch,
    *,
    script: str = RUNS,
    restart: bool = False,
) -> AsyncIterator[Watched]:
    monkeypatch.setattr(watch, "RETRY_S", 0.01)
    ports = ControlPorts(options)
    monkeypatch.setattr(module, "ControlClient", ports)
    cluster = DevCluster(
        options,
        lambda event: run.tell(event),  # noqa: PLW0108 - it is made below
        found=False,
        restart=restart,
        command=command(script),
    )
    run = Watched(cluster, ports)
    async with asyncio.timeout(40), cluster:
        await ports.put(*FOLLOWERS)
        for seat in cluster.seats:
            await run.until_known(seat, MemberState.FOLLOWER)
        yield run


def test_every_change_of_leader_is_told_once(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            await run.ports.put(says(1, MemberState.LEADER, term=4))
            await run.until_told(1)
            await run.ports.put(says(0, MemberState.FOLLOWER, term=4))
            await run.ports.put(says(1, MemberState.FOLLOWER, term=5))
            await run.ports.put(says(2, MemberState.LEADER, term=5))
            await run.until_told(2)
            await run.ports.put(says(2, MemberState.LEADER, term=6))
            await run.until_told(3)
        assert run.told == [
            (1, "member 1 leads in term 4"),
            (2, "member 2 leads in term 5"),
            (2, "member 2 leads in term 6"),
        ]

    asyncio.run(story())


def test_alarms_are_told_once_each_with_their_seat(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            await run.ports.put(replace(FOLLOWERS[2], alarms=(AlarmRow("full", "no space"),)))
            await run.until_told(1)
            await run.ports.put(FOLLOWERS[2])
            await run.until_told(2)
        assert run.told == [
            (2, "member 2: ALARM full: no space"),
            (2, "member 2: alarm full has ended"),
        ]

    asyncio.run(story())


def test_a_silent_member_is_told_while_its_process_runs_and_when_it_answers_again(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SILENT_S", 0.05)

    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            run.cluster.kill(Seat(0))
            await run.until_told(1)
            await run.ports.hush(0, 1)
            await run.until_told(2)
            await run.ports.put(FOLLOWERS[1])
            await run.until_told(3)
            await run.ports.hush(2)
            await run.until_told(4)
            run.cluster.kill(Seat(2))
            await run.until_told(5)
            await run.until_known(2, None)
        texts = [text for _, text in run.told]
        assert texts[0] == "member 0 ended (signal 9); it stays down until asked for"
        assert texts[1].startswith("member 1 runs and has not answered for ")
        assert texts[2] == "member 1 answers again"
        assert texts[3].startswith("member 2 runs and has not answered for ")
        assert texts[4:] == ["member 2 ended (signal 9); it stays down until asked for"]

    asyncio.run(story())


def test_a_leader_of_a_higher_term_is_waited_for(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            await run.ports.put(says(1, MemberState.LEADER, term=4))
            assert (await run.cluster.wait_leader(above_term=3)).seat == 1
            with pytest.raises(NotConnected, match=r"no a leader within 0\.05 s"):
                await run.cluster.wait_leader(0.05, above_term=4)
            waiting = asyncio.create_task(run.cluster.wait_leader(above_term=4))
            await run.ports.put(says(0, MemberState.LEADER, term=5))
            assert (await waiting).seat == 0

    asyncio.run(story())


def test_a_vain_wait_says_what_each_member_was_doing(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            await run.ports.hush(1)
            await run.ports.put(says(2, MemberState.CANDIDATE))
            await run.until_known(1, None)
            await run.until_known(2, MemberState.CANDIDATE)
            told = r"no rain within 0.05 s \(seat 0: follower, seat 1: no answer, seat 2: candida"
            with pytest.raises(NotConnected, match=told):
                await run.cluster.wait_until(lambda: False, 0.05, "rain")

    asyncio.run(story())


def test_a_killed_member_is_known_to_be_gone_before_anybody_asks_it(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its control port need not have refused anything: a long poll may still hang there."""

    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            await run.ports.put(says(1, MemberState.LEADER))
            await run.cluster.wait_leader()
            run.cluster.kill(Seat(1))
            await run.until_known(1, None)
            with pytest.raises(NotConnected):
                await run.cluster.wait_leader(0.05)

    asyncio.run(story())


def test_statuses_are_asked_for_and_not_remembered(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            await run.ports.hush(0, 1, 2)
            assert await run.cluster.statuses() == {0: None, 1: None, 2: None}
            known = run.cluster.known_statuses()
            known.clear()
            assert len(run.cluster.known_statuses()) == 3

    asyncio.run(story())


@pytest.mark.parametrize("to", [None, Seat(2)])
def test_the_leader_is_asked_to_hand_over_to_whom_the_caller_names(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch, to: Seat | None
) -> None:
    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            await run.ports.put(says(1, MemberState.LEADER))
            assert await run.cluster.transfer(to) == "handed over"
            assert run.ports.transfers == [(1, to)]

    asyncio.run(story())


def test_a_member_that_is_down_is_restarted_and_one_that_runs_is_left_alone(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with watched(options, monkeypatch) as run:
            before = run.cluster.pid(Seat(1))
            await run.cluster.restart(Seat(1))
            assert run.cluster.pid(Seat(1)) == before
            run.cluster.kill(Seat(1))
            assert await run.cluster.wait_exit(Seat(1)) == -signal.SIGKILL
            await run.cluster.restart(Seat(1))
            assert run.cluster.pid(Seat(1)) not in (None, before)

    asyncio.run(story())


def test_restarts_that_were_paused_are_caught_up_with_but_not_those_that_cannot_help(
    options: DevOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"test $seat = 2 && test -e $home/bad && exit 3; touch $home/bad; {RUNS}"

    async def story() -> None:
        async with watched(options, monkeypatch, script=script, restart=True) as run:
            mark = run.cluster.directory.member_directory(Seat(2)) / "bad"
            while not mark.exists():  # noqa: ASYNC110 - asks a process
                await asyncio.sleep(0.01)
            run.cluster.kill(Seat(2))
            await run.until_told(2)
            assert run.told[1][1].startswith("member 2 ended (exit code 3: ")
            run.cluster.restarting = False
            assert not run.cluster.restarting
            run.cluster.kill(Seat(0))
            await run.until_told(3)
            assert run.told[2][1] == "member 0 ended (signal 9); it stays down until asked for"
            run.cluster.restarting = True
            await run.cluster.wait_until(lambda: run.cluster.pid(Seat(0)) is not None, 10)
            run.cluster.kill(Seat(1))
            await run.cluster.wait_until(
                lambda: any("member 1 ended (signal 9); starting" in text for _, text in run.told),
                10,
            )
            assert run.cluster.pid(Seat(2)) is None
            assert sum("member 2 ended" in text for _, text in run.told) == 2

    asyncio.run(story())
