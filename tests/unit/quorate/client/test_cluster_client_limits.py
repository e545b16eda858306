"""The whole client where a cluster is full, or says what this release does not know."""

from __future__ import annotations

import asyncio

import pytest

from quorate.client import ClusterClient, NotConnected, SessionClosed, SessionSettings
from quorate.client.member_rotation import BACKOFF_MAX_NS, BACKOFF_MIN_NS
from quorate.config import Durability, join_address
from quorate.protocol.session_codec import encode_message
from quorate.protocol.session_messages import Opened, Redirect
from quorate_loopback.fake_member import fake_member
from quorate_loopback.raw_client import PATIENCE_S, cluster, until


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (int(Durability.FSYNC), Durability.FSYNC),
        (int(Durability.REPLICATED), Durability.REPLICATED),
        (77, Durability.REPLICATED),
    ],
)
def test_a_durability_of_a_later_release_promises_no_more_than_is_known(
    said: int, expected: Durability
) -> None:
    opened = encode_message(Opened(1, said, 4096, 0, 100, 30 * 10**9, 100, 200, ()))

    async def body() -> None:
        server, address = await fake_member(opened)
        client = await ClusterClient.connect([address])
        assert client.durability is expected
        await client.close(timeout=0.01)
        server.close()

    asyncio.run(body())


def test_who_waits_for_credit_hears_of_a_close_at_once() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            loopback.hold()
            while client.can_offer:
                client.offer(bytes(1000))
            request = asyncio.ensure_future(client.request(b"waits"))
            await asyncio.sleep(0)
            closing = asyncio.ensure_future(client.close(timeout=PATIENCE_S))
            with pytest.raises(SessionClosed):
                await request
            assert not closing.done()
            loopback.release()
            await closing

    asyncio.run(body())


def test_an_idle_client_that_closes_leaves_no_session_behind() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            async with ClusterClient.connect(loopback.addresses) as client:
                link = client._dialer._link
                assert link is not None
                # No timer comes to its help within the time that a close takes at most.
                await until(lambda: link._timer_at - link.now > 8_000_000_000)
            assert not loopback.members[0].container.sessions()

    asyncio.run(body())


def test_a_member_that_goes_on_knowing_no_leader_is_left_for_another() -> None:
    class Member(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport

        def data_received(self, data: bytes) -> None:
            self._transport.write(encode_message(Redirect("")))

    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            server = await asyncio.get_running_loop().create_server(Member, "127.0.0.1", 0)
            address = join_address(*server.sockets[0].getsockname()[:2])
            async with ClusterClient.connect([address, *loopback.addresses]) as client:
                assert client.address == loopback.addresses[0]
            server.close()

    asyncio.run(body())


@pytest.mark.parametrize("window_bytes", [1, 100])
def test_who_waits_for_the_window_goes_on_with_an_acknowledgement_alone(window_bytes: int) -> None:
    async def body() -> None:
        settings = SessionSettings(window_bytes=window_bytes)
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            async with ClusterClient.connect(loopback.addresses, settings=settings) as client:
                for _ in range(10):
                    while client.can_offer:
                        client.offer(b"quiet")
                    await client.ready()
                messages = [b"%d" % number for number in range(20)]
                answers = await asyncio.gather(*map(client.request, messages))
                assert answers == messages, "of all that wake those wait again that find no room"

    asyncio.run(body())


def test_members_that_fail_are_dialled_less_and_less_often() -> None:
    attempts = 0

    class Member(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            nonlocal attempts
            attempts += 1
            transport.close()

    async def body() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Member, "127.0.0.1", 0)
        address = join_address(*server.sockets[0].getsockname()[:2])
        begun = loop.time()
        with pytest.raises(NotConnected):
            await ClusterClient.connect([address], timeout=0.5)
        took_ns = int((loop.time() - begun) * 1e9)
        server.close()
        delay_ns, waits, waited_ns = BACKOFF_MIN_NS, 0, 0
        while waited_ns <= took_ns:
            waited_ns += min(delay_ns, BACKOFF_MAX_NS)
            delay_ns, waits = 2 * delay_ns, waits + 1
        assert attempts <= waits + 1

    asyncio.run(body())
