"""What clients meet while the log has no room, and when it has some again."""

from __future__ import annotations

import asyncio

import pytest

from quorate.client import ClusterClient
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_messages import (
    Close,
    Closed,
    Credit,
    KeepAlive,
    Opened,
    Redirect,
    Rewind,
)
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import RawClient, cluster, heard, led, refused, run, until


def test_ingress_is_refused_and_asked_for_again_from_where_it_was() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await client.attach()
        client.ingress(1, b"a")
        await client.answers(1)
        gateway.refuse_ingress()
        client.ingress(2, b"b", b"c")
        client.ingress(4, b"d")
        await until(lambda: refused(loopback, "storage-full") > 0)
        client.say(KeepAlive())
        assert isinstance(await client.expect(Credit), Credit)
        assert heard(loopback) == [b"a"]
        gateway.take_ingress()
        assert (await client.expect(Rewind)).sequence == 2
        client.ingress(5, b"sent before the client has read the rewind")
        client.ingress(2, b"b", b"c", b"d")
        assert await client.answers(3) == [(2, b"b"), (3, b"c"), (4, b"d")]
        assert heard(loopback) == [b"a", b"b", b"c", b"d"]

    led(test)


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 3, 1)])
def test_of_all_that_was_refused_the_first_is_asked_for(order: tuple[int, ...]) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await client.attach()
        gateway.refuse_ingress()
        for count, sequence in enumerate(order, 1):
            client.ingress(sequence, b"%d" % sequence)
            await until(lambda expected=count: refused(loopback, "storage-full") == expected)  # type: ignore[misc]
        gateway.take_ingress()
        assert (await client.expect(Rewind)).sequence == 1

    led(test)


def test_nothing_is_asked_for_that_is_in_the_log_already() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await client.attach()
        loopback.hold()
        client.ingress(1, b"a")
        await until(lambda: loopback.appended == 2)
        gateway.refuse_ingress()
        client.ingress(2, b"b")
        await until(lambda: refused(loopback, "storage-full") == 1)
        gateway.take_ingress()
        assert (await client.expect(Rewind)).sequence == 2
        client.ingress(2, b"b")
        loopback.release()
        assert await client.answers(2) == [(1, b"a"), (2, b"b")]

    led(test)


def test_a_client_is_never_asked_for_what_it_knows_to_be_applied() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await client.attach()
        client.ingress(1, b"a", b"b")
        await client.answers(2)
        gateway.refuse_ingress()
        client.ingress(2, b"b", b"c")
        await until(lambda: refused(loopback, "storage-full") > 0)
        gateway.take_ingress()
        assert (await client.expect(Rewind)).sequence == 3

    led(test)


def test_of_what_is_refused_behind_a_gap_nothing_but_the_gap_is_asked_for() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await client.attach()
        client.ingress(2, b"b")
        assert (await client.expect(Rewind)).sequence == 1
        gateway.refuse_ingress()
        client.ingress(3, b"c")
        await until(lambda: refused(loopback, "storage-full") == 1)
        gateway.take_ingress()
        client.ingress(1, b"a", b"b", b"c")
        assert len(await client.answers(3)) == 3, "no rewind to what was refused"
        client.ingress(5, b"e")
        assert (await client.expect(Rewind)).sequence == 4
        gateway.refuse_ingress()
        client.ingress(4, b"d", b"e")
        await until(lambda: refused(loopback, "storage-full") == 2)
        gateway.take_ingress()
        assert (await client.expect(Rewind)).sequence == 4, "once more, for that was refused"

    led(test)


def test_a_log_that_has_room_and_is_said_to_has_nobody_asked_twice() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        gateway.take_ingress()
        assert loopback.appended == 1
        loopback.release()
        await client.expect(Opened)
        client.writer.close()
        await until(lambda: not gateway.connections)
        loopback.advance(29)
        gateway.take_ingress()
        loopback.advance(2)
        loopback.turn()
        assert not loopback.members[0].container.sessions(), "nor given its time anew"

    led(test)


def test_an_open_that_is_in_the_log_outlasts_a_time_without_room() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        gateway.refuse_ingress()
        gateway.take_ingress()
        assert loopback.appended == 1, "it is there already"
        loopback.release()
        await client.expect(Opened)

    led(test)


def test_of_connections_that_are_gone_nothing_is_kept_while_it_lasts() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await client.attach()
        gateway.refuse_ingress()
        client.ingress(1, b"a")
        await until(lambda: refused(loopback, "storage-full") == 1)
        (served,) = gateway.connections
        assert gateway._full_log.has_refused(served)
        client.writer.close()
        await until(lambda: not gateway.connections)
        assert not gateway._full_log.has_refused(served)

    led(test)


def test_no_credit_is_granted_while_the_log_is_full() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        granted = (await client.attach()).credit
        gateway.refuse_ingress()
        sequence, sent = 1, 0
        while sent < granted:
            client.ingress(sequence, bytes(1020))
            sequence, sent = sequence + 1, sent + 1024
        await until(lambda: refused(loopback, "storage-full") > 0)
        for _ in range(3):
            await asyncio.sleep(0.03)
            client.say(KeepAlive())
            assert (await client.expect(Credit)).bytes_max == granted
        gateway.take_ingress()
        await client.expect(Rewind)
        assert (await client.expect(Credit)).bytes_max > granted

    led(test)


def test_opens_wait_until_there_is_room() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        gateway.refuse_ingress()
        client.open()
        await until(lambda: refused(loopback, "storage-full") == 1)
        client.say(KeepAlive())
        assert isinstance(await client.hear(), Credit)
        assert loopback.appended == 0
        gateway.take_ingress()
        await client.expect(Opened)

    led(test)


def test_closes_go_on_and_nothing_expires() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        await client.attach()
        async with RawClient(loopback.addresses[0]) as other:
            await other.attach(key=b"o" * 16)
            gateway.refuse_ingress()
            client.say(Close(client.session_id))
            assert (await client.expect(Closed)).reason == CloseReason.CLIENT
        await until(lambda: len(gateway.connections) == 0 or gateway.attached_sessions == 0)
        for _ in range(3):
            loopback.advance(60)
        assert len(list(loopback.members[0].container.sessions())) == 1
        gateway.take_ingress()
        loopback.advance(1)
        assert len(list(loopback.members[0].container.sessions())) == 1
        for _ in range(3):
            loopback.advance(60)
        assert not list(loopback.members[0].container.sessions())

    led(test)


def test_a_client_that_closes_meanwhile_loses_nothing() -> None:
    async def test() -> None:
        async with cluster() as loopback:
            loopback.lead()
            gateway = loopback.members[0].gateway
            client = await ClusterClient.connect(loopback.addresses)
            gateway.refuse_ingress()
            request = asyncio.ensure_future(client.request(b"last"))
            await until(lambda: refused(loopback, "storage-full") > 0)
            closing = asyncio.ensure_future(client.close(timeout=60))
            await until(lambda: not client.can_offer)
            loopback.turn()
            gateway.take_ingress()
            await closing
            assert await request == b"last"
            assert heard(loopback) == [b"last"]
            assert not loopback.members[0].container.sessions()

    run(test)


def test_a_leader_that_begins_with_a_full_log_lets_nobody_in_before_there_is_room() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        session = (await client.attach()).cluster_session_id
        loopback.resign()
        gateway.refuse_ingress()
        loopback.lead()
        async with RawClient(loopback.addresses[0]) as again:
            again.open(session)
            await until(lambda: refused(loopback, "storage-full") == 1)
            gateway.take_ingress()
            assert (await again.expect(Opened)).cluster_session_id == session

    led(test)


def test_who_waits_for_a_leader_waits_on_while_its_log_is_full() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        loopback.resign()
        client.open()
        assert await client.hear() == Redirect("")
        gateway.refuse_ingress()
        loopback.lead()
        assert loopback.appended == 0
        gateway.take_ingress()
        await client.expect(Opened)

    led(test)


def test_a_leader_deposed_while_its_log_is_full_appends_nothing_more() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        member = loopback.members[0]
        member.gateway.refuse_ingress()
        client.open()
        await until(lambda: refused(loopback, "storage-full") == 1)
        member.serving = False
        member.gateway.take_ingress()
        assert loopback.appended == 0
        member.gateway.on_serving_changed()
        assert await client.hear() == Redirect(loopback.addresses[0])
        loopback.lead()
        assert await client.hear() == Redirect("")
        await client.expect(Opened)

    led(test)


def test_a_client_waits_with_its_messages_and_loses_none() -> None:
    async def test() -> None:
        async with cluster() as loopback:
            loopback.lead()
            gateway = loopback.members[0].gateway
            async with ClusterClient.connect(loopback.addresses) as client:
                assert await client.request(b"first") == b"first"
                gateway.refuse_ingress()
                asked = [asyncio.ensure_future(client.request(b"%d" % n)) for n in range(50)]
                await until(lambda: refused(loopback, "storage-full") > 0)
                # Longer than a client waits for a sign of life.
                await asyncio.sleep(1.2)
                assert not any(task.done() for task in asked)
                gateway.take_ingress()
                assert await asyncio.gather(*asked) == [b"%d" % n for n in range(50)]
                assert client.counters.connections == 1
            assert heard(loopback) == [b"first", *(b"%d" % n for n in range(50))]

    run(test)
