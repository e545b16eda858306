"""Clients that read late, or not at all, what is sent to them: raw connections."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from quorate.config import ClusterSettings, GatewayConfig
from quorate.gateway import crowd, patrol
from quorate.gateway.connection import ClientConnection
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_messages import Close, Closed, KeepAlive
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import PATIENCE_S, RawClient, heard, led, refused, until

MIB = 1024 * 1024
READ_LATER = ClusterSettings(kept_egress_bytes_max=64 * MIB)


def unread(loopback: LoopbackCluster, client: RawClient, first: int = 1) -> ClientConnection:
    """Have the client asked for more than anybody buffers, and read nothing of it."""
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for sequence in range(first, first + 40):
        client.ingress(sequence, b"burst 4 200000", acknowledged=4 * (first - 1))
    (served,) = loopback.members[0].gateway.connections
    return served


def test_a_client_that_never_reads_is_disconnected_and_its_session_goes_on() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        connection = unread(loopback, client)
        await until(lambda: len(heard(loopback)) == 40)
        assert connection.is_lagging
        assert connection.buffered_bytes < 4 * 1024 * 1024, "the rest waits in the container"
        loopback.advance(11)
        await until(lambda: not gateway.connections)
        assert refused(loopback, "not-read") == 1
        async with RawClient(loopback.addresses[0]) as again:
            await again.attach(client.session_id)
            answers = await again.answers(160)
            assert [sequence for sequence, _ in answers] == list(range(1, 161))
            await again.acknowledged(40)

    led(test, settings=READ_LATER)


def test_who_is_closed_has_time_to_read_why() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        served = unread(loopback, client)
        await until(lambda: served.is_lagging)
        client.say(Close(client.session_id))
        await until(lambda: served.is_ended)
        for _ in range(4):
            loopback.advance(1)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await client.expect_end())[-1] == Closed(client.session_id, CloseReason.CLIENT)

    led(test, settings=READ_LATER)


def test_who_does_not_read_that_it_is_closed_takes_no_room_for_long() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        served = unread(loopback, client)
        await until(lambda: served.is_lagging)
        client.say(Close(client.session_id))
        await until(lambda: served.is_ended)
        for _ in range(6):
            loopback.advance(1)
        await until(lambda: not gateway.connections)
        assert refused(loopback, "not-read") == 0

    led(test, settings=READ_LATER)


def test_who_does_not_read_does_not_hold_up_a_member_that_shuts_down() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        served = unread(loopback, client)
        await until(lambda: served.is_lagging)
        gateway = loopback.members[0].gateway
        async with asyncio.timeout(PATIENCE_S):
            await gateway.close()
        assert not gateway.connections

    led(test, settings=READ_LATER)


def test_a_client_that_reads_late_but_in_time_stays() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        served = unread(loopback, client)
        await until(lambda: served.is_lagging)
        for _ in range(9):
            loopback.advance(1)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [number for number, _ in await client.answers(160)] == list(range(1, 161))
        for _ in range(9):
            loopback.advance(1)
        client.ingress(41, b"a")
        assert await client.answers(1) == [(161, b"a")]
        assert refused(loopback, "not-read") == 0

    led(test, settings=READ_LATER)


def test_a_client_that_reads_slowly_stays_as_long_as_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        served = unread(loopback, client)
        await until(lambda: served.is_lagging and len(heard(loopback)) == 40)
        left = served.lagging_bytes
        monkeypatch.setattr(ClientConnection, "buffered_bytes", property(lambda _: left))
        for _ in range(12):
            left -= patrol.READ_BYTES_MIN
            loopback.advance(9)
        assert not served.is_ended
        for _ in range(2):
            left -= patrol.READ_BYTES_MIN // 2 - 1
            loopback.advance(6)
        await until(lambda: served not in loopback.members[0].gateway.connections)
        assert refused(loopback, "not-read") == 1

    led(test, settings=replace(READ_LATER, session_timeout_ns=600 * 10**9))


def test_who_has_read_is_not_counted_among_those_who_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crowd, "LAGGING_TOTAL_BYTES", 3 * crowd.LAGGING_BYTES // 2)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        transport = client.writer.transport
        (served,) = loopback.members[0].gateway.connections
        for first in (1, 41, 81):
            unread(loopback, client, first)
            await until(lambda: served.is_lagging or served.is_ended)
            transport.resume_reading()  # type: ignore[attr-defined]
            assert len(await client.answers(160)) == 160
            await until(lambda: not served.is_lagging)
        assert refused(loopback, "not-read") == 0

    led(test, settings=READ_LATER)


@pytest.mark.parametrize("limit_bytes", [MIB, 16 * MIB])
def test_who_asks_on_without_reading_is_closed_at_once_beyond_the_limit(limit_bytes: int) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        served = unread(loopback, client)
        await until(lambda: served.is_lagging and len(heard(loopback)) == 40)
        assert served.buffered_bytes > MIB, "so much is always produced"
        said = served.heard_at
        loopback.advance(1)
        client.say(KeepAlive())
        await until(lambda: served.heard_at > said)
        assert served.is_ended == (limit_bytes == MIB)
        assert refused(loopback, "not-read") == served.is_ended
        async with RawClient(loopback.addresses[0]) as again:
            await again.attach(client.session_id)
            assert await again.answers(1), "its session lives on"

    led(test, settings=READ_LATER, config=GatewayConfig(send_buffer_bytes_max=limit_bytes))
