"""The whole client against real gateways and containers; the test plays consensus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from quorate.client import (
    AuthenticationRejected,
    ClusterClient,
    IngressBackPressure,
    MessageTooLarge,
    NotConnected,
    OutcomeUnknown,
    ServiceError,
    SessionClosed,
    SessionSettings,
)
from quorate.client.inbox import UNCLAIMED_MESSAGES_MAX
from quorate.config import ClusterSettings, Durability
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import encode_error, encode_redirect
from quorate.protocol.session_messages import LinkError
from quorate_loopback import LoopbackCluster, ParrotService
from quorate_loopback.fake_member import fake_member
from quorate_loopback.raw_client import cluster, heard

PATIENCE_S = 60.0
Body = Callable[[LoopbackCluster, ClusterClient], Coroutine[None, None, None]]
Runner = Callable[[Coroutine[None, None, None]], None]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition may be any state
            await asyncio.sleep(0)


async def settled(what: Callable[[], int]) -> None:
    """Wait until what both ends in this loop are doing has come to rest."""
    turns, before = 0, what()
    async with asyncio.timeout(PATIENCE_S):
        while turns < 100:
            await asyncio.sleep(0)
            turns, before = turns + 1 if what() == before else 0, what()


def connected(
    test: Body, members: int = 1, *, run: Runner = asyncio.run, **options: object
) -> None:
    """Run a test with a cluster that member 0 leads, and a client of it."""

    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster(members, **options) as loopback:
            loopback.lead()
            async with ClusterClient.connect(loopback.addresses, name="test") as client:
                await test(loopback, client)

    run(body())


# Requests


def test_a_request_returns_the_first_answer_and_the_others_are_received() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        assert await client.request(b"twice") == b"twice"
        async for received in client.receive():
            assert received == (1, b"twice", None)
            break

    connected(test)


def test_a_request_that_is_applied_without_an_answer_returns_none() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        assert await client.request(b"quiet") is None
        assert heard(loopback) == [b"quiet"]

    connected(test)


def test_a_request_whose_callback_failed_raises_with_code_and_position() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        with pytest.raises(ServiceError) as raised:
            await client.request(b"fail")
        assert raised.value.code == 1
        assert raised.value.log_position > client.cluster_session_id
        assert await client.request(b"next") == b"next"

    connected(test)


def test_requests_of_one_loop_turn_travel_together_and_are_paired() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        messages = [b"%d" % number for number in range(200)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.request(message)) for message in messages]
        assert [task.result() for task in tasks] == messages
        assert loopback.members[0].gateway.ingress_batches == 1

    connected(test)


def test_a_request_that_times_out_stays_pending_and_its_answer_is_received() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        loopback.hold()
        with pytest.raises(TimeoutError):
            await client.request(b"late", timeout=0.05)
        loopback.release()
        async for received in client.receive():
            assert received.message == b"late"
            break
        assert heard(loopback) == [b"late"]

    connected(test)


# Streaming


def test_offers_are_acknowledged_in_order_and_flush_waits_for_all() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        assert [client.offer(b"quiet") for _ in range(3)] == [1, 2, 3]
        await client.wait_acknowledged(2)
        await client.flush()
        await client.wait_acknowledged(1)
        assert client.acknowledged_sequence == client.last_sequence == 3
        assert client.pending_bytes == 0

    connected(test)


def test_a_stream_beyond_window_and_credit_arrives_whole_and_once() -> None:
    async def body() -> None:
        got: list[tuple[int, bytes]] = []
        settings = SessionSettings(window_bytes=100_000)
        async with asyncio.timeout(PATIENCE_S), cluster(3) as loopback:
            loopback.lead(1)
            async with ClusterClient.connect(
                loopback.addresses, settings=settings, on_egress=lambda *item: got.append(item)
            ) as client:
                refused = 0
                for number in range(20_000):
                    if not client.can_offer:
                        with pytest.raises(IngressBackPressure):
                            client.offer(b"x")
                        refused += 1
                        await client.ready()
                    client.offer(b"%d" % number)
                    if number == 10_000:
                        loopback.resign(lose_uncommitted=True)
                        loopback.lead(2)
                await client.flush()
                assert refused
                assert client.counters.resumptions == 1
        assert got == [(number + 1, b"%d" % number) for number in range(20_000)]
        assert heard(loopback, 0) == [message for _, message in got]

    asyncio.run(body())


def test_a_message_too_large_is_refused_at_once() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        with pytest.raises(MessageTooLarge):
            client.offer(bytes(101))
        assert await client.request(bytes(100)) == bytes(100)

    connected(test, settings=ClusterSettings(message_bytes_max=100))


def test_a_failing_callback_of_the_application_loses_nothing() -> None:
    async def body() -> None:
        got: list[bytes] = []
        reported: list[object] = []

        def on_egress(sequence: int, message: bytes) -> None:
            got.append(message)
            if message == b"2":
                raise ValueError("theirs")

        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context["exception"])
        )
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            async with ClusterClient.connect(loopback.addresses, on_egress=on_egress) as client:
                for message in (b"1", b"2", b"3"):
                    client.offer(message)
                await client.flush()
                assert client.counters.callback_failures == 1
        assert got == [b"1", b"2", b"3"]
        assert len(reported) == 1

    asyncio.run(body())


def test_errors_of_offers_reach_their_callback_or_the_receiver() -> None:
    async def body() -> None:
        errors: list[int] = []
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            async with ClusterClient.connect(
                loopback.addresses,
                on_egress=lambda *_: None,
                on_error=lambda sequence, _: errors.append(sequence),
            ) as client:
                client.offer(b"fail")
                await client.flush()
            async with ClusterClient.connect(loopback.addresses) as client:
                client.offer(b"fail")
                async for received in client.receive():
                    assert isinstance(received.error, ServiceError)
                    break
        assert errors == [1]

    asyncio.run(body())


def test_an_error_that_no_callback_takes_is_counted_and_shown() -> None:
    async def body() -> None:
        shown: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context))
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            connecting = ClusterClient.connect(loopback.addresses, on_egress=lambda *_: None)
            async with connecting as client:
                client.offer(b"fail")
                await client.flush()
                assert client.counters.unclaimed == 1
                assert client.counters.callback_failures == 0
        (context,) = shown
        assert isinstance(context["exception"], ServiceError)
        assert "without on_error" in str(context["message"])

    asyncio.run(body())


def test_a_callback_for_errors_needs_one_for_the_rest() -> None:
    with pytest.raises(TypeError, match="on_error without on_egress"):
        ClusterClient.connect(["127.0.0.1:9010"], on_error=lambda *_: None)


def test_egress_that_nobody_receives_is_bounded() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        await client.request(b"burst %d 1" % (UNCLAIMED_MESSAGES_MAX + 11))
        await client.request(b"next")
        assert client.counters.unclaimed == 10

    connected(test)


def test_a_slow_receiver_stops_reading_and_misses_nothing() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        received = client.receive()
        client.offer(b"first")
        assert (await anext(received)).message == b"first"
        for _ in range(10):
            client.offer(b"burst 20 100000")
        await until(lambda: loopback.members[0].container.sessions()[0].last_egress_sequence == 201)
        for _ in range(200):
            assert len((await anext(received)).message) == 100_000
        await client.flush()
        assert client.counters.resumptions == 0

    connected(test, settings=ClusterSettings(kept_egress_bytes_max=1 << 26))


def test_a_slow_receiver_is_not_sent_everything_however_often_it_reconnects() -> None:
    """What neither the inbox nor the sockets have room for waits in the cluster."""
    count, length = 600, 100_000

    def has_resumed(client: ClusterClient, before: int) -> bool:
        if client.can_offer:
            # Who does not read learns by writing that a connection is gone.
            client.offer(b"quiet")
        return client.counters.resumptions > before

    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        gateway = loopback.members[0].gateway
        received = client.receive()
        client.offer(b"first")
        assert (await anext(received)).message == b"first"
        client.offer(b"burst %d %d" % (count, length))
        for reconnects in range(3):
            (connection,) = gateway.connections
            await until(lambda at=connection: at.is_lagging)  # type: ignore[misc]
            await settled(lambda at=connection: at.buffered_bytes)  # type: ignore[misc]
            assert connection.egress_sent < count
            connection.abort()
            await until(lambda over=reconnects: has_resumed(client, over))  # type: ignore[misc]
        for _ in range(count):
            assert len((await anext(received)).message) == length
        await client.flush()

    # As members run: on asyncio's loop in Python 3.13.0 and its like no gateway learns of a lag.
    connected(test, run=uvloop.run, settings=ClusterSettings(kept_egress_bytes_max=1 << 27))


# Members that come and go


def test_a_session_outlives_its_leader() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        session_id = client.cluster_session_id
        for seat in (1, 2, 0):
            loopback.hold()
            request = asyncio.ensure_future(client.request(b"over %d" % seat))
            await asyncio.sleep(0)
            loopback.resign(lose_uncommitted=True)
            loopback.lead(seat)
            assert await request == b"over %d" % seat
            assert client.address == loopback.addresses[seat]
        assert client.cluster_session_id == session_id
        assert heard(loopback) == [b"over 1", b"over 2", b"over 0"]

    connected(test, members=3)


def test_leadership_lost_and_regained_on_one_connection() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        client.offer(b"a")
        loopback.resign(lose_uncommitted=True)
        client.offer(b"b")
        loopback.lead()
        await client.flush()
        assert heard(loopback) == [b"a", b"b"]
        assert client.counters.connections == 1
        assert client.counters.resumptions == 1

    connected(test)


def test_finds_the_leader_from_any_member_and_behind_dead_addresses() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster(3) as loopback:
            loopback.lead(2)
            dead, address = await fake_member()
            dead.close()
            async with ClusterClient.connect([address, loopback.addresses[0]]) as client:
                assert client.address == loopback.addresses[2]
                assert client.durability is Durability.FSYNC

    asyncio.run(body())


def test_members_that_redirect_to_each_other_do_not_hold_a_client_for_ever() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            second, address = await fake_member()
            first, loop_address = await fake_member(encode_redirect(address))
            second.close()
            again, _ = await fake_member(encode_redirect(loop_address))
            addresses = [loop_address, *loopback.addresses]
            async with ClusterClient.connect(addresses) as client:
                assert await client.request(b"x") == b"x"
            first.close()
            again.close()

    asyncio.run(body())


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH_9.2\r\n", encode_error(LinkError.OVERLOADED)])
def test_a_member_that_is_none_is_left_for_another(says: bytes) -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            server, address = await fake_member(says)
            async with ClusterClient.connect([address, *loopback.addresses]) as client:
                assert client.address == loopback.addresses[0]
            server.close()

    asyncio.run(body())


def test_a_frozen_member_is_left_for_another() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            server, address = await fake_member()
            async with ClusterClient.connect([address, *loopback.addresses]) as client:
                assert client.address == loopback.addresses[0]
            server.close()

    asyncio.run(body())


# Ends


def test_an_expired_session_ends_what_was_sent_as_unknown_and_opens_no_other() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        loopback.hold()
        request = asyncio.ensure_future(client.request(b"unknown"))
        await until(lambda: loopback.appended == 2)
        loopback.resign(lose_uncommitted=True)
        loopback.lead()
        loopback.members[0].gateway.append_close(client.cluster_session_id, CloseReason.EXPIRED)
        with pytest.raises(OutcomeUnknown, match="expired"):
            await request
        with pytest.raises(SessionClosed, match="has ended: expired; connect anew") as offered:
            client.offer(b"x")
        assert offered.value.reason == "expired"
        with pytest.raises(SessionClosed, match="expired"):
            await client.request(b"x")
        with pytest.raises(SessionClosed, match="expired"):
            async for _ in client.receive():
                pass
        assert loopback.members[0].container.sessions() == []

    connected(test)


def test_what_was_never_sent_ends_as_closed_and_not_as_unknown() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        session_id = client.cluster_session_id
        loopback.resign()
        loopback.lead()
        request = asyncio.ensure_future(client.request(b"never"))
        await asyncio.sleep(0)
        loopback.members[0].gateway.append_close(session_id, CloseReason.ADMINISTRATOR)
        with pytest.raises((SessionClosed, OutcomeUnknown)) as raised:
            await request
        assert (raised.type is SessionClosed) == (heard(loopback) == [])

    connected(test)


def test_a_service_that_closes_the_session_is_named_as_the_reason() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        with pytest.raises(OutcomeUnknown, match="service"):
            await client.request(b"close")
        with pytest.raises(OutcomeUnknown):
            await client.wait_acknowledged(1)

    connected(test)


def test_close_delivers_what_was_offered_before() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            client.offer(b"last")
            await client.close()
            await client.close()
            assert heard(loopback) == [b"last"]
            service = loopback.members[0].service
            assert isinstance(service, ParrotService)
            assert [reason for _, reason in service.closed] == [CloseReason.CLIENT]
            assert [m.message async for m in client.receive()] == [b"last"]
            with pytest.raises(SessionClosed, match="closed by this client"):
                client.offer(b"more")

    asyncio.run(body())


def test_close_gives_up_on_a_cluster_that_cannot_be_told() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            loopback.hold()
            sequence = client.offer(b"x")
            waiter = asyncio.ensure_future(client.wait_acknowledged(sequence))
            await until(lambda: loopback.appended == 2)
            await client.close(timeout=0.05)
            with pytest.raises(OutcomeUnknown):
                await waiter

    asyncio.run(body())


def test_connecting_without_a_leader_ends_in_time_and_leaves_nothing_behind() -> None:
    async def body() -> None:
        async with cluster() as loopback:
            with pytest.raises(NotConnected, match="within"):
                await ClusterClient.connect(loopback.addresses, timeout=0.1)
            await until(lambda: not loopback.members[0].gateway.connections)
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(body())


def test_another_cluster_refuses_the_client() -> None:
    async def body() -> None:
        async with cluster() as loopback:
            loopback.lead()
            with pytest.raises(AuthenticationRejected, match="another cluster"):
                await ClusterClient.connect(loopback.addresses, cluster_id=b"x" * 16)

    asyncio.run(body())


@pytest.mark.parametrize(
    ("addresses", "name", "cluster_id", "message"),
    [
        (["nowhere"], "", None, "host:port"),
        ([], "", None, "127.0.0.1:9010"),
        (["a:1"], "é" * 129, None, "258 bytes exceeds 256"),
        (["a:1"], "", b"short", "16 bytes, not 5"),
    ],
)
def test_what_can_never_be_connected_is_refused_before_anything_happens(
    addresses: list[str], name: str, cluster_id: bytes | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterClient.connect(addresses, name=name, cluster_id=cluster_id)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_a_time_in_which_nobody_can_be_reached_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match=f"timeout is {timeout}, not"):
        ClusterClient.connect(["a:1"], timeout=timeout)


def test_whoever_names_one_address_instead_of_a_list_is_told_so() -> None:
    with pytest.raises(TypeError, match=r"a list, such as \['127.0.0.1:9010'\]"):
        ClusterClient.connect("127.0.0.1:9010")


def test_a_client_that_reaches_nobody_says_why() -> None:
    async def body() -> None:
        server, address = await fake_member()
        server.close()
        await server.wait_closed()
        with pytest.raises(NotConnected, match=r"within 1 s at .* \(Connection refused\)"):
            await ClusterClient.connect([address], timeout=1)

    asyncio.run(body())


def test_a_session_that_the_cluster_has_no_room_for_is_said_to_have_ended() -> None:
    async def test(loopback: LoopbackCluster, client: ClusterClient) -> None:
        with pytest.raises(SessionClosed, match="the session has ended: sessions"):
            await ClusterClient.connect(loopback.addresses)

    connected(test, settings=ClusterSettings(sessions_max=1))


@pytest.mark.parametrize("ended_by", ["cluster", "service", "client"])
def test_whoever_ends_a_session_nothing_is_dialled_behind_its_end(ended_by: str) -> None:
    async def body() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, failure: failures.append(failure)
        )
        async with asyncio.timeout(PATIENCE_S), cluster(2) as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            gateway = loopback.members[0].gateway
            match ended_by:
                case "cluster":
                    gateway.append_close(client.cluster_session_id, CloseReason.EXPIRED)
                case "service":
                    client.offer(b"close")
                case _:
                    await client.close()
            await until(lambda: len(asyncio.all_tasks()) == 1)
            await until(lambda: not gateway.connections)
            assert client.counters.connections == 1
            await client.close()
        assert failures == []

    asyncio.run(body())


def test_a_close_that_is_cancelled_leaves_nothing_behind() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            loopback.hold()
            request = asyncio.ensure_future(client.request(b"x"))
            await until(lambda: loopback.appended == 2)
            closing = asyncio.ensure_future(client.close())
            await until(lambda: client._ingress.is_stopped)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            with pytest.raises(OutcomeUnknown):
                await request
            assert len(asyncio.all_tasks()) == 1
            await until(lambda: not loopback.members[0].gateway.connections)

    asyncio.run(body())
