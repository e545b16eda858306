"""Links between members over real loopback sockets: up, down, replaced, refused."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from itertools import combinations
from typing import TypeAlias

import pytest
import uvloop

from quorate.consensus.messages import Founded, FoundRequest
from quorate.consensus.types import LeadershipTermId, MemberId, PeerLife, Role, Seat, StartNonce
from quorate.protocol.consensus_codec import encode_message
from quorate.protocol.framing import MEMBER_HEADER, FrameDecoder, encode_header
from quorate.protocol.handshake import (
    HANDSHAKE_PAYLOAD_BYTES_MAX,
    Handshake,
    HandshakeExchange,
    LinkRefusal,
    encode_handshake,
)
from quorate_wire.member_links import (
    PATIENCE_S,
    LinkedMember,
    free_ports,
    impatient,
    running,
)

Run: TypeAlias = Callable[[Coroutine[None, None, None]], None]
SECRET = b"the cluster's secret"


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test's coroutine on each kind of loop; whatever the loop complains of fails it."""

    def runner(test: Coroutine[None, None, None]) -> None:
        complaints: list[object] = []

        async def watched() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: complaints.append(context))
            async with asyncio.timeout(3 * PATIENCE_S):
                await test

        with asyncio.Runner(loop_factory=request.param) as one:
            one.run(watched())
        assert not complaints

    return runner


class RawPeer:
    """Whatever may connect to a member: sends bytes, keeps what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = FrameDecoder()

    @classmethod
    async def connect(cls, member: LinkedMember) -> RawPeer:
        return cls(*await asyncio.open_connection("127.0.0.1", member.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answers_until_close(self) -> list[tuple[int, bytes]]:
        """Return type and payload of everything that comes before the other side closes."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                data = await self.reader.read(-1)
            except ConnectionResetError:
                data = b""
        self.writer.close()
        return [(frame.message_type, frame.payload) for frame in self._decoder.feed(data)]

    async def shake_hands(self, member: LinkedMember, own: Handshake) -> None:
        """Become the link to ``own.seat`` as a dialling member would."""
        exchange = HandshakeExchange(
            own, dialled=member.seat, expected_seats=frozenset(), secret=None
        )
        await self.send(exchange.opening())
        while not exchange.is_complete:
            for frame in self._decoder.feed(await self.reader.read(65536)):
                await self.send(exchange.receive(frame))


def handshake_of(member: LinkedMember, nonce: bytes = b"x" * 16) -> Handshake:
    identity = member.identity
    return Handshake(
        identity.cluster_id,
        identity.epoch,
        identity.member_id,
        identity.seat,
        identity.start_nonce,
        Role.FOLLOWER,
        LeadershipTermId(0),
        identity.client_address,
        identity.control_address,
        nonce,
    )


def pair(**options: object) -> tuple[LinkedMember, LinkedMember]:
    ports = free_ports(2)
    return (
        LinkedMember(0, ports, **options),  # type: ignore[arg-type]
        LinkedMember(1, ports, **options),  # type: ignore[arg-type]
    )


def alone(seat: int = 0, **options: object) -> LinkedMember:
    """A member whose only peer, in the other seat, does not run."""
    return LinkedMember(seat, free_ports(2), **options)  # type: ignore[arg-type]


async def both_up(first: LinkedMember, second: LinkedMember) -> None:
    await first.listener.until(lambda: second.seat in first.listener.up)
    await second.listener.until(lambda: first.seat in second.listener.up)


@pytest.mark.parametrize("secret", [None, SECRET])
def test_should_bring_up_one_link_and_carry_messages_both_ways(
    run: Run, secret: bytes | None
) -> None:
    async def test() -> None:
        alice, bob = pair(secret=secret)
        alice.links.set_role(Role.LEADER, LeadershipTermId(7))
        async with running(alice, bob):
            await both_up(alice, bob)
            assert alice.listener.up[Seat(1)] == PeerLife(
                Seat(1), MemberId(b"\x01" * 16), StartNonce(11)
            )
            info = bob.listener.infos[Seat(0)]
            assert info.client_address == "client-0:9010"
            assert info.control_address == "control-0:9030"
            assert (info.role, info.leadership_term_id) == (Role.LEADER, 7)
            assert alice.links.connected_seats == {Seat(1)}

            await settled(alice, bob)
            assert alice.links.send(Seat(1), Founded(5))
            assert alice.links.send(Seat(1), FoundRequest(discard=True))
            assert bob.links.send(Seat(0), Founded(6))
            await bob.listener.until(lambda: len(bob.listener.messages) == 2)
            await alice.listener.until(lambda: len(alice.listener.messages) == 1)
            assert [m for _, m in bob.listener.messages] == [Founded(5), FoundRequest(discard=True)]
            assert alice.listener.messages == [(alice.listener.up[Seat(1)], Founded(6))]

    run(test())


async def settled(*members: LinkedMember) -> None:
    """Wait until every two members agree on the connection between them.

    Both sides keep the same connection once exactly one of them says that it dialled it and
    a message has gone each way over it.
    """
    for first, second in combinations(members, 2):
        for sender, receiver in ((first, second), (second, first)):
            count = len(receiver.listener.messages)

            def arrived(receiver: LinkedMember = receiver, count: int = count) -> bool:
                return len(receiver.listener.messages) > count

            async with asyncio.timeout(PATIENCE_S):
                while not arrived():
                    sender.links.send(receiver.seat, Founded(1))
                    await asyncio.sleep(0.005)
    for member in members:
        member.listener.messages.clear()


def test_five_members_should_converge_to_one_link_for_each_pair(run: Run) -> None:
    async def test() -> None:
        ports = free_ports(5)
        members = [LinkedMember(seat, ports, secret=SECRET) for seat in range(5)]
        async with running(*members):
            for first, second in combinations(members, 2):
                await both_up(first, second)
            await settled(*members)
            for first, second in combinations(members, 2):
                of_first = first.listener.infos[second.seat]
                of_second = second.listener.infos[first.seat]
                assert of_first.dialled_here != of_second.dialled_here
            for member in members:
                assert len(member.links.connected_seats) == 4
                async with asyncio.timeout(PATIENCE_S):
                    while len(member.links._connections) > 4:
                        await asyncio.sleep(0.005)

    run(test())


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
                assert events[events.index("down 1 11") :][:3] == [
                    "down 1 11",
                    "ended 1",
                    "up 1 77",
                ] or events[events.index("down 1 11") :][1].startswith("refused")
                assert events.index("ended 1") == events.index("up 1 77") - 1

    run(test())


def test_another_life_should_replace_a_link_that_still_stands(run: Run) -> None:
    async def test() -> None:
        bob = alone(1, settings=impatient(silence_timeout_s=60))
        alice = LinkedMember(0, [1, bob.port], nonce=5)
        later = LinkedMember(0, [1, bob.port], nonce=6)
        async with running(bob):
            first, second = await RawPeer.connect(bob), await RawPeer.connect(bob)
            await first.shake_hands(bob, handshake_of(alice))
            await bob.listener.heard("up 0 5")
            await second.shake_hands(bob, handshake_of(later))
            await bob.listener.heard("up 0 6")
            assert bob.listener.events == [
                "up 0 5",
                "refused 0 replaced here",
                "down 0 5",
                "ended 0",
                "up 0 6",
            ]
            assert [kind for kind, _ in await first.answers_until_close()] == [3]
            second.writer.close()

    run(test())


def test_the_younger_of_two_dialled_by_the_same_side_should_stay(run: Run) -> None:
    async def test() -> None:
        bob = alone(1, settings=impatient(silence_timeout_s=60))
        alice = LinkedMember(0, [1, bob.port])
        async with running(bob):
            first, second = await RawPeer.connect(bob), await RawPeer.connect(bob)
            await first.shake_hands(bob, handshake_of(alice))
            await bob.listener.heard("up 0 10")
            await second.shake_hands(bob, handshake_of(alice, b"y" * 16))
            await bob.listener.until(lambda: len(bob.listener.events) == 4)
            assert bob.listener.events == [
                "up 0 10",
                "refused 0 replaced here",
                "down 0 10",
                "up 0 10",
            ]
            await first.answers_until_close()
            await second.send(b"".join(encode_message(Founded(3))))
            await bob.listener.until(lambda: bool(bob.listener.messages))
            second.writer.close()

    run(test())


def test_the_connection_of_the_higher_seat_should_lose_within_one_life(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair()
        async with running(alice):
            # Bob is a raw server first, so that alice's own dialling makes the link.
            exchange = HandshakeExchange(
                handshake_of(bob), dialled=None, expected_seats=frozenset({Seat(0)}), secret=None
            )
            accepted = asyncio.Event()

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                decoder = FrameDecoder()
                while data := await reader.read(65536):
                    for frame in decoder.feed(data):
                        if not exchange.is_complete:
                            writer.write(exchange.receive(frame))
                        if frame.message_type == 4:
                            accepted.set()
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", bob.port)
            await alice.listener.heard("up 1 11")
            assert alice.listener.infos[Seat(1)].dialled_here
            second = await RawPeer.connect(alice)
            await second.send(encode_handshake(handshake_of(bob, b"y" * 16)))
            answers = await second.answers_until_close()
            assert [(kind, payload[0]) for kind, payload in answers] == [(3, LinkRefusal.DUPLICATE)]
            # The link that stands is tried at once, in case the peer knows it as broken.
            async with asyncio.timeout(PATIENCE_S):
                await accepted.wait()
            assert Seat(1) in alice.listener.up
            server.close()

    run(test())


def test_should_refuse_another_secret_on_both_sides(run: Run) -> None:
    async def test() -> None:
        ports = free_ports(2)
        alice = LinkedMember(0, ports, secret=SECRET)
        bob = LinkedMember(1, ports, secret=b"other")
        async with running(alice, bob):
            await alice.listener.heard("refused 1 secret here")
            await alice.listener.heard("refused 1 secret there")
            await bob.listener.heard("refused 0 secret here")
            assert not alice.listener.up
            assert not bob.listener.up
            assert alice.links.refusals[LinkRefusal.SECRET] >= 1
            assert alice.links.refusals_by_peer[LinkRefusal.SECRET] >= 1

    run(test())


def test_should_refuse_another_cluster_and_seat(run: Run) -> None:
    async def test() -> None:
        ports = free_ports(2)
        alice = LinkedMember(0, ports)
        stranger = LinkedMember(1, ports, cluster=b"d" * 16)
        async with running(alice, stranger):
            await alice.listener.heard("refused 1 cluster there")
            await stranger.listener.heard("refused 0 cluster there")
        async with running(alone()) as _:
            pass

        carol = alone()
        twin = LinkedMember(0, [carol.port, carol.port])
        async with running(carol):
            peer = await RawPeer.connect(carol)
            await peer.send(encode_handshake(handshake_of(twin)))
            answers = await peer.answers_until_close()
            assert [payload[0] for _, payload in answers] == [LinkRefusal.SEAT]
            assert carol.links.refusals == {LinkRefusal.SEAT: 1}

    run(test())


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: member\r\n\r\n",
        bytes(64),
        b"\xff" * 64,
        encode_header(16, 0),
        encode_header(1, 4) + b"nope",
        MEMBER_HEADER.pack(16 + HANDSHAKE_PAYLOAD_BYTES_MAX + 1, 1, 1, 0, 0),
    ],
    ids=["http", "zeros", "ones", "no handshake", "short", "oversize"],
)
def test_should_refuse_bytes_that_are_not_the_protocol(run: Run, garbage: bytes) -> None:
    async def test() -> None:
        alice = alone()
        async with running(alice):
            peer = await RawPeer.connect(alice)
            await peer.send(garbage)
            answers = await peer.answers_until_close()
            assert [(kind, payload[0]) for kind, payload in answers] == [(3, LinkRefusal.MALFORMED)]
            assert alice.links.refusals == {LinkRefusal.MALFORMED: 1}
            assert alice.listener.events == ["refused None malformed here"]

    run(test())


@pytest.mark.parametrize(
    "garbage",
    [
        encode_header(255, 0),
        encode_header(26, 3) + b"abc",
        struct.pack("<IBBHQ", 5 * 1024 * 1024, 26, 1, 0, 0),
        encode_header(3, 0),
    ],
    ids=["type", "payload", "oversize", "refusal"],
)
def test_should_close_a_link_over_which_garbage_comes(run: Run, garbage: bytes) -> None:
    async def test() -> None:
        bob = alone(1)
        alice = LinkedMember(0, [1, bob.port])
        async with running(bob):
            peer = await RawPeer.connect(bob)
            await peer.shake_hands(bob, handshake_of(alice))
            await peer.send(b"".join(encode_message(Founded(1))) + garbage)
            answers = await peer.answers_until_close()
            assert (answers[-1][0], answers[-1][1][0]) == (3, LinkRefusal.MALFORMED)
            assert bob.listener.events[:3] == ["up 0 10", "refused 0 malformed here", "down 0 10"]
            assert [message for _, message in bob.listener.messages] == [Founded(1)]

    run(test())


def test_should_end_a_handshake_that_takes_too_long(run: Run) -> None:
    async def test() -> None:
        alice = alone(settings=impatient(handshake_timeout_s=0.1))
        async with running(alice):
            silent, slow = await RawPeer.connect(alice), await RawPeer.connect(alice)
            await slow.send(encode_handshake(handshake_of(alice))[:20])
            for peer in (silent, slow):
                answers = await peer.answers_until_close()
                assert [payload[0] for _, payload in answers] == [LinkRefusal.HANDSHAKE_TIMEOUT]
            assert alice.links.refusals == {LinkRefusal.HANDSHAKE_TIMEOUT: 2}

    run(test())


def test_unfinished_handshakes_should_be_bounded_and_not_keep_members_out(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair(settings=impatient(handshakes_max=4))
        async with running(alice):
            idle = [await RawPeer.connect(alice) for _ in range(10)]
            answers = [await peer.answers_until_close() for peer in idle[:6]]
            assert all(payload[0] == LinkRefusal.CONNECTIONS for [(_, payload)] in answers)
            assert len(alice.links._accepted) == 4
            async with running(bob):
                await both_up(alice, bob)
            for peer in idle[6:]:
                peer.writer.close()

    run(test())


def test_should_close_a_silent_link_and_keep_a_quiet_one(run: Run) -> None:
    async def test() -> None:
        ports = free_ports(3)
        settings = impatient(silence_timeout_s=0.2)
        alice = LinkedMember(0, ports, settings=settings)
        bob = LinkedMember(1, ports, settings=settings)
        silent = LinkedMember(2, ports)
        async with running(alice, bob):
            await both_up(alice, bob)
            await settled(alice, bob)
            before = list(alice.listener.events)
            peer = await RawPeer.connect(bob)
            await peer.shake_hands(bob, handshake_of(silent))
            await bob.listener.heard("refused 2 silent here")
            await bob.listener.heard("down 2 12")
            peer.writer.close()
            assert alice.listener.events == before

    run(test())


def test_a_stalled_loop_should_not_count_as_silence(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair(settings=impatient(silence_timeout_s=0.4))
        async with running(alice, bob):
            await both_up(alice, bob)
            await settled(alice, bob)
            before = list(alice.listener.events)
            stalled_until = asyncio.get_running_loop().time() + 0.7
            while asyncio.get_running_loop().time() < stalled_until:
                pass
            await settled(alice, bob)
            assert alice.listener.events == before

    run(test())


def test_should_drop_and_count_what_the_send_buffer_cannot_hold(run: Run) -> None:
    async def test() -> None:
        bob = alone(1, settings=impatient(silence_timeout_s=60, send_buffer_bytes_max=1000))
        alice = LinkedMember(0, [1, bob.port])
        async with running(bob):
            peer = await RawPeer.connect(bob)
            await peer.shake_hands(bob, handshake_of(alice))
            await bob.listener.heard("up 0 10")
            size = sum(map(len, encode_message(Founded(1))))
            sent = [bob.links.send(Seat(0), Founded(n)) for n in range(100)]
            assert sent == [True] * (1000 // size) + [False] * (100 - 1000 // size)
            assert bob.links.dropped_messages_count == 100 - 1000 // size
            peer.writer.close()

    run(test())


def test_should_write_what_one_turn_sends_at_once(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair()
        async with running(alice, bob):
            await both_up(alice, bob)
            await settled(alice, bob)
            link = alice.links._links[Seat(1)]
            writes: list[int] = []
            transport = link._transport
            assert transport is not None

            class Spy:
                def __getattr__(self, name: str) -> object:
                    return getattr(transport, name)

                def writelines(self, buffers: list[bytes]) -> None:
                    writes.append(len(buffers))
                    transport.writelines(buffers)

            link._transport = Spy()  # type: ignore[assignment]
            for number in range(5):
                alice.links.send(Seat(1), Founded(number))
            await bob.listener.until(lambda: len(bob.listener.messages) == 5)
            assert writes[0] == 5
            link._transport = transport

    run(test())


def test_should_close_a_link_for_the_consensus_module_and_dial_again(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair()
        async with running(alice, bob):
            await both_up(alice, bob)
            await settled(alice, bob)
            alice.links.close_link(Seat(1), "volume-lost")
            alice.links.close_link(Seat(1), "twice is once")
            await bob.listener.heard("refused 0 consensus there")
            await both_up(alice, bob)
            assert alice.links.refusals[LinkRefusal.CONSENSUS] == 1
            assert "ended 1" not in alice.listener.events

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


def test_close_should_leave_nothing_behind(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair()
        async with asyncio.TaskGroup() as tasks:
            await alice.start(tasks)
            await bob.start(tasks)
            await both_up(alice, bob)
            idle = await RawPeer.connect(alice)
            heard = len(alice.listener.events)
            await alice.links.close()
            assert len(alice.listener.events) == heard
            assert not alice.links._connections
            await bob.listener.heard("refused 0 closing there")
            await bob.links.close()
            assert await idle.answers_until_close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(test())
