"""Raw connections against real gateways; the test plays client and consensus."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from quorate.config import ClusterConstants, GatewayConfig
from quorate.gateway.gateway import batch_bytes_max
from quorate.protocol.entry_bodies import CloseReason
from quorate.protocol.log_codec import EntryType, encode_entry, entries_length_max
from quorate.protocol.session_codec import CLIENT_MESSAGE_BYTES_MAX, INGRESS_HEADER_LENGTH
from quorate.protocol.session_messages import (
    Close,
    Closed,
    Credit,
    Egress,
    EgressAcknowledge,
    Error,
    Ingress,
    KeepAlive,
    LinkError,
    Opened,
    Redirect,
    Rewind,
)
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import RawClient, cluster, heard, led, refused, run, until

READ_BYTES = 256 * 1024
"""What a transport hands over at once: beyond its credit a connection gets no second one."""


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


@pytest.mark.parametrize("frame_bytes_max", [64 * 1024, 1 << 20, 2 << 20])
def test_the_longest_batch_fits_into_a_message_and_into_a_frame(frame_bytes_max: int) -> None:
    constants = ClusterConstants(frame_bytes_max=frame_bytes_max)
    longest = batch_bytes_max(constants)
    assert longest + INGRESS_HEADER_LENGTH <= CLIENT_MESSAGE_BYTES_MAX
    entry = encode_entry(EntryType.SESSION_INGRESS, 8, bytes(longest), message_count=1)
    assert len(entry) <= entries_length_max(constants.segment_length, frame_bytes_max)


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


def test_a_close_behind_a_gap_waits_until_that_is_filled() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(2, b"b")
        assert (await client.expect(Rewind)).sequence == 1
        client.ingress(3, b"c")
        client.say(Close(client.session_id))
        client.ingress(1, b"a", b"b", b"c")
        assert len(await client.answers(3)) == 3
        client.say(Close(client.session_id))
        await client.expect(Closed)
        assert heard(loopback) == [b"a", b"b", b"c"]

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


def test_one_that_floods_has_its_credit_in_the_log_and_the_others_are_let_in() -> None:
    """Nothing is applied meanwhile, so however long it takes the flood gets no further."""
    message, credit, others = b"quiet" + bytes(600), 16_000, 20

    async def test() -> None:
        async with (
            cluster(config=GatewayConfig(credit_bytes=credit)) as loopback,
            AsyncExitStack() as stack,
        ):
            loopback.lead()
            clients = [
                await stack.enter_async_context(RawClient(loopback.addresses[0]))
                for _ in range(1 + others)
            ]
            for number, client in enumerate(clients):
                await client.attach(key=bytes([number]) * 16)
            flood, *modest = clients
            loopback.hold()
            for first in range(1, 2_001):
                flood.ingress(first, message)
            for client in modest:
                client.ingress(1, b"modest")
            for client in modest:
                client.say(KeepAlive())
                await client.expect(Credit)
            await until(lambda: refused(loopback, "overrun") > 0)
            assert loopback.members[0].gateway.ingress_bytes < credit + READ_BYTES
            loopback.release()
            await flood.acknowledged(2_000)
        order = heard(loopback)
        ahead = max(at for at, what in enumerate(order) if what == b"modest")
        assert ahead < others + (credit + READ_BYTES) // len(message)
        assert order.count(b"modest") == others
        assert order.count(message) == 2_000

    run(test)


def test_credit_grows_as_ingress_is_applied() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        assert (await client.attach()).credit == 1000
        client.ingress(1, b"quiet" + bytes(491))
        assert (await client.expect(Credit)).bytes_max == 1500

    led(test, config=GatewayConfig(credit_bytes=1000))


@pytest.mark.parametrize("is_logged", [True, False])
def test_what_lies_behind_a_gap_leaves_credit_to_send_it_again(*, is_logged: bool) -> None:
    """Or the client, which has sent it, would wait for ever with the gap unfilled."""

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        credit = (await client.attach()).credit
        if is_logged:
            loopback.hold()
        client.ingress(2, b"quiet")
        if not is_logged:
            assert (await client.expect(Rewind)).sequence == 1
        for _ in range(3):
            loopback.turn()
        sequence, sent = 3, len(b"quiet") + 4
        while sent < credit:
            client.ingress(sequence, bytes(1020))
            sequence, sent = sequence + 1, sent + 1024
        gateway = loopback.members[0].gateway
        if is_logged:
            await until(lambda: gateway.ingress_bytes == sent)
            loopback.release()
            assert (await client.expect(Rewind)).sequence == 1
        while (await client.expect(Credit)).bytes_max <= sent:
            pass
        client.ingress(1, b"quiet")
        await client.acknowledged(1)

    # As much as one may ever have: or more would be granted for that reason.
    led(test, config=GatewayConfig(credit_bytes=4096))


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
