"""Who gets which session: raw connections against real gateways."""

from __future__ import annotations

import pytest

from quorate.config import ClusterSettings, GatewayConfig
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Close,
    Closed,
    Credit,
    EgressAcknowledge,
    Error,
    Ingress,
    KeepAlive,
    LinkError,
    Open,
    Opened,
    Redirect,
)
from quorate.service.api import ClientSession
from quorate_loopback import LoopbackCluster, ParrotService
from quorate_loopback.cluster import CLUSTER_ID
from quorate_loopback.raw_client import KEY, RawClient, led, refused, run, until


def test_opens_a_session_when_its_entry_is_committed() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        client.say(KeepAlive())
        assert isinstance(await client.hear(), Credit), "a sign of life, and no session yet"
        loopback.release()
        opened = await client.expect(Opened)
        assert opened.ingress_applied == 0
        assert opened.members == (loopback.addresses[0],)
        assert opened.message_bytes_max == loopback.settings.message_bytes_max
        assert opened.cluster_session_id == loopback.members[0].container.sessions()[0].session_id

    led(test)


def test_an_open_of_a_live_key_is_a_resume_and_closes_the_older_connection() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        first = await client.attach()
        client.ingress(1, b"a", b"b")
        assert await client.answers(2) == [(1, b"a"), (2, b"b")]
        async with RawClient(loopback.addresses[0]) as second:
            opened = await second.attach(received=1)
            assert opened.cluster_session_id == first.cluster_session_id
            assert opened.ingress_applied == 2
            assert await second.answers(1) == [(2, b"b")]
            await second.acknowledged(2)
            assert Error(LinkError.REPLACED) in await client.expect_end()

    led(test)


def test_two_opens_of_one_key_make_one_session_for_the_younger_connection() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        async with RawClient(loopback.addresses[0]) as second:
            second.open()
            assert await client.expect_end() == [Error(LinkError.REPLACED)]
            loopback.release()
            await second.expect(Opened)
            assert loopback.appended == 1
            assert len(loopback.members[0].container.sessions()) == 1

    led(test)


def test_a_connection_that_has_ended_takes_no_session_from_another() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        async with RawClient(loopback.addresses[0]) as second:
            resume = Open(1, 1, ANY_CLUSTER, KEY, client.session_id, 0, 0, "raw")
            second.say(resume, Credit(1))
            assert await second.expect_end() == [Error(LinkError.MALFORMED)]
            assert loopback.appended == 2
            client.ingress(1, b"a")
            assert await client.answers(1) == [(1, b"a")]
        await until(lambda: loopback.members[0].gateway.attached_sessions == 1)

    led(test)


@pytest.mark.parametrize("named", [4096, 1])
def test_an_open_that_names_a_session_never_makes_one(named: int) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        client.open(named)
        assert await client.expect_end() == [Closed(named, CloseReason.EXPIRED)]
        assert loopback.members[0].container.sessions() == []
        assert refused(loopback, "not-live") == 1

    led(test)


def test_who_names_a_session_that_is_over_is_told_so_though_there_is_no_room_for_another() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        async with RawClient(loopback.addresses[0]) as late:
            late.open(1, key=b"l" * 16)
            assert await late.expect_end() == [Closed(1, CloseReason.EXPIRED)]
        assert (refused(loopback, "sessions"), refused(loopback, "not-live")) == (0, 1)

    led(test, settings=ClusterSettings(sessions_max=1))


def test_only_the_holder_of_the_key_resumes_a_session() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        opened = await client.attach()
        async with RawClient(loopback.addresses[0]) as thief:
            thief.open(opened.cluster_session_id, key=b"t" * 16)
            assert await thief.expect_end() == [
                Closed(opened.cluster_session_id, CloseReason.EXPIRED)
            ]
        client.ingress(1, b"a")
        assert await client.answers(1) == [(1, b"a")]

    led(test)


def test_a_resume_is_answered_by_the_log_and_not_from_memory() -> None:
    """A leader that was replaced and does not know it must not say how far a session is."""

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        opened = await client.attach()
        before = loopback.appended
        async with RawClient(loopback.addresses[0]) as again:
            again.open(opened.cluster_session_id)
            await again.expect(Opened)
            assert loopback.appended == before + 1

    led(test)


def test_a_session_beyond_the_limit_is_closed_with_that_reason() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        async with RawClient(loopback.addresses[0]) as second:
            second.open(key=b"2" * 16)
            (closed,) = await second.expect_end()
            assert isinstance(closed, Closed)
            assert closed.reason == CloseReason.SESSIONS

    led(test, settings=ClusterSettings(sessions_max=1))


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (Open(2, 3, ANY_CLUSTER, KEY, 0, 0, 0, ""), LinkError.VERSION, "version"),
        (Open(1, 1, b"other" + bytes(11), KEY, 0, 0, 0, ""), LinkError.CLUSTER_ID, "cluster-id"),
        (Ingress(1, 1, 0, 1, b"0000"), LinkError.MALFORMED, "malformed"),
        (EgressAcknowledge(1, 1), LinkError.MALFORMED, "malformed"),
        (Close(1), LinkError.MALFORMED, "malformed"),
        (Opened(1, 0, 1, 0, 0, 0, 0, 0, ()), LinkError.MALFORMED, "malformed"),
        (Redirect("a:1"), LinkError.MALFORMED, "malformed"),
    ],
)
def test_what_cannot_begin_a_conversation_ends_the_connection(
    message: ClientLinkMessage, code: LinkError, reason: str
) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        client.say(message)
        assert await client.expect_end() == [Error(code)]
        assert refused(loopback, reason) == 1
        assert loopback.appended == 0

    led(test)


@pytest.mark.parametrize("is_attached", [True, False])
def test_a_second_open_on_one_connection_ends_it_and_not_the_session(*, is_attached: bool) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        if is_attached:
            await client.attach()
        else:
            loopback.hold()
            client.open()
            await until(lambda: loopback.appended == 1)
        client.open()
        assert Error(LinkError.MALFORMED) in await client.expect_end()
        assert refused(loopback, "malformed") == 1
        assert loopback.appended == 1
        loopback.release()
        assert loopback.members[0].container.sessions_count == 1

    led(test)


def test_a_younger_connection_that_names_another_session_of_its_key_is_told_that_it_is_over() -> (
    None
):
    """The entry that both wait for named none, so the log itself refuses nothing."""

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        async with RawClient(loopback.addresses[0]) as second:
            second.open(1)
            assert await client.expect_end() == [Error(LinkError.REPLACED)]
            loopback.release()
            assert await second.expect_end() == [Closed(1, CloseReason.EXPIRED)]
        assert refused(loopback, "not-live") == 1
        async with RawClient(loopback.addresses[0]) as third:
            await third.attach()
            third.ingress(1, b"a")
            assert await third.answers(1) == [(1, b"a")]

    led(test)


def test_a_session_is_opened_for_a_client_that_is_gone_and_found_when_it_comes_back() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        gateway = loopback.members[0].gateway
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        client.writer.transport.abort()
        await until(lambda: not gateway.connections)
        loopback.release()
        (session,) = loopback.members[0].container.session_ids()
        async with RawClient(loopback.addresses[0]) as again:
            assert (await again.attach()).cluster_session_id == session

    led(test)


class Bouncer(ParrotService):
    """Lets nobody in."""

    def on_session_open(self, session: ClientSession, timestamp: int) -> None:
        """Close it before it has begun."""
        session.close()


def test_a_session_that_the_service_closes_as_it_opens_is_closed_for_that_reason() -> None:
    async def body() -> None:
        async with LoopbackCluster(1, service=Bouncer) as loopback:
            loopback.lead()
            for _ in range(2):
                async with RawClient(loopback.addresses[0]) as client:
                    client.open()
                    (closed,) = await client.expect_end()
                    assert isinstance(closed, Closed)
                    assert closed.reason == CloseReason.SERVICE
            assert refused(loopback, "not-live") == 0

    run(body)


def test_the_right_cluster_id_is_let_in() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        client.say(Open(1, 1, bytes(CLUSTER_ID), KEY, 0, 0, 0, ""))
        await client.expect(Opened)

    led(test)


def test_a_close_that_was_lost_with_its_leader_is_made_again() -> None:
    """Else a session that nobody wants any more would be kept for ever."""

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.hold()
        before = loopback.appended
        client.say(Close(client.session_id))
        await until(lambda: loopback.appended == before + 1)
        loopback.resign(lose_uncommitted=True)
        loopback.lead()
        await client.expect(Redirect)
        await client.attach(client.session_id)
        client.say(Close(client.session_id))
        await client.expect(Closed)
        assert not loopback.members[0].container.sessions()

    led(test)


def test_who_has_used_up_its_credit_is_heard_when_it_asks_the_next_leader() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.hold()
        for first in (1, 2, 3):
            client.ingress(first, b"quiet" + bytes(600))
        await until(lambda: refused(loopback, "overrun") == 1)
        loopback.resign(lose_uncommitted=True)
        assert (await client.expect(Redirect)).address == ""
        client.open(client.session_id)
        loopback.lead()
        assert (await client.expect(Opened)).ingress_applied == 0

    led(test, config=GatewayConfig(credit_bytes=1000))


def test_what_is_acknowledged_is_not_put_into_the_log_again_after_a_resume() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"a")
        await client.answers(1)
        client.say(EgressAcknowledge(client.session_id, 1))
        await until(lambda: loopback.appended == 3)
        async with RawClient(loopback.addresses[0]) as again:
            await again.attach(client.session_id, received=1)
            appended = loopback.appended
            again.say(EgressAcknowledge(client.session_id, 1), KeepAlive())
            await again.expect(Credit)
            assert loopback.appended == appended

    led(test)


def test_a_leader_remembers_no_close_beyond_its_session() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        doorkeeper = loopback.members[0].gateway._doorkeeper
        loopback.hold()
        client.say(Close(client.session_id))
        await until(lambda: doorkeeper.closing == {client.session_id})
        loopback.release()
        await client.expect(Closed)
        assert doorkeeper.closing == set()
        assert doorkeeper.attached == {}

    led(test)


def test_a_session_that_ends_is_no_refusal() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.advance(31)
        assert (await client.expect(Closed)).reason == CloseReason.EXPIRED
        assert refused(loopback, "not-live") == 0

    led(test)


@pytest.mark.parametrize("ended_by", ["client", "silence"])
def test_the_end_of_a_session_is_no_open_of_one_that_is_not_live(ended_by: str) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        if ended_by == "client":
            client.say(Close(client.session_id))
        else:
            loopback.advance(31)
        await client.expect(Closed)
        assert refused(loopback, "not-live") == 0

    led(test)
