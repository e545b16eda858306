"""Which connection is the link to a seat: up, down, replaced, refused."""

from __future__ import annotations

import asyncio
from itertools import combinations

import pytest

from quorate.consensus.messages import Founded, FoundRequest
from quorate.consensus.types import LeadershipTermId, MemberId, PeerLife, Role, Seat, StartNonce
from quorate.protocol.consensus_codec import encode_message
from quorate.protocol.framing import FrameDecoder
from quorate.protocol.handshake import (
    HandshakeExchange,
    LinkRefusal,
    encode_handshake,
)
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
    no_handshakes,
    pair,
    running,
    settled,
)

SECRET = b"the cluster's secret"


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
            # Both dial: the second connection may still be on its way to be refused.
            for member in (alice, bob):
                await no_handshakes(member)
            assert alice.say(Seat(1), Founded(5))
            assert alice.say(Seat(1), FoundRequest(discard=True))
            assert bob.say(Seat(0), Founded(6))
            await bob.listener.until(lambda: len(bob.listener.messages) == 2)
            await alice.listener.until(lambda: len(alice.listener.messages) == 1)
            assert [m for _, m in bob.listener.messages] == [Founded(5), FoundRequest(discard=True)]
            assert alice.listener.messages == [(alice.listener.up[Seat(1)], Founded(6))]

    run(test())


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
                links = set(member.links._links.values())
                async with asyncio.timeout(PATIENCE_S):
                    for connection in member.links._connections - links:
                        await connection.released.wait()

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
            await second.close()

    run(test())


@pytest.mark.parametrize("dialler", [0, 1])
def test_the_younger_of_two_dialled_by_the_same_side_should_stay(run: Run, dialler: int) -> None:
    async def test() -> None:
        here = alone(1 - dialler, settings=impatient(silence_timeout_s=60))
        there = LinkedMember(dialler, [here.port, here.port])
        async with running(here):
            first, second = await RawPeer.connect(here), await RawPeer.connect(here)
            await first.shake_hands(here, handshake_of(there))
            up = f"up {dialler} {there.identity.start_nonce}"
            await here.listener.heard(up)
            await second.shake_hands(here, handshake_of(there, b"y" * 16))
            await here.listener.until(lambda: len(here.listener.events) == 4)
            assert here.listener.events == [
                up,
                f"refused {dialler} replaced here",
                up.replace("up", "down"),
                up,
            ]
            await first.answers_until_close()
            await second.send(b"".join(encode_message(Founded(3))))
            await here.listener.until(lambda: bool(here.listener.messages))
            await second.close()

    run(test())


def test_the_connection_of_the_higher_seat_should_lose_within_one_life(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair(settings=impatient(silence_timeout_s=60))
        async with running(alice):
            # Bob is a raw server first, so that alice's own dialling makes the link.
            exchange = HandshakeExchange(
                handshake_of(bob), dialled=None, expected_seats=frozenset({Seat(0)}), secret=None
            )
            accepted = asyncio.Event()
            peers: list[RawPeer] = []

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                peers.append(RawPeer(reader, writer))
                decoder = FrameDecoder()
                while data := await reader.read(65536):
                    for frame in cut(decoder, data):
                        if not exchange.is_complete:
                            writer.write(exchange.receive(frame))
                        if frame.message_type == 4:
                            accepted.set()

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

            # Another life is another matter, whoever dials.
            later = LinkedMember(1, [alice.port, bob.port], nonce=77)
            third = await RawPeer.connect(alice)
            await third.shake_hands(alice, handshake_of(later))
            await alice.listener.heard("up 1 77")
            assert alice.listener.events[-2:] == ["ended 1", "up 1 77"]
            await third.close()
            server.close()
            for peer in peers:
                await peer.close()

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


def test_should_ask_for_the_secret_at_each_handshake(run: Run) -> None:
    """One that was replaced on both sides brings the link up, and no process starts anew."""

    async def test() -> None:
        ports = free_ports(2)
        alice = LinkedMember(0, ports, secret=SECRET)
        bob = LinkedMember(1, ports, secret=b"replaced")
        async with running(alice, bob):
            await alice.listener.heard("refused 1 secret here")
            alice.secret = b"replaced"
            await both_up(alice, bob)

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
                await peer.close()

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
            peer = await RawPeer.connect(bob)
            await peer.shake_hands(bob, handshake_of(silent))
            await bob.listener.heard("refused 2 silent here")
            await bob.listener.heard("down 2 12")
            await peer.close()
            assert not [event for event in alice.listener.events if "silent" in event]

    run(test())


def test_a_stalled_loop_should_not_count_as_silence(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair(settings=impatient(silence_timeout_s=0.4))
        async with running(alice, bob):
            await both_up(alice, bob)
            await settled(alice, bob)
            stalled_until = asyncio.get_running_loop().time() + 0.7
            while asyncio.get_running_loop().time() < stalled_until:
                pass
            await settled(alice, bob)
            for member in (alice, bob):
                assert not [event for event in member.listener.events if "silent" in event]
                assert len(member.listener.up) == 1

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


def test_the_end_should_wait_for_nobody_who_has_been_told(run: Run) -> None:
    """The peer keeps its side open; what is left to send has left, and so the socket goes."""

    async def test() -> None:
        bob = alone(1, settings=impatient(silence_timeout_s=60, close_timeout_s=1000))
        alice = LinkedMember(0, [1, bob.port])
        async with running(bob):
            peer, stranger = await RawPeer.connect(bob), await RawPeer.connect(bob)
            await peer.shake_hands(bob, handshake_of(alice))
            await bob.listener.heard("up 0 10")
            async with asyncio.timeout(PATIENCE_S):
                await bob.links.close()
            for one in (peer, stranger):
                *_, (kind, payload) = await one.answers_until_close()
                assert (kind, payload[0]) == (3, LinkRefusal.CLOSING)

    run(test())
