"""Dialling a seat: what a refusal means, names, and look-ups that hang."""

from __future__ import annotations

import asyncio

import pytest

from quorate.consensus.messages import Founded
from quorate.consensus.types import Seat
from quorate_wire.member_links import (
    LinkedMember,
    Run,
    alone,
    both_up,
    free_ports,
    impatient,
    pair,
    running,
)


def test_should_report_the_end_of_a_member_that_is_gone(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair()
        async with running(alice):
            async with running(bob):
                await both_up(alice, bob)
            await alice.listener.heard("ended 1")
            assert alice.listener.events[-2:] == ["down 1 11", "ended 1"]
            assert Seat(1) not in alice.links.connected_seats
            assert not alice.links.send(Seat(1), Founded(1))
            assert alice.links.dropped_messages_count == 0
        assert alice.listener.events.count("ended 1") == 1

    run(test())


def test_should_not_report_a_seat_that_never_had_a_link(run: Run) -> None:
    async def test() -> None:
        refused = 0
        alice = alone()
        dialler = alice.links._diallers[Seat(1)]
        report = dialler._on_refused

        def count(seat: Seat) -> None:
            nonlocal refused
            refused += 1
            report(seat)
            alice.listener._changed.set()

        dialler._on_refused = count
        async with running(alice):
            await alice.listener.until(lambda: refused >= 3)
        assert alice.listener.events == []

    run(test())


def test_should_report_the_end_of_a_life_when_the_seat_comes_back(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair()
        # Nobody refuses: bob's port goes on accepting while one life follows another.
        alice.links._diallers[Seat(1)]._on_refused = lambda _: None
        async with running(alice):
            async with running(bob):
                await both_up(alice, bob)
            again = LinkedMember(1, [alice.port, bob.port], nonce=77)
            async with running(again):
                await alice.listener.heard("up 1 77")
                events = alice.listener.events
                assert events.count("ended 1") == 1
                assert events.index("ended 1") > events.index("down 1 11")
                assert events.index("ended 1") == events.index("up 1 77") - 1

    run(test())


def test_should_resolve_the_name_anew_at_every_attempt(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        alice, bob = pair()
        wrong_port, asked = free_ports(1)[0], []

        async def look_up(host: str, port: int) -> list[tuple[str, int]]:
            asked.append((host, port))
            if len(asked) == 1:
                raise OSError("no such name")
            return [("127.0.0.1", wrong_port if len(asked) == 2 else port)]

        monkeypatch.setattr("quorate.transport.dialler._look_up", look_up)
        bob.links._diallers[Seat(0)]._missing.clear()
        async with running(alice, bob):
            await alice.listener.heard("up 1 11")
            assert len(asked) == 3

    run(test())


def test_should_reach_a_member_that_came_back_under_another_address(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        alice, bob = pair(settings=impatient(connect_timeout_s=1.0, backoff_max_s=0.02))
        address = "127.0.0.1"

        async def look_up(host: str, port: int) -> list[tuple[str, int]]:
            if address is None:
                raise OSError("no such name while the pod is made anew")
            return [(address, port)]

        monkeypatch.setattr("quorate.transport.dialler._look_up", look_up)
        async with running(alice):
            async with running(bob):
                await both_up(alice, bob)
                address = None
            await alice.listener.heard("down 1 11")
            again = LinkedMember(1, [alice.port, bob.port], nonce=77, host="127.0.0.2")
            # Only alice dials, so the link can't come from the other side.
            again.links._diallers[Seat(0)]._missing.clear()
            async with running(again):
                address = "127.0.0.2"
                await alice.listener.heard("up 1 77")

    run(test())


def test_a_look_up_that_hangs_should_not_be_doubled(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        alice, bob = pair(settings=impatient(connect_timeout_s=0.02, backoff_max_s=0.02))
        answer: asyncio.Future[list[tuple[str, int]]] = asyncio.Future()
        asked, attempts = 0, 0

        async def look_up(host: str, port: int) -> list[tuple[str, int]]:
            nonlocal asked
            asked += 1
            return await answer

        monkeypatch.setattr("quorate.transport.dialler._look_up", look_up)
        bob.links._diallers[Seat(0)]._missing.clear()
        dialler = alice.links._diallers[Seat(1)]
        attempt = dialler._attempt

        async def counted() -> None:
            nonlocal attempts
            attempts += 1
            alice.listener._changed.set()
            await attempt()

        monkeypatch.setattr(dialler, "_attempt", counted)
        async with running(alice, bob):
            await alice.listener.until(lambda: attempts == 4)
            assert asked == 1
            answer.set_result([("127.0.0.1", bob.port)])
            await alice.listener.heard("up 1 11")

    run(test())
