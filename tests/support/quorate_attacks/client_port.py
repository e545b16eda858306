"""Attacks on the port of clients; each returns when the member has answered as documented."""

from __future__ import annotations

import asyncio
import socket
import struct
from random import Random

from quorate.consensus.types import Seat
from quorate.protocol.batch import encode_ingress_batch
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    encode_egress_acknowledge,
    encode_keep_alive,
    encode_message,
    ingress_header,
)
from quorate.protocol.session_messages import (
    Closed,
    Error,
    Ingress,
    LinkError,
    Open,
    Opened,
    Rewind,
)
from quorate_attacks.streams import conversation, first_words, mutated, noise
from quorate_attacks.victim import Victim, until
from quorate_loopback.raw_client import RawClient

MIB = 1024 * 1024


def key(random: Random) -> bytes:
    """Return a session key of the attacker's."""
    return random.randbytes(16)


async def talk_nonsense(victim: Victim, random: Random, seat: Seat) -> None:
    """Garbage, and first words that lie: an error, a close and a count for each."""
    before = await victim.refusals(seat)
    expected: dict[str, int] = {"too-large": 0}
    cluster_id = victim.cluster.directory.cluster_id
    for data in noise(random, 20):
        await _is_told(victim.client_address(seat), data)
        expected["too-large"] += 1
    leads = seat == victim.leader
    for reason, data in first_words(key(random), cluster_id):
        if reason == "not-live" and not leads:
            continue
        await _is_told(victim.client_address(seat), data)
        expected[reason] = expected.get(reason, 0) + 1
    after = await victim.refusals(seat)
    # Scanners' bytes may be too long or malformed; together they are what was sent.
    both = ("too-large", "malformed")
    assert sum(_more(before, after, name) for name in both) == sum(expected.pop(n) for n in both)
    for reason, count in expected.items():
        assert _more(before, after, reason) == count, (reason, count, before, after)


def _more(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int], name: str) -> int:
    return after["client", name] - before["client", name]


async def _is_told(address: str, data: bytes) -> None:
    async with RawClient(address) as client:
        client.say_bytes(data)
        words = await client.expect_end()
        assert isinstance(words[-1], Error | Closed), (data[:40], words)


async def lie_about_batches(victim: Victim, random: Random) -> None:
    """Counts and lengths inside a batch that do not fit: the session ends, with the reason."""
    long = bytes(300 * 1024)
    cases = (
        (2, encode_ingress_batch([b"one message"]), CloseReason.BAD_BATCH),
        (1, encode_ingress_batch([b"two", b"messages"]), CloseReason.BAD_BATCH),
        (1, struct.pack("<I", 0xFFFFFFFF) + b"short", CloseReason.BAD_BATCH),
        (3, bytes(11) + b"\xff", CloseReason.BAD_BATCH),
        (1, encode_ingress_batch([long]), CloseReason.MESSAGE_BYTES),
    )
    for count, batch, reason in cases:
        async with RawClient(victim.client_address()) as client:
            await client.attach(key=key(random))
            client.say(Ingress(client.session_id, 1, 0, count, batch))
            assert (await client.expect(Closed)).reason == reason
    for count, batch in ((0, b""), (0, b"1234"), (2**32 - 1, bytes(64))):
        async with RawClient(victim.client_address()) as client:
            await client.attach(key=key(random))
            client.say_bytes(ingress_header(client.session_id, 1, 0, count, len(batch)) + batch)
            assert Error(LinkError.MALFORMED) in await client.expect_end()


async def lie_about_sequences(victim: Victim, random: Random) -> None:
    """Holes, the past, the end of time, acknowledgements of what never was: all is put right."""
    async with RawClient(victim.client_address()) as client:
        await client.attach(key=key(random), received=2**63)
        hole = encode_ingress_batch([b"behind a hole"])
        # In one write: a hole that comes behind what answers the first is answered as well.
        client.say_bytes(
            b"".join(
                encode_message(Ingress(client.session_id, sequence, 0, 1, hole))
                for sequence in (5, 2**40, 2**63 - 10)
            )
        )
        assert (await client.expect(Rewind)).sequence == 1
        client.ingress(1, b"a", b"b", acknowledged=2**64 - 1)
        assert len(await client.answers(2)) == 2
        for _ in range(200):
            client.ingress(1, b"A", b"B", acknowledged=2**64 - 1)
        client.say_bytes(
            b"".join(
                encode_egress_acknowledge(client.session_id, n) for n in range(2**40, 2**40 + 99)
            )
        )
        client.ingress(3, b"c")
        ((sequence, _),) = await client.answers(1)
        assert sequence == 3, "nothing was applied twice"
        client.say_bytes(ingress_header(client.session_id, 2**64 - 1, 0, 1, 5) + b"\1\0\0\0x")
        assert Error(LinkError.MALFORMED) in await client.expect_end()
    async with RawClient(victim.client_address()) as client:
        await client.attach(key=key(random))
        client.session_id += 8
        client.ingress(1, b"for another's session")
        assert Error(LinkError.WRONG_SESSION) in await client.expect_end()


async def fight_over_a_session(victim: Victim, random: Random, rounds: int) -> None:
    """One key on two connections at once, again and again: one session, one of them has it."""
    session_key, found = key(random), set[int]()
    for _ in range(rounds):
        async with (
            RawClient(victim.client_address()) as one,
            RawClient(victim.client_address()) as other,
        ):
            one.open(key=session_key)
            other.open(key=session_key)
            heard = [await _last_word(client) for client in (one, other)]
            found |= {word.cluster_session_id for word in heard if isinstance(word, Opened)}
            assert any(isinstance(word, Opened) for word in heard), heard
    assert len(found) == 1, found


async def _last_word(client: RawClient) -> object:
    word = await client.hear()
    return word if isinstance(word, Opened) else (word, *await client.expect_end())


async def open_too_many(victim: Victim, random: Random, attempts: int, allowed: int) -> None:
    """More sessions than there may be: what is too much is told so, and the load keeps its own."""
    refused = 0
    clients: list[RawClient] = []
    try:
        for _ in range(attempts):
            client = RawClient(victim.client_address())
            await client.__aenter__()
            clients.append(client)
            client.open(key=key(random))
        for client in clients:
            word = await client.hear()
            if isinstance(word, Closed):
                assert word.reason == CloseReason.SESSIONS
                refused += 1
            else:
                assert isinstance(word, Opened), word
    finally:
        for client in clients:
            await client.__aexit__(None, None, None)
    assert refused >= attempts - allowed, (refused, attempts, allowed)

    async def are_counted() -> bool:
        # By the gateway, and by the log of those that arrived together with the last.
        counts = await victim.refusals()
        both = (("client", "sessions"), ("service", "sessions_refused"))
        return sum(counts.get(name, 0) for name in both) >= refused

    await until(are_counted, f"{refused} refusals of new sessions")


async def resume_the_dead(victim: Victim, random: Random) -> None:
    """A session that has expired is not live, whoever holds its key; nor is a stolen id."""
    session_key = key(random)
    async with RawClient(victim.client_address()) as client:
        await client.attach(key=session_key)
        session_id = client.session_id
    async with RawClient(victim.client_address()) as thief:
        thief.open(session_id, key=key(random))
        assert await thief.hear() == Closed(session_id, CloseReason.EXPIRED)

    async def is_alone() -> bool:
        return await victim.gauge("quorate_sessions") == 1

    await until(is_alone, "all sessions but the load's to expire")
    async with RawClient(victim.client_address()) as late:
        late.open(session_id, key=session_key)
        assert await late.hear() == Closed(session_id, CloseReason.EXPIRED)


async def dawdle(victim: Victim, seat: Seat, count: int) -> None:
    """Connections that send nothing, or one byte now and then, are ended in time."""
    opening = encode_message(Open(1, 1, ANY_CLUSTER, bytes(16), 0, 0, 0, "slow" * 20))

    async def trickle(client: RawClient) -> None:
        for at in range(len(opening)):
            client.say_bytes(opening[at : at + 1])
            # The pace is the attack.
            await asyncio.sleep(0.25)

    async def one(*, silent: bool) -> None:
        async with RawClient(victim.client_address(seat)) as client, asyncio.TaskGroup() as group:
            trickling = None if silent else group.create_task(trickle(client), name="trickle")
            assert (await client.expect_end())[-1:] == [Error(LinkError.OPEN_TIMEOUT)]
            if trickling is not None:
                trickling.cancel()

    before = (await victim.refusals(seat))["client", "open-timeout"]
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(silent=bool(number % 2)), name="dawdle")
    await victim.until_refused("client", "open-timeout", before + count, seat)


async def hang_up_rudely(victim: Victim, random: Random, count: int) -> None:
    """Resets and half-closed connections at any moment of a conversation."""
    for number in range(count):
        async with RawClient(victim.client_address()) as client:
            if number % 4:
                client.open(key=key(random))
            if number % 4 > 1:
                await client.hear()
            client.say_bytes(encode_keep_alive() * random.randrange(3) + b"\x08")
            if number % 4 == 3:
                client.writer.write_eof()
            if number % 2:
                raw = client.writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def never_acknowledge(victim: Victim, random: Random) -> None:
    """Egress that is read and never acknowledged ends the session at its limit."""
    async with RawClient(victim.client_address()) as client:
        await client.attach(key=key(random))
        for sequence in range(1, 26):
            client.ingress(sequence, b"burst 4 250000")
        assert (await client.expect(Closed)).reason == CloseReason.KEPT_EGRESS


async def never_read(victim: Victim, random: Random) -> None:
    """Answers that nobody takes are not piled up for long: session and connection end."""
    before = await victim.gauge("quorate_client_connections")
    async with RawClient(victim.client_address()) as client:
        await client.attach(key=key(random))
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for sequence in range(1, 26):
            client.ingress(sequence, b"burst 4 250000")

        async def is_ended() -> bool:
            return await victim.gauge("quorate_client_connections") <= before

        await until(is_ended, "the connection that nobody reads from to end")


async def flood(victim: Victim, random: Random, count: int) -> None:
    """Small messages that no credit bounds, as fast as they go, and claims of egress."""

    async def one(session_key: bytes) -> None:
        async with RawClient(victim.client_address()) as client:
            await client.attach(key=session_key, received=2**63)
            acknowledgements = (
                encode_egress_acknowledge(client.session_id, n) for n in range(10_000)
            )
            client.say_bytes(encode_keep_alive() * 10_000 + b"".join(acknowledgements))
            client.ingress(1, b"the end")
            assert len(await client.answers(1)) == 1

    log_before = await victim.gauge("quorate_written_position_bytes")
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one(key(random)), name="flood")
    grown = await victim.gauge("quorate_written_position_bytes") - log_before
    assert grown < MIB, f"what says nothing took {grown} bytes of the log"


async def mutate_conversations(victim: Victim, random: Random, rounds: int) -> None:
    """Valid conversations with changes: whatever comes, it is not the end of the member."""

    async def one(seed: int) -> None:
        mine = Random(seed)
        async with RawClient(victim.client_address()) as client:
            await client.attach(key=key(mine))
            client.say_bytes(mutated(conversation(client.session_id, mine), mine))
            client.writer.write_eof()
            await client.expect_end()

    for _ in range(rounds // 10):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(one(random.getrandbits(64)), name="mutated conversation")
