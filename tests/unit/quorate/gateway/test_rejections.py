"""What the log of a leader rejects is asked for again, and an office that is over is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from quorate.client import ClusterClient
from quorate.gateway.credit_pool import ROUND_NS
from quorate.protocol.session_messages import Opened, Redirect
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import RawClient, cluster, heard, led, run, until


def reject(loopback: LoopbackCluster, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Let the leader's log refuse everything until ``monkeypatch.undo``; return what it refused."""
    member, rejected = loopback.members[0], list[bytes]()

    def append_entry(entry: bytes) -> None:
        rejected.append(entry)
        member.gateway.on_rejected()

    monkeypatch.setattr(member, "append_entry", append_entry)
    return rejected


async def be_rejected(
    loopback: LoopbackCluster, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> list[bytes]:
    """Attach, and have the first message rejected; return what is rejected from here on."""
    await client.attach()
    rejected = reject(loopback, monkeypatch)
    client.ingress(1, b"a")
    await until(lambda: len(rejected) == 1)
    return rejected


def test_an_open_that_the_log_rejects_is_answered_once_it_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        rejected = reject(loopback, monkeypatch)
        client.open()
        await until(lambda: len(rejected) == 1)
        loopback.advance(0.05)
        assert len(rejected) == 1, "not at once, or a log that is full would be asked all the time"
        loopback.advance(0.05)
        await until(lambda: len(rejected) == 2)
        monkeypatch.undo()
        loopback.advance(0.1)
        assert await client.hear() == Redirect("")
        while isinstance(word := await client.hear(), Redirect):
            assert word.address == ""
        assert isinstance(word, Opened)

    led(test)


def test_a_log_that_goes_on_rejecting_is_asked_again_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        rejected = reject(loopback, monkeypatch)
        client.open()
        await until(lambda: len(rejected) == 1)
        async with RawClient(loopback.addresses[0]) as other:
            loopback.advance(0.06)
            other.open(key=b"o" * 16)
            await until(lambda: len(rejected) == 2)
            loopback.advance(0.06)
            assert len(rejected) == 4, "both, 100 ms after the first"

    led(test)


def test_ingress_that_the_log_rejects_is_sent_again_by_a_session_that_resumes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await be_rejected(loopback, client, monkeypatch)
        monkeypatch.undo()
        loopback.advance(0.1)
        assert await client.expect(Redirect) == Redirect("")
        assert (await client.attach(client.session_id)).ingress_applied == 0
        client.ingress(1, b"a")
        assert await client.answers(1) == [(1, b"a")]

    led(test)


def test_a_rejection_of_an_office_that_is_over_makes_nobody_resume_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await be_rejected(loopback, client, monkeypatch)
        monkeypatch.undo()
        loopback.lead()
        assert await client.expect(Redirect) == Redirect("")
        await client.attach(client.session_id)
        loopback.advance(0.2)
        client.ingress(1, b"a")
        assert await client.answers(1) == [(1, b"a")]

    led(test)


def test_a_close_behind_rejected_ingress_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with cluster() as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            rejected = reject(loopback, monkeypatch)
            request = asyncio.ensure_future(client.request(b"last"))
            await until(lambda: len(rejected) == 1)
            monkeypatch.undo()
            await client.close(timeout=60)
            assert await request == b"last"
            assert heard(loopback) == [b"last"]
            assert not loopback.members[0].container.sessions()

    run(body)


def test_what_was_rejected_during_a_hand_over_that_failed_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        rejected = await be_rejected(loopback, client, monkeypatch)
        gateway = loopback.members[0].gateway
        async with RawClient(loopback.addresses[0]) as other:
            other.open(key=b"o" * 16)
            await until(lambda: len(rejected) >= 2)
            gateway.pause()
            asked = len(rejected)
            loopback.advance(1)
            assert len(rejected) == asked, "not while leadership is handed over"
        monkeypatch.undo()
        gateway.resume()
        loopback.turn()
        assert await client.expect(Redirect) == Redirect("")
        await client.attach(client.session_id)

    led(test)


def test_the_time_in_which_another_led_says_nothing_of_the_pace_of_the_service() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        credit = (await client.attach()).credit
        end = loopback.frames[-1].end
        # When leadership is lost something is committed that is not applied yet.
        loopback.members[0].gateway.on_turn(loopback.now + ROUND_NS, (end, end, 0))
        loopback.resign()
        loopback.advance(60)
        loopback.lead()
        for _ in range(3):
            loopback.advance(0.1)
        async with RawClient(loopback.addresses[0]) as other:
            assert (await other.attach(client.session_id)).credit == credit

    led(test)


def test_who_has_not_resumed_yet_is_granted_nothing() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        credit = (await client.attach()).credit
        loopback.hold()
        client.ingress(1, b"quiet" + bytes(credit))
        gateway = loopback.members[0].gateway
        await until(lambda: gateway.ingress_batches == 1)
        loopback.lead()
        assert (await client.expect(Redirect)) == Redirect("")
        for _ in range(5):
            loopback.advance(0.1)
        client.open(client.session_id)
        assert isinstance(await client.hear(), Opened)

    led(test)
