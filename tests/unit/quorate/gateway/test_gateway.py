"""Raw connections against real gateways; the test plays client and consensus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import pytest

from quorate.config import ClusterConstants, ClusterSettings, GatewayConfig, split_address
from quorate.gateway.gateway import batch_bytes_max
from quorate.protocol.batch import decode_egress_batch, encode_ingress_batch
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.session_codec import (
    ANY_CLUSTER,
    EGRESS_MESSAGE_BYTES_MAX,
    MessageSplitter,
    decode_message,
    encode_message,
)
from quorate.protocol.session_messages import (
    ClientLinkMessage,
    Close,
    Closed,
    Credit,
    Egress,
    EgressAcknowledge,
    Error,
    Ingress,
    KeepAlive,
    LinkError,
    Open,
    Opened,
    Redirect,
    Rewind,
)
from quorate_loopback import LoopbackCluster, ParrotService
from quorate_loopback.cluster import CLUSTER_ID

T = TypeVar("T", bound=ClientLinkMessage)
KEY = b"k" * 16
PATIENCE_S = 10.0


class RawClient:
    """A connection that says exactly what it is told to."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._splitter = MessageSplitter(EGRESS_MESSAGE_BYTES_MAX)
        self._heard: list[ClientLinkMessage] = []
        self.session_id = 0
        self.opened: Opened | None = None

    async def __aenter__(self) -> Self:
        host, port = split_address(self._address)
        self.reader, self.writer = await asyncio.open_connection(host, port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.writer.transport.abort()

    def say(self, *messages: ClientLinkMessage) -> None:
        self.writer.write(b"".join(map(encode_message, messages)))

    def say_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> ClientLinkMessage | None:
        """Return the next message; None at the end of the connection."""
        while not self._heard:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    data = await self.reader.read(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._heard += [decode_message(raw) for raw in self._splitter.feed(data)]
        return self._heard.pop(0)

    async def expect(self, kind: type[T]) -> T:
        """Return the next message of this type; skip credit and bare acknowledgements."""
        while True:
            message = await self.hear()
            if isinstance(message, kind):
                return message
            assert isinstance(message, Credit | Egress), f"{message} instead of {kind.__name__}"

    async def expect_end(self) -> list[ClientLinkMessage]:
        """Return everything up to the end of the connection."""
        messages = []
        while (message := await self.hear()) is not None:
            messages.append(message)
        return messages

    def open(self, session_id: int = 0, *, received: int = 0, key: bytes = KEY) -> None:
        self.say(Open(1, 1, ANY_CLUSTER, key, session_id, received, 0, "raw"))

    async def attach(self, session_id: int = 0, *, received: int = 0, key: bytes = KEY) -> Opened:
        self.open(session_id, received=received, key=key)
        self.opened = await self.expect(Opened)
        self.session_id = self.opened.cluster_session_id
        return self.opened

    def ingress(self, first: int, *messages: bytes, acknowledged: int = 0) -> None:
        batch = encode_ingress_batch(messages)
        self.say(Ingress(self.session_id, first, acknowledged, len(messages), batch))

    async def answers(self, count: int) -> list[tuple[int, bytes]]:
        """Return that many egress messages with their egress sequence."""
        found: list[tuple[int, bytes]] = []
        while len(found) < count:
            egress = await self.expect(Egress)
            for at, message in enumerate(decode_egress_batch(egress.batch, egress.message_count)):
                found.append((egress.first_sequence + at, message.payload))
        return found

    async def acknowledged(self, sequence: int) -> None:
        while (await self.expect(Egress)).ingress_applied < sequence:
            pass


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition may be any state
            await asyncio.sleep(0)


def cluster(members: int = 1, **options: object) -> LoopbackCluster:
    return LoopbackCluster(members, service=ParrotService, **options)  # type: ignore[arg-type]


def heard(loopback: LoopbackCluster, seat: int = 0) -> list[bytes]:
    service = loopback.members[seat].service
    assert isinstance(service, ParrotService)
    return [message for _, message in service.heard]


def refused(loopback: LoopbackCluster, reason: str, seat: int = 0) -> int:
    return loopback.members[seat].gateway.refusals.by_reason[reason]


def led(test: Callable[[LoopbackCluster, RawClient], Awaitable[None]], **options: object) -> None:
    """Run a test with one leading member and one connection to it."""

    async def body() -> None:
        async with cluster(**options) as loopback:
            loopback.lead()
            async with RawClient(loopback.addresses[0]) as client:
                await test(loopback, client)

    run(body)


# Opens


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


@pytest.mark.parametrize("named", [4096, 1])
def test_an_open_that_names_a_session_never_makes_one(named: int) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        client.open(named)
        assert await client.expect_end() == [Closed(named, CloseReason.EXPIRED)]
        assert loopback.appended == 0
        assert refused(loopback, "not-live") == 1

    led(test)


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


def test_the_right_cluster_id_is_let_in() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        client.say(Open(1, 1, bytes(CLUSTER_ID), KEY, 0, 0, 0, ""))
        await client.expect(Opened)

    led(test)


# Ingress and egress


def test_acknowledges_ingress_that_the_service_does_not_answer() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"quiet", b"quiet")
        egress = await client.expect(Egress)
        assert (egress.ingress_applied, egress.message_count) == (2, 0)

    led(test)


def test_nothing_is_acknowledged_before_it_is_committed() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.hold()
        client.ingress(1, b"a")
        await until(lambda: loopback.appended == 2)
        client.say(KeepAlive())
        assert isinstance(await client.hear(), Credit)
        loopback.release()
        assert await client.answers(1) == [(1, b"a")]

    led(test)


def test_a_slow_batch_is_acknowledged_only_with_its_answers() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        # More messages than one slice of applying takes; the answers come behind the last.
        client.ingress(1, *[b"a"] * 2500)
        total = 0
        while total < 2500:
            egress = await client.expect(Egress)
            total += egress.message_count
            assert egress.ingress_applied <= total

    led(test)


def test_ingress_of_another_session_ends_the_connection() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.session_id += 8
        client.ingress(1, b"a")
        assert Error(LinkError.WRONG_SESSION) in await client.expect_end()
        assert refused(loopback, "wrong-session") == 1
        assert heard(loopback) == []

    led(test)


def test_a_gap_rewinds_the_client_once_and_drops_what_follows() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"a")
        await client.answers(1)
        client.ingress(3, b"c")
        client.ingress(4, b"d")
        assert (await client.expect(Rewind)).sequence == 2
        client.ingress(5, b"e")
        client.ingress(2, b"b", b"c", b"d")
        assert await client.answers(3) == [(2, b"b"), (3, b"c"), (4, b"d")]
        assert heard(loopback) == [b"a", b"b", b"c", b"d"]
        assert refused(loopback, "gap") >= 1

    led(test)


def test_a_batch_that_does_not_split_closes_its_session_on_apply() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.say(Ingress(client.session_id, 1, 0, 1, b"\xff\xff\xff\xff"))
        closed = await client.expect(Closed)
        assert closed == Closed(client.session_id, CloseReason.BAD_BATCH)

    led(test)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(64),
        b"\x08\0\0\0\x0b\x02\0\0",
        b"\x08\0\0\0\x0b\x01\x01\0",
        b"\x08\0\0\0\x63\x01\0\0",
        b"\xff\xff\xff\xff\x03\x01\0\0",
    ],
)
def test_garbage_ends_the_connection_and_not_the_session(data: bytes) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.say_bytes(data)
        assert any(isinstance(message, Error) for message in await client.expect_end())
        counts = loopback.members[0].gateway.refusals.by_reason
        assert counts["malformed"] + counts["too-large"] == 1
        async with RawClient(loopback.addresses[0]) as again:
            await again.attach(client.session_id)

    led(test)


def test_a_batch_beyond_what_a_log_frame_holds_ends_the_connection() -> None:
    constants = ClusterConstants(segment_length=64 * 1024)
    limit = batch_bytes_max(constants)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        assert (await client.attach()).batch_bytes_max == limit
        client.ingress(1, b"quiet" + bytes(limit - 9))
        await client.acknowledged(1)
        client.ingress(2, b"quiet" + bytes(limit - 8))
        assert Error(LinkError.TOO_LARGE) in await client.expect_end()
        assert refused(loopback, "too-large") == 1

    led(test, constants=constants)


def test_acknowledgements_of_egress_are_logged_once_and_not_beyond_what_was_sent() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"a", b"b")
        await client.answers(2)
        before = loopback.appended
        client.say(*[EgressAcknowledge(client.session_id, n) for n in (1, 1, 0, 2, 3, 2)])
        client.say(KeepAlive())
        await client.expect(Credit)
        assert loopback.appended == before + 2
        view = loopback.members[0].container.session(client.session_id)
        assert view is not None
        await until(lambda: loopback.members[0].container.sessions()[0].egress_acknowledged == 2)

    led(test)


def test_a_close_comes_behind_everything_sent_before() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"a")
        client.say(Close(client.session_id), Close(client.session_id))
        assert await client.answers(1) == [(1, b"a")]
        assert await client.expect(Closed) == Closed(client.session_id, CloseReason.CLIENT)
        assert await client.expect_end() == []
        assert loopback.appended == 3

    led(test)


# Credit


def test_a_client_that_overruns_its_credit_is_not_read_from_until_it_is_applied() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.hold()
        for first in (1, 2, 3):
            client.ingress(first, b"quiet" + bytes(600))
        await until(lambda: refused(loopback, "overrun") == 1)
        client.ingress(4, b"quiet")
        loopback.advance(60)
        loopback.release()
        await client.acknowledged(4)
        assert len(heard(loopback)) == 4, "nor has it expired meanwhile"

    led(test, config=GatewayConfig(credit_bytes=1000))


def test_credit_grows_as_ingress_is_applied() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        assert (await client.attach()).credit == 1000
        client.ingress(1, b"quiet" + bytes(491))
        assert (await client.expect(Credit)).bytes_max == 1500

    led(test, config=GatewayConfig(credit_bytes=1000))


# Serving, redirects


def test_a_follower_redirects_to_the_leader() -> None:
    async def body() -> None:
        async with cluster(3) as loopback:
            loopback.lead(2)
            async with RawClient(loopback.addresses[0]) as client:
                client.open()
                assert await client.hear() == Redirect(loopback.addresses[2])
                client.say(KeepAlive())
                assert await client.hear() == Redirect(loopback.addresses[2])

    run(body)


def test_a_member_without_a_leader_keeps_the_connection_and_pushes_the_redirect() -> None:
    async def body() -> None:
        async with cluster(2) as loopback, RawClient(loopback.addresses[0]) as client:
            client.open()
            assert await client.hear() == Redirect("")
            loopback.lead(1)
            assert await client.hear() == Redirect(loopback.addresses[1])

    run(body)


def test_an_open_that_waits_is_answered_when_the_member_begins_to_serve() -> None:
    async def body() -> None:
        async with cluster() as loopback, RawClient(loopback.addresses[0]) as client:
            client.open()
            assert await client.hear() == Redirect("")
            loopback.lead()
            await client.expect(Opened)

    run(body)


def test_leadership_lost_and_regained_on_one_connection_takes_ingress_after_a_resume_only() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"a")
        await client.answers(1)
        loopback.resign()
        loopback.lead()
        assert await client.expect(Redirect) == Redirect("")
        client.ingress(2, b"stale")
        client.ingress(2, b"b")
        await until(lambda: refused(loopback, "not-attached") == 2)
        opened = await client.attach(client.session_id, received=1)
        assert opened.ingress_applied == 1
        client.ingress(2, b"c")
        assert await client.answers(1) == [(2, b"c")]
        assert heard(loopback) == [b"a", b"c"]

    led(test)


def test_another_term_of_the_same_leader_makes_sessions_resume_too() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        member = loopback.members[0]
        member.leadership_term_id += 1
        member.gateway.on_serving_changed()
        assert await client.expect(Redirect) == Redirect("")
        client.ingress(1, b"stale")
        await client.attach(client.session_id)
        client.ingress(1, b"a")
        assert await client.answers(1) == [(1, b"a")]
        assert refused(loopback, "not-attached") == 1

    led(test)


def test_a_session_whose_close_is_in_the_log_is_not_resumed() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.hold()
        loopback.advance(31)
        async with RawClient(loopback.addresses[0]) as second:
            second.open(client.session_id)
            gateway = loopback.members[0].gateway
            await until(lambda: any(c.open is not None for c in gateway.connections))
            loopback.release()
            assert await second.expect_end() == [Closed(client.session_id, CloseReason.EXPIRED)]

    led(test)


def test_only_the_leader_judges_who_has_expired() -> None:
    async def body() -> None:
        async with cluster(2) as loopback:
            loopback.lead(0)
            async with RawClient(loopback.addresses[0]) as client:
                await client.attach()
                loopback.resign()
                for _ in range(3):
                    loopback.advance(60)
                assert loopback.appended == 1
                assert len(loopback.members[1].container.sessions()) == 1

    run(body)


def test_what_a_deposed_leader_did_not_commit_is_sent_again() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.hold()
        client.ingress(1, b"a")
        await until(lambda: loopback.appended == 2)
        loopback.resign(lose_uncommitted=True)
        loopback.lead()
        await client.expect(Redirect)
        assert (await client.attach(client.session_id)).ingress_applied == 0
        client.ingress(1, b"a")
        assert await client.answers(1) == [(1, b"a")]

    led(test)


def test_an_open_that_was_lost_with_its_leader_is_made_again() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        loopback.hold()
        client.open()
        await until(lambda: loopback.appended == 1)
        loopback.resign(lose_uncommitted=True)
        assert await client.hear() == Redirect("")
        loopback.lead()
        await client.expect(Opened)
        assert len(loopback.members[0].container.sessions()) == 1

    led(test)


def test_while_paused_bytes_wait_and_nothing_is_appended() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        member = loopback.members[0]
        member.gateway.pause()
        member.serving = False
        member.gateway.on_serving_changed()
        client.ingress(1, b"a")
        loopback.advance(3600)
        assert loopback.appended == 1
        member.serving = True
        member.gateway.resume()
        assert await client.answers(1) == [(1, b"a")], "no redirect, and not expired"

    led(test)


def test_a_handover_ends_with_a_redirect_to_the_new_leader() -> None:
    async def body() -> None:
        async with cluster(2) as loopback:
            loopback.lead(0)
            async with RawClient(loopback.addresses[0]) as client:
                await client.attach()
                loopback.members[0].gateway.pause()
                loopback.lead(1)
                loopback.members[0].gateway.resume()
                assert await client.expect(Redirect) == Redirect(loopback.addresses[1])

    run(body)


# Time-outs and limits


def test_a_silent_session_expires_connected_or_not() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        async with RawClient(loopback.addresses[0]) as other:
            await other.attach(key=b"o" * 16)
        gateway = loopback.members[0].gateway
        await until(lambda: len(gateway.connections) == 1)
        loopback.advance(29)
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


def test_a_client_that_does_not_follow_its_redirect_is_closed() -> None:
    async def body() -> None:
        async with cluster(2) as loopback:
            loopback.lead(1)
            async with RawClient(loopback.addresses[0]) as client:
                client.open()
                assert isinstance(await client.hear(), Redirect)
                loopback.advance(6)
                assert await client.expect_end() == [Error(LinkError.OPEN_TIMEOUT)]
                assert refused(loopback, "redirected") == 1

    run(body)


def test_a_client_that_never_reads_is_disconnected_and_its_session_goes_on() -> None:
    settings = replace(ClusterSettings(), kept_egress_bytes_max=64 * 1024 * 1024)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        (connection,) = gateway.connections
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for sequence in range(1, 41):
            client.ingress(sequence, b"burst 4 200000")
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

    led(test, settings=settings)


def test_closing_tells_every_client() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        await loopback.members[0].gateway.close()
        assert Error(LinkError.SHUTTING_DOWN) in await client.expect_end()
        await loopback.members[0].gateway.wait_empty()

    led(test)
