"""Who must go when there are too many: raw connections against real gateways."""

from __future__ import annotations

import gc
import weakref
from contextlib import AsyncExitStack
from typing import cast

import pytest

from quorate.config import ClusterSettings, GatewayConfig
from quorate.gateway import crowd as module
from quorate.gateway.connection import ASIDES_PER_S, ClientConnection, ConnectionState
from quorate.gateway.crowd import Crowd
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import encode_keep_alive, ingress_header
from quorate.protocol.session_messages import Closed, Error, LinkError, Opened
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import RawClient, attached, cluster, led, refused, run, until


def test_the_oldest_that_has_not_asked_for_a_session_makes_room() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        address = loopback.addresses[0]
        async with RawClient(address) as second, RawClient(address) as third:
            gateway = loopback.members[0].gateway
            await until(lambda: len(gateway.connections) == 3)
            async with RawClient(address) as fourth:
                assert await second.expect_end() == [Error(LinkError.OVERLOADED)]
                assert refused(loopback, "connections") == 1
                await fourth.attach(key=b"4" * 16)
                await third.attach(key=b"3" * 16)

    led(test, config=GatewayConfig(connections_max=3))


def test_who_stays_where_another_makes_room_is_limited_like_everybody() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await until(lambda: len(gateway.connections) == 1)
        (first,) = gateway.connections
        async with RawClient(loopback.addresses[0]) as second:
            await client.expect_end()
            await second.attach()
            (stays,) = gateway.connections
            assert stays.write_limit == first.write_limit > 0

    led(test, config=GatewayConfig(connections_max=1))


def test_the_last_room_is_for_sessions_that_resume() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        async with attached(loopback, 14):
            # Fifteen of sixteen are taken: one new session more is refused, a resume is not.
            async with RawClient(loopback.addresses[0]) as late:
                late.open(key=b"l" * 16)
                assert await late.expect_end() == [Error(LinkError.OVERLOADED)]
            assert refused(loopback, "connections") == 1
            async with RawClient(loopback.addresses[0]) as again:
                opened = await again.attach(client.session_id)
                assert opened.cluster_session_id == client.session_id
            async with RawClient(loopback.addresses[0]) as unanswered:
                # Its first open was never answered: it cannot name the session it has.
                await unanswered.attach(key=bytes([3]) * 16)

    led(test, config=GatewayConfig(connections_max=16))


def test_connections_of_one_address_can_be_limited() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        async with RawClient(loopback.addresses[0]) as second:
            await second.attach()
            async with RawClient(loopback.addresses[0]) as third:
                assert await third.expect_end() == [Error(LinkError.OVERLOADED)]
            assert refused(loopback, "address") == 1
        gateway = loopback.members[0].gateway
        await until(lambda: len(gateway.connections) == 1)
        async with RawClient(loopback.addresses[0]) as fourth:
            await fourth.attach(key=b"4" * 16)
        client.writer.close()
        await until(lambda: not gateway.connections)
        assert not gateway._crowd._by_address, "an address that nobody comes from is forgotten"

    led(test, config=GatewayConfig(connections_per_address_max=2))


def test_a_new_session_too_many_costs_no_entry_and_a_resume_is_answered() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        before = loopback.appended
        async with RawClient(loopback.addresses[0]) as second:
            second.open(key=b"2" * 16)
            assert await second.expect_end() == [Closed(0, CloseReason.SESSIONS)]
        assert loopback.appended == before
        assert refused(loopback, "sessions") == 1
        async with RawClient(loopback.addresses[0]) as again:
            again.open()
            assert isinstance(await again.hear(), Opened)

    led(test, settings=ClusterSettings(sessions_max=1))


def test_who_holds_most_of_what_is_not_whole_must_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INCOMPLETE_BYTES_MAX", 300_000)

    async def body() -> None:
        async with cluster() as loopback:
            loopback.lead()
            gateway = loopback.members[0].gateway
            async with attached(loopback, 3) as clients:
                length = 160_000
                for client, size in zip(clients, (90_000, 150_000, 90_000), strict=True):
                    header = ingress_header(client.session_id, 1, 0, 1, length)
                    client.say_bytes(header + bytes(size))
                await until(lambda: len(gateway.connections) == 2)
                assert await clients[1].expect_end() == []
                assert refused(loopback, "incomplete") == 1
                clients[0].say_bytes(bytes(length - 90_000))
                await clients[0].expect(Closed)
            await until(lambda: not gateway.connections)
            assert gateway._crowd._incomplete_bytes == 0

    run(body)


def test_of_too_many_that_do_not_read_the_one_that_began_first_must_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LAGGING_BYTES", module.LAGGING_BYTES_MIN)
    monkeypatch.setattr(module, "LAGGING_TOTAL_BYTES", 3 * module.LAGGING_BYTES_MIN - 1)
    settings = ClusterSettings(kept_egress_bytes_max=64 * 1024 * 1024)

    async def body() -> None:
        async with cluster(settings=settings) as loopback, AsyncExitStack() as stack:
            loopback.lead()
            gateway = loopback.members[0].gateway
            clients = await stack.enter_async_context(attached(loopback, 3))
            served = {c.session_id: c for c in gateway.connections}
            for client in clients:
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                for sequence in range(1, 41):
                    client.ingress(sequence, b"burst 4 200000")
                connection = served[client.session_id]
                await until(lambda lost=connection: lost.is_lagging or lost.is_ended)
            await until(lambda: len(gateway.connections) == 2)
            assert served[clients[0].session_id].is_ended
            assert refused(loopback, "not-read") == 1

    run(body)


def test_a_flood_of_signs_of_life_is_read_again_after_a_second() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        (served,) = loopback.members[0].gateway.connections
        client.say_bytes(encode_keep_alive() * (ASIDES_PER_S + 10))
        await until(lambda: refused(loopback, "flood") == 1)
        assert not served.is_reading
        client.ingress(1, b"a")
        loopback.advance(1)
        assert await client.answers(1) == [(1, b"a")]
        assert refused(loopback, "flood") == 1

    led(test)


class Reader:
    """A connection as the crowd sees it."""

    state = ConnectionState.ATTACHED
    address = ""
    incomplete_bytes = 0
    write_limit = 0

    def limit_writing(self, limit: int) -> None:
        self.write_limit = limit


def joined(crowd: Crowd, count: int) -> list[ClientConnection]:
    readers = [cast("ClientConnection", Reader()) for _ in range(count)]
    for reader in readers:
        assert crowd.add(reader) is None
    return readers


@pytest.mark.parametrize("count", [1, 100, 1_000, 3_000])
def test_the_more_there_are_the_less_is_buffered_for_one_that_does_not_read(count: int) -> None:
    last = joined(Crowd(GatewayConfig(connections_max=10_000)), count)[-1]
    assert module.LAGGING_BYTES_MIN <= last.write_limit <= module.LAGGING_BYTES
    assert last.write_limit * count <= max(
        module.LAGGING_TOTAL_BYTES, count * module.LAGGING_BYTES_MIN
    )


def test_no_more_is_buffered_for_one_than_is_configured() -> None:
    config = GatewayConfig(send_buffer_bytes_max=100_000)
    (reader,) = joined(Crowd(config), 1)
    assert reader.write_limit == 100_000


def test_who_had_to_go_makes_room_for_the_next_that_does_not_read() -> None:
    crowd = Crowd(GatewayConfig())
    readers = joined(crowd, 1 + module.LAGGING_TOTAL_BYTES // module.LAGGING_BYTES)
    for reader in readers:
        reader.write_limit = module.LAGGING_BYTES
    gone = [crowd.on_lagging(reader) for reader in readers]
    assert gone == [None] * (len(readers) - 1) + [readers[0]]
    for reader in readers[1:]:
        crowd.on_writable(reader)
        assert crowd.on_lagging(reader) is None
    crowd.remove(readers[0])
    crowd.on_writable(readers[1])
    crowd.on_writable(readers[1])
    assert crowd.on_lagging(readers[1]) is None


@pytest.mark.parametrize("has_opened", [True, False])
def test_nothing_is_kept_of_connections_that_are_gone(*, has_opened: bool) -> None:
    """Such as of those that only see whether somebody listens."""
    crowd = Crowd(GatewayConfig())
    (reader,) = joined(crowd, 1)
    if has_opened:
        crowd.on_open(reader)
    crowd.on_lagging(reader)
    crowd.remove(reader)
    left = weakref.ref(reader)
    del reader
    gc.collect()
    assert left() is None
    assert crowd.is_empty.is_set()


def test_those_that_are_gone_buffer_nothing() -> None:
    crowd = Crowd(GatewayConfig())
    for _ in range(2 * module.LAGGING_TOTAL_BYTES // module.LAGGING_BYTES):
        (reader,) = joined(crowd, 1)
        assert crowd.on_lagging(reader) is None
        crowd.remove(reader)
