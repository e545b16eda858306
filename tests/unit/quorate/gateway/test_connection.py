"""What one connection may do, before it has a session and in one turn."""

from __future__ import annotations

import pytest

from quorate.gateway import turn_budget as module
from quorate.gateway.connection import ConnectionState
from quorate.protocol.session_codec import (
    SMALL_MESSAGE_BYTES_MAX,
    encode_egress_acknowledge,
    encode_keep_alive,
    ingress_header,
)
from quorate.protocol.session_messages import Credit, Egress, Error, KeepAlive, LinkError
from quorate_loopback import LoopbackCluster
from quorate_loopback.raw_client import RawClient, heard, led, refused, until


@pytest.mark.parametrize("has_asked", [False, True])
def test_before_a_session_there_is_no_room_for_a_long_message(*, has_asked: bool) -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        if has_asked:
            loopback.hold()
            client.open()
            await until(lambda: loopback.appended == 1)
        client.say_bytes(ingress_header(8, 1, 0, 1, SMALL_MESSAGE_BYTES_MAX))
        assert await client.expect_end() == [Error(LinkError.TOO_LARGE)]
        assert refused(loopback, "too-large") == 1

    led(test)


@pytest.mark.parametrize("state", ConnectionState)
def test_no_state_follows_the_end(state: ConnectionState) -> None:
    """Such as when leadership is lost before a connection that was refused is gone."""

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        (served,) = loopback.members[0].gateway.connections
        served.end_with(LinkError.OVERLOADED)
        since = served.state_since
        loopback.now += 1
        served.change_state(state)
        assert served.is_ended
        assert served.state_since == since

    led(test)


def test_nothing_is_read_until_every_reason_not_to_is_gone() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        (served,) = loopback.members[0].gateway.connections
        transport = served._transport
        assert transport is not None
        served.pause_reading("one")
        assert not transport.is_reading()
        served.pause_reading("other")
        served.pause_reading("other")
        served.resume_reading("one")
        assert not transport.is_reading()
        assert not served.is_reading
        served.resume_reading("other")
        assert transport.is_reading()
        assert served.is_reading

    led(test)


def test_a_flood_of_messages_is_taken_in_portions_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_TURN", 3)
    monkeypatch.setattr(module, "MESSAGES_PER_TURN_EACH", 1)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        (served,) = loopback.members[0].gateway.connections
        client.say_bytes(encode_keep_alive() * 10)
        for number in range(1, 8):
            client.ingress(number, b"%d" % number)
        await until(lambda: not served.is_reading)
        assert heard(loopback) == [], "messages behind the first three keep-alives wait"
        assert [payload for _, payload in await client.answers(7)] == [
            b"%d" % number for number in range(1, 8)
        ]
        assert served.is_reading
        client.say(KeepAlive())
        await client.expect(Credit)

    led(test)


def test_what_one_brings_in_pieces_is_one_share_of_a_turn() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        (served,) = gateway.connections
        loopback.turn()
        left, gateway.budget.each = gateway.budget.left, 3
        for _ in range(5):
            served.data_received(encode_keep_alive() * 2)
        assert left - gateway.budget.left == 3
        assert not served.is_reading
        for _ in range(5):
            gateway.budget.each = 3
            loopback.turn()
        assert served.is_reading
        assert served.incomplete_bytes == 0

    led(test)


def test_bytes_of_messages_that_are_few_and_long_are_a_share_of_a_turn_too() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        (served,) = gateway.connections
        loopback.turn()
        gateway.budget.bytes_each = 3 * 16
        for at_once in range(3):
            assert served.is_reading, at_once
            served.data_received(encode_keep_alive() * 2)
        loopback.turn()
        assert served.is_reading
        gateway.budget.bytes_each = 47
        for _ in range(3):
            served.data_received(encode_keep_alive() * 2)
        assert not served.is_reading
        loopback.turn()
        assert served.is_reading

    led(test)


def test_what_waits_for_its_turn_waits_while_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_TURN", 1)
    monkeypatch.setattr(module, "MESSAGES_PER_TURN_EACH", 1)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        (served,) = gateway.connections
        client.say_bytes(encode_keep_alive() * 2)
        client.ingress(1, b"a")
        await until(lambda: not served.is_reading)
        gateway.pause()
        appended = loopback.appended
        for _ in range(5):
            loopback.turn()
        assert loopback.appended == appended
        gateway.resume()
        assert await client.answers(1) == [(1, b"a")]

    led(test)


def test_a_held_connection_that_is_lost_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_TURN", 1)
    monkeypatch.setattr(module, "MESSAGES_PER_TURN_EACH", 1)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        gateway = loopback.members[0].gateway
        (served,) = gateway.connections
        client.say_bytes(encode_keep_alive() * 100)
        await until(lambda: not served.is_reading)
        served.abort()
        await until(lambda: not gateway.connections)
        loopback.turn()

    led(test)


def test_garbage_behind_held_messages_ends_the_connection_in_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MESSAGES_PER_TURN", 1)
    monkeypatch.setattr(module, "MESSAGES_PER_TURN_EACH", 1)

    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.say(KeepAlive(), KeepAlive(), Credit(1))
        assert Error(LinkError.MALFORMED) in await client.expect_end()
        assert refused(loopback, "malformed") == 1

    led(test)


def test_egress_that_was_never_sent_cannot_be_claimed_or_acknowledged() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach(received=2**63)
        appended = loopback.appended
        acknowledgements = (encode_egress_acknowledge(client.session_id, n) for n in range(1, 99))
        client.say_bytes(b"".join(acknowledgements))
        client.ingress(1, b"a")
        assert await client.answers(1) == [(1, b"a")], "sent although it was claimed"
        assert loopback.appended == appended + 1

    led(test)


def test_an_acknowledgement_of_all_egress_is_taken_once() -> None:
    async def test(loopback: LoopbackCluster, client: RawClient) -> None:
        await client.attach()
        client.ingress(1, b"a")
        await client.expect(Egress)
        appended = loopback.appended
        client.say_bytes(encode_egress_acknowledge(client.session_id, 1) * 9)
        await until(lambda: loopback.members[0].container.sessions()[0].egress_acknowledged == 1)
        assert loopback.appended == appended + 1

    led(test)
