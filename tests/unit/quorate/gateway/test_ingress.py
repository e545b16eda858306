"""What a leader takes of ingress, what it counts, and when who sent it may go on."""

from __future__ import annotations

import pytest

from quorate.config import GatewayConfig
from quorate.gateway import turn_budget
from quorate.protocol.batch import EGRESS_HEADER_LENGTH
from quorate.protocol.session_codec import encode_keep_alive
from quorate.protocol.session_messages import Credit, Egress, KeepAlive, Rewind
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import (
    RawClient,
    attached,
    cluster,
    heard,
    led,
    refused,
    run,
    until,
)


def test_each_batch_behind_a_gap_is_counted_once_and_the_client_is_told_once() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        loopback.hold()
        for number, first in enumerate((3, 5), 2):
            client.ingress(first, b"ahead")
            await until(lambda expected=number: loopback.appended == expected)  # type: ignore[misc]
        loopback.release()
        assert (await client.expect(Rewind)).sequence == 1
        assert refused(loopback, "gap") == 2, "both were in the log before anybody knew"
        for number, first in enumerate((7, 2), 3):
            client.ingress(first, b"ahead")
            await until(lambda expected=number: refused(loopback, "gap") == expected)  # type: ignore[misc]
        assert (gateway.ingress_messages, loopback.appended) == (2, 3), "no entry for those"
        client.ingress(1, b"a", b"b")
        assert await client.answers(2) == [(1, b"a"), (2, b"b")]
        assert heard(loopback) == [b"a", b"b"]
        client.ingress(3, b"c")
        assert await client.answers(1) == [(3, b"c")], "without another rewind"
        assert refused(loopback, "gap") == 4

    led(test)


def test_a_gap_of_a_client_that_is_gone_is_nobodys_to_fill() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        loopback.hold()
        client.ingress(2, b"b")
        await until(lambda: loopback.appended == 2)
        client.writer.transport.abort()
        await until(lambda: not gateway.connections)
        loopback.release()
        async with RawClient(loopback.addresses[0]) as again:
            assert (await again.attach(client.session_id)).ingress_applied == 0
            again.ingress(1, b"a", b"b")
            assert await again.answers(2) == [(1, b"a"), (2, b"b")]

    led(test)


def test_what_is_taken_together_counts_as_what_it_was_sent_as() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"a", b"b")
        await client.answers(2)
        client.say(KeepAlive())
        client.ingress(3, b"c")
        client.ingress(4, b"d", b"e")
        client.ingress(6, b"f")
        await client.answers(4)
        gateway = loopback.members[0].gateway
        assert (gateway.ingress_messages, gateway.ingress_batches) == (6, 4)
        assert gateway.ingress_bytes == 6 * 5
        assert (gateway.egress_messages, gateway.egress_bytes) == (
            6,
            6 * (EGRESS_HEADER_LENGTH + 1),
        )

    led(test)


def test_answers_for_a_client_that_is_gone_are_kept_until_it_resumes() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        loopback.hold()
        client.ingress(1, b"a")
        await until(lambda: loopback.appended == 2)
        client.writer.transport.abort()
        await until(lambda: not gateway.connections)
        assert not gateway._egress._awaiting, "nobody is left to be told"
        loopback.release()
        assert gateway.egress_messages == 0
        async with RawClient(loopback.addresses[0]) as again:
            await again.attach(client.session_id)
            assert await again.answers(1) == [(1, b"a")]

    led(test)


def test_only_the_leader_counts_what_lies_behind_a_gap() -> None:
    async def body() -> None:
        async with cluster(2) as loopback:
            loopback.lead()
            async with RawClient(loopback.addresses[0]) as client:
                await client.attach()
                client.ingress(2, b"b")
                await client.expect(Rewind)
                loopback.turn()
                assert [refused(loopback, "gap", seat) for seat in (0, 1)] == [1, 0]

    run(body)


# Credit


def test_credit_comes_right_behind_the_answers() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, bytes(496))
        answer = await client.hear()
        assert isinstance(answer, Egress)
        assert answer.message_count == 1
        assert await client.hear() == Credit(1500)

    led(test, config=GatewayConfig(credit_bytes=1000))


def test_who_overran_its_credit_is_read_from_again_once_it_is_answered() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        loopback.hold()
        for first in (1, 2, 3):
            client.ingress(first, bytes(600))
        await until(lambda: refused(loopback, "overrun") == 1)
        loopback.release()
        assert len(await client.answers(3)) == 3
        client.ingress(4, b"d")
        assert await client.answers(1) == [(4, b"d")]

    led(test, config=GatewayConfig(credit_bytes=1000))


# A turn


def test_who_brings_much_counts_once_among_those_who_share_a_turn() -> None:
    async def body() -> None:
        async with cluster() as loopback:
            loopback.lead()
            budget = loopback.members[0].gateway.budget
            async with attached(loopback, 3) as clients:
                shares = []
                for number in range(1, 21):
                    for client in clients:
                        client.ingress(2 * number - 1, b"a")
                        client.say(KeepAlive())
                        client.ingress(2 * number, b"b")
                    for client in clients:
                        await client.answers(2)
                    loopback.advance(0.1)
                    shares.append(budget.each)
                for part in (shares[:10], shares[10:]):
                    assert min(part) == turn_budget.MESSAGES_PER_TURN // 3

    run(body)


def test_together_they_bring_no_more_than_a_turn_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_budget, "MESSAGES_PER_TURN", 3)
    monkeypatch.setattr(turn_budget, "MESSAGES_PER_TURN_EACH", 2)

    async def body() -> None:
        async with cluster() as loopback:
            loopback.lead()
            gateway = loopback.members[0].gateway
            async with attached(loopback, 5) as clients:
                for client in clients:
                    client.say_bytes(encode_keep_alive() * 20)
                    client.ingress(1, b"a")
                lefts: list[int] = []

                def is_answered() -> bool:
                    lefts.append(gateway.budget.left)
                    return len(heard(loopback)) == len(clients)

                await until(is_answered)
                assert min(lefts) == 0

    run(body)
