"""Attacks on the port of members, by one who does not know the cluster's secret."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Self

from quorate.config import split_address
from quorate.consensus.messages import RequestVote
from quorate.consensus.types import (
    Chain,
    ClusterId,
    LeadershipTermId,
    LogMark,
    LogPosition,
    MemberId,
    Role,
    Seat,
    StartNonce,
)
from quorate.protocol.consensus_codec import encode_message
from quorate.protocol.framing import FrameDecoder, WireFrame, encode_header
from quorate.protocol.handshake import (
    CONFIRMATION_TYPE,
    HANDSHAKE_PAYLOAD_BYTES_MAX,
    KEEP_ALIVE,
    REFUSAL_TYPE,
    Handshake,
    LinkRefusal,
    RefusedByPeer,
    decode_refusal,
    encode_handshake,
    encode_refusal,
)
from quorate_attacks.streams import noise
from quorate_attacks.victim import Victim
from quorate_wire.frames import cut

PATIENCE_S = 60.0


class RawMember:
    """A connection that says what it is told to."""

    def __init__(self, address: str) -> None:
        """Connect to a member at ``address`` in the block."""
        self._address = address
        self._decoder = FrameDecoder()

    async def __aenter__(self) -> Self:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection(*split_address(self._address))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Break the connection."""
        self.writer.transport.abort()

    async def everything(self) -> list[WireFrame]:
        """Return every message up to the end of the connection."""
        frames: list[WireFrame] = []
        async with asyncio.timeout(PATIENCE_S):
            while data := await self._read():
                frames += cut(self._decoder, data)
        return frames

    async def frames(self, count: int) -> list[WireFrame]:
        """Return the next messages."""
        found: list[WireFrame] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count and (data := await self._read()):
                found += cut(self._decoder, data)
        return found

    async def _read(self) -> bytes:
        try:
            return await self.reader.read(65536)
        except ConnectionError:
            return b""

    async def refusal(self) -> LinkRefusal | None:
        """Return the reason that the member gives at the end."""
        last = (await self.everything())[-1]
        assert last.message_type == REFUSAL_TYPE, last
        refused: RefusedByPeer = decode_refusal(last)
        return refused.reason


def forged(victim: Victim, random: Random, at: Seat) -> Handshake:
    """Return a handshake with which an attacker at ``at`` plays another member."""
    return Handshake(
        cluster_id=victim.cluster.directory.cluster_id,
        epoch=0,
        member_id=MemberId(random.randbytes(16)),
        seat=next(seat for seat in victim.cluster.seats if seat != at),
        start_nonce=StartNonce(random.getrandbits(64)),
        role=Role.LEADER,
        leadership_term_id=LeadershipTermId(2**63),
        client_address="127.0.0.1:1",
        control_address="127.0.0.1:1",
        connection_nonce=random.randbytes(16),
    )


def bad_beginnings(victim: Victim, random: Random, at: Seat) -> Iterator[tuple[LinkRefusal, bytes]]:
    """Yield what no member begins with, and the refusal that answers it."""
    good = forged(victim, random, at)
    whole = encode_handshake(good)
    body = whole[16:]
    yield (
        LinkRefusal.CLUSTER,
        encode_handshake(replace(good, cluster_id=ClusterId(random.randbytes(16)))),
    )
    yield LinkRefusal.SEAT, encode_handshake(replace(good, seat=Seat(77)))
    yield LinkRefusal.SEAT, encode_handshake(replace(good, seat=at))
    yield LinkRefusal.VERSION, encode_handshake(replace(good, version_min=7, version_max=9))
    for data in (
        encode_header(1, 8) + b"NOTMAGIC",
        encode_header(1, len(body) - 1) + body[:-1],
        encode_header(1, len(body) + 4) + body + b"1234",
        encode_header(1, 0),
        encode_header(1, HANDSHAKE_PAYLOAD_BYTES_MAX + 1),
        whole[:4] + b"\x63" + whole[5:],
        whole[:5] + b"\x02" + whole[6:],
        whole[:6] + b"\xff\xff" + whole[8:],
        bytes(16),
        KEEP_ALIVE,
        b"".join(encode_message(vote(2**62))),
        *noise(random, 20),
    ):
        yield LinkRefusal.MALFORMED, data


def vote(term: int) -> RequestVote:
    """Return a message that would end the leader's term if anybody believed it."""
    mark = LogMark(LogPosition(2**40), LeadershipTermId(term), Chain(1))
    return RequestVote(LeadershipTermId(term), mark, unanimous=True, token=None)


async def begin_badly(victim: Victim, random: Random, seat: Seat) -> None:
    """Every bad first word is refused with its reason, and counted."""
    before = await victim.refusals(seat)
    expected: dict[LinkRefusal, int] = {}
    for reason, data in bad_beginnings(victim, random, seat):
        async with RawMember(victim.member_address(seat)) as member:
            member.writer.write(data)
            assert await member.refusal() == reason, data[:40]
        expected[reason] = expected.get(reason, 0) + 1
    after = await victim.refusals(seat)
    for reason, count in expected.items():
        name = ("member", reason.name.lower())
        assert after[name] - before.get(name, 0) >= count, (reason, before, after)


async def guess_the_secret(victim: Victim, random: Random, rounds: int) -> None:
    """A proof that is wrong, missing, too long, reflected or somebody else's is refused."""
    reflected = b""
    for number in range(rounds):
        async with RawMember(victim.member_address()) as member:
            member.writer.write(encode_handshake(forged(victim, random, victim.leader)))
            _, confirmation = await member.frames(2)
            assert confirmation.message_type == CONFIRMATION_TYPE
            proofs = (b"", random.randbytes(32), confirmation.payload, reflected, bytes(500))
            proof = proofs[number % len(proofs)]
            reflected = confirmation.payload
            messages = b"".join(encode_message(vote(2**62)))
            member.writer.write(encode_header(CONFIRMATION_TYPE, len(proof)) + proof + messages)
            assert await member.refusal() is LinkRefusal.SECRET
    await victim.until_refused("member", "secret", rounds)


async def skip_the_proof(victim: Victim, random: Random) -> None:
    """Consensus messages, refusals and second handshakes instead of a proof."""
    handshake = encode_handshake(forged(victim, random, victim.leader))
    for data in (
        b"".join(encode_message(vote(2**62))),
        handshake,
        KEEP_ALIVE,
        encode_header(CONFIRMATION_TYPE, 4 * 1024 * 1024) + bytes(8192),
    ):
        async with RawMember(victim.member_address()) as member:
            member.writer.write(handshake + data)
            assert await member.refusal() in (LinkRefusal.MALFORMED, LinkRefusal.SECRET), data[:20]
    async with RawMember(victim.member_address()) as member:
        member.writer.write(encode_refusal(LinkRefusal.CONSENSUS, "volume-lost"))
        assert await member.everything() == []


async def dawdle(victim: Victim, random: Random, seat: Seat, count: int) -> None:
    """Handshakes that stay unfinished are ended in time, and the oldest makes room."""
    handshake = encode_handshake(forged(victim, random, seat))

    async def one(data: bytes) -> LinkRefusal | None:
        async with RawMember(victim.member_address(seat)) as member:
            member.writer.write(data)
            return await member.refusal()

    async with asyncio.TaskGroup() as group:
        slow = [
            group.create_task(one(handshake[: number % len(handshake)]), name="unfinished")
            for number in range(count)
        ]
    reasons = {task.result() for task in slow}
    assert reasons == {LinkRefusal.HANDSHAKE_TIMEOUT, LinkRefusal.CONNECTIONS}, reasons
    await victim.until_refused("member", "handshake_timeout", 1, seat)
    await victim.until_refused("member", "connections", 1, seat)
