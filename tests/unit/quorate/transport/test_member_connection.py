"""One connection: garbage, limits and time-outs, and how messages leave."""

from __future__ import annotations

import asyncio
import struct

import pytest

from quorate.consensus.messages import AppendFrames, Founded, Message
from quorate.consensus.types import (
    LOG_START,
    Chain,
    FrameType,
    LeadershipTermId,
    LogPosition,
    PeerLife,
    Seat,
)
from quorate.protocol.consensus_codec import encode_message
from quorate.protocol.framing import MEMBER_HEADER, encode_header
from quorate.protocol.handshake import (
    HANDSHAKE_PAYLOAD_BYTES_MAX,
    LinkRefusal,
    encode_handshake,
)
from quorate.protocol.log_codec import FRAME_BYTES_MAX, FRAME_HEADER_LENGTH, encode_frame
from quorate.transport.member_connection import _BACKLOG_BYTES_MAX
from quorate_wire.member_links import (
    PATIENCE_S,
    LinkedMember,
    RawPeer,
    Run,
    alone,
    both_up,
    handshake_of,
    impatient,
    pair,
    running,
    settled,
)


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
            await peer.close()

    run(test())


def test_should_write_what_one_turn_sends_at_once(run: Run) -> None:
    async def test() -> None:
        alice, bob = pair(settings=impatient(silence_timeout_s=60))
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
            alice.links.flush()
            await bob.listener.until(lambda: len(bob.listener.messages) == 5)
            assert writes[0] == 5
            link._transport = transport

    run(test())


def test_should_carry_messages_of_full_length_once_the_peer_has_proved_itself(run: Run) -> None:
    async def test() -> None:
        frame = encode_frame(
            LogPosition(0),
            LeadershipTermId(1),
            1,
            Chain(0),
            FrameType.ENTRIES,
            bytes(FRAME_BYTES_MAX - FRAME_HEADER_LENGTH),
        )
        message = AppendFrames(
            LeadershipTermId(1), LOG_START, (frame,), LogPosition(0), 1, frame.end
        )
        alice, bob = pair()
        async with running(alice, bob):
            await settled(alice, bob)
            for _ in range(3):
                assert alice.say(Seat(1), message)
            await bob.listener.until(lambda: len(bob.listener.messages) >= 3)
            assert bob.listener.messages[-1][1] == message

    run(test())


@pytest.mark.parametrize("is_much", [False, True], ids=["a little", "much"])
def test_a_peer_that_does_not_read_should_not_hold_up_the_end(run: Run, *, is_much: bool) -> None:
    """A little is waited for until a limit; with much outstanding the socket is cut off at once."""

    async def test() -> None:
        limits = impatient(silence_timeout_s=60, close_timeout_s=1000.0 if is_much else 0.02)
        bob = alone(1, settings=limits)
        alice = LinkedMember(0, [1, bob.port])
        async with running(bob):
            peer = await RawPeer.connect(bob)
            await peer.shake_hands(bob, handshake_of(alice))
            await bob.listener.heard("up 0 10")
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # a ReadTransport
            link = bob.links._links[Seat(0)]
            transport = link._transport
            assert transport is not None
            piece = b"".join(encode_message(Founded(1))) * 100
            while transport.get_write_buffer_size() <= (_BACKLOG_BYTES_MAX if is_much else 0):
                assert link.send([piece])
                link.flush()
            async with asyncio.timeout(PATIENCE_S):
                await bob.links.close()
            await peer.close()

    run(test())


class _Noting(asyncio.Transport):
    """Stands for a socket; notes what it was asked for and tells nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(f"write {len(data)}")

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


@pytest.mark.parametrize("dialled", [None, Seat(1)])
def test_should_not_begin_with_a_connection_that_comes_up_as_the_member_ends(
    run: Run, dialled: Seat | None
) -> None:
    """Else the end waits for its handshake, or a link comes up behind the end."""

    async def test() -> None:
        alice = alone()
        async with running(alice):
            connection, transport = alice.links._new_connection(dialled), _Noting()
            await alice.links.close()
            connection.connection_made(transport)
            assert transport.calls == ["close"]
            connection.connection_lost(None)
            assert not alice.links._connections

    run(test())


def test_a_connection_of_which_the_loop_never_tells_the_end_should_not_hold_up_the_end(
    run: Run,
) -> None:
    """uvloop says nothing of a socket whose attempt to connect was cancelled as it succeeded."""

    async def test() -> None:
        alice = alone()
        async with running(alice):
            connection, transport = alice.links._new_connection(Seat(1)), _Noting()
            connection.connection_made(transport)
            connection.abandon()
            assert transport.calls[-1] == "abort"
            async with asyncio.timeout(PATIENCE_S):
                await alice.links.close()

    run(test())


def test_should_hear_nothing_that_comes_behind_what_ended_the_link(run: Run) -> None:
    async def test() -> None:
        bob = alone(1)
        alice = LinkedMember(0, [1, bob.port])
        async with running(bob):
            peer = await RawPeer.connect(bob)
            await peer.shake_hands(bob, handshake_of(alice))
            await bob.listener.heard("up 0 10")
            heard = bob.listener.on_message

            def end(sender: PeerLife, message: Message) -> None:
                heard(sender, message)
                bob.links.close_link(Seat(0), "as asked")

            bob.listener.on_message = end  # type: ignore[method-assign]
            await peer.send(b"".join(b"".join(encode_message(Founded(n))) for n in range(3)))
            await peer.answers_until_close()
            assert [message for _, message in bob.listener.messages] == [Founded(0)]

    run(test())
