"""What is known of the members, and who leads by it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from quorate.consensus.types import Seat
from quorate.control.client import ControlClient
from quorate.control.status import MemberState, MemberStatus
from quorate.dev import watch
from quorate.dev.watch import StatusBoard
from quorate.errors import NotConnected, QuorateError, RemoteProtocolError
from quorate_processes.stand_ins import says


def member(seat: int, role: str, term: int, version: int = 1) -> MemberStatus:
    return replace(says(seat, MemberState(role), term=term), status_version=version)


class FakeClient:
    """Answers at once what the test has put there, and waits where the version is known."""

    def __init__(self, answers: dict[str, MemberStatus | None]) -> None:
        self.answers = answers
        self.changed = asyncio.Condition()
        self.asked: list[tuple[str, int | None, int]] = []
        self.error: type[QuorateError] = NotConnected

    async def status(
        self, address: str, *, after: int | None = None, wait_s: int = 20
    ) -> MemberStatus:
        self.asked.append((address, after, wait_s))
        async with self.changed:
            await self.changed.wait_for(lambda: self._is_news(address, after))
        answer = self.answers[address]
        if answer is None:
            raise self.error(address)
        return answer

    def _is_news(self, address: str, after: int | None) -> bool:
        answer = self.answers[address]
        return answer is None or answer.status_version != after

    async def put(self, address: str, answer: MemberStatus | None) -> None:
        async with self.changed:
            self.answers[address] = answer
            self.changed.notify_all()


def board_of(client: FakeClient) -> StatusBoard:
    addresses = {Seat(0): "a", Seat(1): "b", Seat(2): "c"}
    return StatusBoard(addresses, cast("ControlClient", client))


@pytest.mark.parametrize(
    ("members", "leads"),
    [
        ((member(0, "leader", 3), member(1, "follower", 3), None), 0),
        ((member(0, "leader", 3), member(1, "leader", 4), None), 1),
        ((member(0, "leader", 3), member(1, "candidate", 4), None), None),
        ((member(0, "follower", 3), None, None), None),
        ((None, None, None), None),
    ],
)
def test_the_leader_is_that_of_the_highest_term_that_anyone_tells_of(
    members: tuple[MemberStatus | None, ...], leads: int | None
) -> None:
    async def story() -> None:
        client = FakeClient(dict(zip("abc", members, strict=True)))
        board = board_of(client)
        await board.refresh()
        leader = board.leader()
        assert (None if leader is None else leader.seat) == leads

    asyncio.run(story())


def test_a_watched_member_is_known_as_it_changes_goes_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "RETRY_S", 0)

    async def story() -> None:
        client = FakeClient({"a": None, "b": None, "c": None})
        board = board_of(client)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            watching = group.create_task(board.watch(Seat(0)))
            for status in (member(0, "follower", 1), None, member(0, "leader", 2, version=2)):
                await client.put("a", status)
                await board.until(lambda status=status: board.statuses[Seat(0)] == status)
            watching.cancel()

    asyncio.run(story())


@pytest.mark.parametrize("error", [NotConnected, RemoteProtocolError])
def test_whoever_else_sits_on_a_members_port_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, error: type[QuorateError]
) -> None:
    monkeypatch.setattr(watch, "RETRY_S", 0)

    async def story() -> None:
        client = FakeClient({"a": member(0, "leader", 1), "b": None, "c": None})
        client.error = error
        board = board_of(client)
        assert (await board.refresh())[Seat(1)] is None
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            watching = group.create_task(board.watch(Seat(0)))
            await client.put("a", None)
            await board.until(lambda: board.statuses[Seat(0)] is None)
            await client.put("a", member(0, "follower", 2))
            await board.until(lambda: board.statuses[Seat(0)] is not None)
            watching.cancel()

    asyncio.run(story())


def test_a_member_is_asked_for_what_is_new_and_left_alone_while_it_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A supervisor that asks without pause takes the processor from the members."""
    monkeypatch.setattr(watch, "RETRY_S", 3600)

    async def story() -> None:
        client = FakeClient({"a": member(0, "leader", 1, version=7), "b": None, "c": None})
        board = board_of(client)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            watching = [group.create_task(board.watch(Seat(seat))) for seat in (0, 1)]
            await board.until(lambda: board.statuses[Seat(0)] is not None)
            for _ in range(100):  # turns in which whoever does not wait would ask again
                await asyncio.sleep(0)
            for task in watching:
                task.cancel()
        assert sorted(client.asked, key=str) == [
            ("a", 7, watch.POLL_S),
            ("a", None, watch.POLL_S),
            ("b", None, watch.POLL_S),
        ]

    asyncio.run(story())


def test_everybody_who_waits_looks_again_at_every_change() -> None:
    async def story() -> None:
        board = board_of(FakeClient({"a": None, "b": None, "c": None}))
        beside: list[str] = []

        async def start(waiting: asyncio.TaskGroup) -> None:
            for _ in range(3):
                waiting.create_task(board.until(lambda: board.leader() is not None))
                waiting.create_task(board.until(lambda: bool(beside)))
            await asyncio.sleep(0)

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            await start(group)
            await board.tell(Seat(0), member(0, "leader", 1))
            beside.append("a process has ended")
            await board.wake()

    asyncio.run(story())


def test_answers_that_were_handed_out_are_the_callers_own() -> None:
    async def story() -> None:
        board = board_of(FakeClient({"a": member(0, "leader", 1), "b": None, "c": None}))
        (await board.refresh()).clear()
        assert set(board.statuses) == {0, 1, 2}

    asyncio.run(story())


def test_a_member_that_accepts_and_does_not_answer_counts_as_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "FROZEN_S", 0.01)

    async def story() -> None:
        client = FakeClient({"a": member(0, "leader", 1), "b": None, "c": None})
        board = board_of(client)
        await board.refresh()
        assert board.leader() is not None
        async with client.changed:  # nobody gets an answer while this is held
            assert await board.refresh() == {0: None, 1: None, 2: None}

    asyncio.run(story())


def test_a_member_is_silent_once_its_time_is_over_and_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "RETRY_S", 0)
    monkeypatch.setattr(watch, "SILENT_S", 0.02)

    async def story() -> None:
        client = FakeClient({"a": None, "b": None, "c": None})
        board = board_of(client)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            watching = group.create_task(board.watch(Seat(0)))
            began = loop.time()
            await board.until(lambda: board.silent == {Seat(0)})
            assert loop.time() - began >= 0.02
            began = loop.time()
            board.expect(Seat(0))
            assert board.silent == set()
            await board.until(lambda: board.silent == {Seat(0)})
            assert loop.time() - began >= 0.02, "a new process has its time anew"
            status = member(0, "follower", 1)
            await client.put("a", status)
            await board.until(lambda: board.statuses[Seat(0)] == status)
            assert board.silent == set()
            watching.cancel()

    asyncio.run(story())
