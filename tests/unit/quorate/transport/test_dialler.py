"""Dialling a seat: what a refusal means, names, and look-ups that hang."""

from __future__ import annotations

import asyncio

import pytest

from quorate.consensus.messages import Founded
from quorate.consensus.types import Seat
from quorate.protocol.framing import FrameDecoder
from quorate.protocol.handshake import HandshakeExchange
from quorate_wire.frames import cut
from quorate_wire.member_links import (
    PATIENCE_S,
    LinkedMember,
    RawPeer,
    Run,
    alone,
    both_up,
    free_ports,
    handshake_of,
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


def _note_pauses(member: LinkedMember, seat: Seat) -> list[float]:
    """Return a list that grows with each pause of a dialler, by the backoff before its jitter.

    A pause that is over when it begins, because the link has just broken, counts as 0.
    """
    dialler = member.links._diallers[seat]
    pauses: list[float] = []

    def jitter() -> float:
        pauses.append(0.0 if dialler._hurry.is_set() else dialler._backoff_s)
        member.listener._changed.set()
        return 0.0

    dialler._jitter = jitter
    return pauses


def test_should_wait_twice_as_long_before_each_further_attempt_up_to_a_bound(run: Run) -> None:
    async def test() -> None:
        alice = alone(settings=impatient(backoff_min_s=0.001, backoff_max_s=0.006))
        pauses = _note_pauses(alice, Seat(1))
        async with running(alice):
            await alice.listener.until(lambda: len(pauses) >= 5)
        assert pauses[:5] == [0.001, 0.002, 0.004, 0.006, 0.006]

    run(test())


class _Server:
    """Stands for the member in seat 1: plays each handshake and then does as told."""

    def __init__(self, own: LinkedMember, *, ends_at_once: bool) -> None:
        self.connections: list[asyncio.StreamWriter] = []
        self._own = own
        self._ends_at_once = ends_at_once

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        exchange = HandshakeExchange(
            handshake_of(self._own),
            dialled=None,
            expected_seats=frozenset({Seat(0)}),
            secret=None,
        )
        decoder = FrameDecoder()
        while data := await reader.read(65536):
            for frame in cut(decoder, data):
                if not exchange.is_complete:
                    writer.write(exchange.receive(frame))
            if exchange.is_complete and self._ends_at_once:
                break
        writer.close()


def test_a_link_that_never_stands_for_long_should_be_dialled_ever_more_slowly(run: Run) -> None:
    """Two members of which one drops each link must not make links as fast as they can."""

    async def test() -> None:
        alice, bob = pair(settings=impatient(backoff_min_s=0.001, backoff_max_s=1000.0))
        pauses = _note_pauses(alice, Seat(1))
        server = _Server(bob, ends_at_once=True)
        async with await asyncio.start_server(server.serve, "127.0.0.1", bob.port), running(alice):
            await alice.listener.until(lambda: len(pauses) >= 4)
        assert alice.listener.events.count("down 1 11") >= 4
        assert pauses[:4] == [0.001, 0.002, 0.004, 0.008]

    run(test())


@pytest.mark.parametrize("is_broken", [True, False], ids=["broken", "closed on purpose"])
def test_a_link_that_stood_should_be_dialled_at_once_if_it_broke(
    run: Run, *, is_broken: bool
) -> None:
    """The others learn by the attempt whether the process has died; who closed wants a pause."""

    async def test() -> None:
        alice, bob = pair(settings=impatient(silence_timeout_s=60, backoff_max_s=0.1))
        server = _Server(bob, ends_at_once=False)
        dialler = alice.links._diallers[Seat(1)]
        dialler._backoff_s = 0.1  # as after some attempts
        async with await asyncio.start_server(server.serve, "127.0.0.1", bob.port), running(alice):
            await alice.listener.heard("up 1 11")
            dialler._up_since -= 1000
            pauses = _note_pauses(alice, Seat(1))
            if is_broken:
                server.connections[0].transport.abort()
            else:
                alice.links.close_link(Seat(1), "a bad frame")
            await alice.listener.until(lambda: alice.listener.events.count("up 1 11") == 2)
            assert pauses == ([] if is_broken else [0.02]), "the backoff begins anew in any case"
            for connection in server.connections:
                connection.close()

    run(test())


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
def test_one_address_without_an_answer_should_leave_open_whether_the_member_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    """A name with two addresses, of which one refuses: it may be another machine by now."""

    async def test() -> None:
        alice, bob = pair(settings=impatient(backoff_max_s=0.02))
        # Nobody can connect to this address: the machine says that there is no way to it.
        no_way = "255.255.255.255"
        hosts = ["127.0.0.1"]

        async def look_up(_: str, port: int) -> list[tuple[str, int]]:
            return [(host, port) for host in hosts]

        monkeypatch.setattr("quorate.transport.dialler._look_up", look_up)
        attempts = _note_pauses(alice, Seat(1))
        async with running(alice):
            async with running(bob):
                await both_up(alice, bob)
                hosts.insert(0 if is_first else 1, no_way)
            await alice.listener.heard("down 1 11")
            before = len(attempts)
            await alice.listener.until(lambda: len(attempts) >= before + 3)
            assert "ended 1" not in alice.listener.events
            hosts.remove(no_way)
            await alice.listener.heard("ended 1")

    run(test())


def test_should_try_each_address_of_a_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        alice, bob = pair()
        wrong_port = free_ports(1)[0]

        async def look_up(host: str, port: int) -> list[tuple[str, int]]:
            return [(host, wrong_port), (host, port)]

        monkeypatch.setattr("quorate.transport.dialler._look_up", look_up)
        bob.links._diallers[Seat(0)]._missing.clear()
        async with running(alice, bob):
            await alice.listener.heard("up 1 11")

    run(test())


def test_a_pause_should_end_when_a_link_breaks_that_came_up_meanwhile(run: Run) -> None:
    """The peer has dialled; its end would be learnt of only after all of the pause."""

    async def test() -> None:
        alice, bob = pair(
            settings=impatient(silence_timeout_s=60, backoff_min_s=1000.0, backoff_max_s=1000.0)
        )
        pauses = _note_pauses(alice, Seat(1))
        async with running(alice):
            await alice.listener.until(lambda: pauses == [1000.0])
            peer = await RawPeer.connect(alice)
            await peer.shake_hands(alice, handshake_of(bob))
            await alice.listener.heard("up 1 11")
            assert pauses == [1000.0], "no attempt was made meanwhile"
            alice.links._diallers[Seat(1)]._up_since -= 10_000
            peer.writer.transport.abort()
            await alice.listener.heard("ended 1")

    run(test())


@pytest.mark.parametrize("is_connected", [True, False], ids=["shaking hands", "connecting"])
def test_an_attempt_should_be_given_up_when_the_peer_has_dialled_meanwhile(
    run: Run, monkeypatch: pytest.MonkeyPatch, *, is_connected: bool
) -> None:
    """Else it holds a place among the peer's unfinished handshakes, or ends the link."""

    async def test() -> None:
        alice, bob = pair(
            settings=impatient(
                silence_timeout_s=60, handshake_timeout_s=1000, connect_timeout_s=1000
            )
        )
        asked, opened, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        address: asyncio.Future[list[tuple[str, int]]] = asyncio.Future()

        async def look_up(*_: object) -> list[tuple[str, int]]:
            asked.set()
            return await address

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(1)
            opened.set()
            await reader.read()
            ended.set()
            writer.close()

        monkeypatch.setattr("quorate.transport.dialler._look_up", look_up)
        async with await asyncio.start_server(say_nothing, "127.0.0.1", bob.port), running(alice):
            await asked.wait()
            if is_connected:
                address.set_result([("127.0.0.1", bob.port)])
                await opened.wait()
            peer = await RawPeer.connect(alice)
            await peer.shake_hands(alice, handshake_of(bob))
            await alice.listener.heard("up 1 11")
            if not is_connected:
                address.set_result([("127.0.0.1", bob.port)])
            async with asyncio.timeout(PATIENCE_S):
                await ended.wait()
            assert alice.listener.events == ["up 1 11"]
            await peer.close()

    run(test())
