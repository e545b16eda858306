"""What takes too long or too much: raw connections against real gateways."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from quorate.config import GatewayConfig
from quorate.gateway import patrol
from quorate.gateway.connection import ConnectionState
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    encode_message,
)
from quorate.protocol.session_messages import (
    Closed,
    Credit,
    Error,
    KeepAlive,
    LinkError,
    Open,
    Opened,
)
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import (
    KEY,
    RawClient,
    attached,
    led,
    refused,
    until,
)

PIECE_BYTES_MAX = 256 * 1024
"""What a loop reads in one go."""


def test_a_silent_session_expires_connected_or_not() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        async with RawClient(loopback.addresses[0]) as other:
            await other.attach(key=b"o" * 16)
        gateway = loopback.members[0].gateway
        await until(lambda: len(gateway.connections) == 1)
        loopback.advance(29)
        loopback.turn()
        assert len(loopback.members[0].container.sessions()) == 2
        loopback.advance(2)
        closed = await client.expect(Closed)
        assert closed == Closed(client.session_id, CloseReason.EXPIRED)
        await until(lambda: not loopback.members[0].container.sessions())

    led(test)


def test_a_keep_alive_postpones_expiry_and_is_not_logged() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        for _ in range(4):
            loopback.advance(20)
            client.say(KeepAlive())
            await client.expect(Credit)
        assert loopback.appended == 1

    led(test)


def test_clocks_start_afresh_with_a_new_leader() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.advance(29)
        loopback.lead()
        loopback.advance(29)
        loopback.turn()
        assert len(loopback.members[0].container.sessions()) == 1
        loopback.advance(2)
        await until(lambda: not loopback.members[0].container.sessions())

    led(test)


def test_a_connection_that_does_not_open_is_closed_however_slowly_it_talks() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        message = encode_message(Open(1, 1, ANY_CLUSTER, KEY, 0, 0, 0, "loris"))
        gateway = loopback.members[0].gateway
        await until(lambda: len(gateway.connections) == 1)
        for byte in message[:6]:
            client.say_bytes(bytes([byte]))
            loopback.advance(1)
        assert await client.expect_end() == [Error(LinkError.OPEN_TIMEOUT)]
        assert refused(loopback, "open-timeout") == 1

    led(test)


def test_one_connection_too_many_is_refused() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        async with RawClient(loopback.addresses[0]) as second:
            assert await second.expect_end() == [Error(LinkError.OVERLOADED)]
        assert refused(loopback, "connections") == 1

    led(test, config=GatewayConfig(connections_max=1))


def test_who_has_just_connected_has_its_time_to_open() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await until(lambda: len(gateway.connections) == 1)
        for _ in range(4):
            loopback.advance(1)
        await client.attach()
        assert refused(loopback, "open-timeout") == 0

    led(test)


def test_time_outs_are_judged_within_a_quarter_of_a_second() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await until(lambda: len(gateway.connections) == 1)
        (served,) = gateway.connections
        loopback.turn()
        served.state_since = loopback.now
        for _ in range(20 * 4 + 1):
            loopback.advance(0.25)
        assert refused(loopback, "open-timeout") == 1

    led(test, config=GatewayConfig(open_timeout_ms=20_000))


def test_closing_tells_every_client() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        await loopback.members[0].gateway.close()
        assert not loopback.members[0].gateway.connections
        assert Error(LinkError.SHUTTING_DOWN) in await client.expect_end()
        await loopback.members[0].gateway.wait_empty()

    led(test)


@pytest.mark.parametrize("bound", ["STRIDE", "EXPIRIES"])
def test_many_expire_a_few_in_each_turn(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patrol, "PACE_NS", 1_000_000_000)
    monkeypatch.setattr(patrol, bound, 2)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        container = loopback.members[0].container
        async with attached(loopback, 5):
            pass
        await until(lambda: len(loopback.members[0].gateway.connections) == 1)
        before = loopback.appended
        loopback.advance(31)
        assert loopback.appended - before == 2
        loopback.advance(0.5)
        assert loopback.appended - before == 2, "no walk begins anew meanwhile"
        for _ in range(3):
            loopback.advance(0.5)
        assert loopback.appended - before == 4, "turns that are shorter than the pace add up"
        loopback.advance(2)
        await until(lambda: container.sessions_count == 0)
        assert loopback.appended - before == 5, "each is closed once"

    led(test)


def test_a_walk_that_is_left_over_goes_on_before_the_next_one_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patrol, "PACE_NS", 1_000_000)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        async with attached(loopback, 5):
            pass
        await until(lambda: len(loopback.members[0].gateway.connections) == 1)
        before = loopback.appended
        monkeypatch.setattr(patrol, "STRIDE", 2)
        loopback.advance(31)
        loopback.advance(0.05)
        assert loopback.appended - before == 5, "fifty more may be looked at by then"

    led(test)


def test_connections_that_are_left_over_are_judged_before_the_next_walk_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patrol, "PACE_NS", 1_000_000)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(4):
                await stack.enter_async_context(RawClient(loopback.addresses[0]))
            await until(lambda: len(loopback.members[0].gateway.connections) == 5)
            monkeypatch.setattr(patrol, "STRIDE", 2)
            loopback.advance(31)
            loopback.advance(0.05)
            assert refused(loopback, "open-timeout") == 5

    led(test)


def test_who_comes_back_while_others_expire_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patrol, "EXPIRIES", 1)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        container = loopback.members[0].container
        async with attached(loopback, 3) as others:
            loopback.advance(31)
            gateway, session_id = loopback.members[0].gateway, others[-1].session_id
            (last,) = (c for c in gateway.connections if c.session_id == session_id)
            last.heard_at = loopback.now
            await until(lambda: container.sessions_count == 1)
            loopback.advance(1)
            assert container.session_ids() == [session_id]

    led(test)


def test_silence_counts_from_the_last_word_on_a_connection_that_is_lost() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        loopback.advance(20)
        client.say(KeepAlive())
        await client.expect(Credit)
        client.writer.close()
        await until(lambda: not gateway.connections)
        loopback.advance(29)
        loopback.turn()
        assert loopback.members[0].container.sessions()
        loopback.advance(2)
        await until(lambda: not loopback.members[0].container.sessions())

    led(test)


@pytest.mark.parametrize("is_connected", [True, False])
def test_the_time_of_a_hand_over_that_failed_is_nobodys_silence(*, is_connected: bool) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        if not is_connected:
            client.writer.close()
            await until(lambda: not gateway.connections)
        gateway.pause()
        loopback.advance(29)
        gateway.resume()
        for _ in range(3):
            loopback.advance(9)
        assert loopback.appended == 1
        loopback.advance(5)
        await until(lambda: not loopback.members[0].container.sessions())

    led(test)


def test_while_leadership_is_handed_over_nobody_is_let_in_and_nobody_expires() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        client.writer.close()
        await until(lambda: not gateway.connections)
        gateway.pause()
        appended = loopback.appended
        async with RawClient(loopback.addresses[0]) as late:
            await until(lambda: bool(gateway.connections))
            late.open(key=b"l" * 16)
            for _ in range(10):
                loopback.advance(31)
                await asyncio.sleep(0)
            assert loopback.appended == appended
            gateway.resume()
            assert (await late.expect(Opened)).ingress_applied == 0

    led(test)


def test_who_comes_while_leadership_is_handed_over_is_read_from_afterwards() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        gateway.pause()
        async with RawClient(loopback.addresses[0]) as late:
            await until(lambda: len(gateway.connections) == 2)
            connection = next(row for row in gateway.connections if not row.session_id)
            late.say_bytes(encode_message(KeepAlive()) * 200_000)
            for _ in range(1_000):
                await asyncio.sleep(0)
            assert connection.incomplete_bytes <= PIECE_BYTES_MAX
            assert connection.state is ConnectionState.NEW
            gateway.resume()
            await until(lambda: refused(loopback, "flood") > 0)

    led(test)
