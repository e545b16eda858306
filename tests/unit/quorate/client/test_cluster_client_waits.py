"""Who waits for the cluster: gives up as the answer comes, or while the inbox is full."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import uvloop

from quorate.client import ClusterClient, OutcomeUnknown, ServiceError, SessionClosed, inbox
from quorate.client.inbox import INBOX_BYTES_MAX
from quorate.config import ClusterSettings
from quorate_loopback.raw_client import PATIENCE_S, cluster, heard, until

LENGTH = 200_000
ROOMY = ClusterSettings(kept_egress_bytes_max=1 << 26)


@pytest.mark.parametrize("word", [b"say", b"fail"])
@pytest.mark.parametrize("has_callbacks", [True, False])
def test_an_answer_comes_once_whenever_its_request_is_given_up(
    word: bytes, *, has_callbacks: bool
) -> None:
    """Also in the turn of the loop in which it has come, before the one who waits goes on."""

    async def body() -> None:
        answered: list[int] = []
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            client = await ClusterClient.connect(
                loopback.addresses,
                on_egress=(lambda sequence, _: answered.append(sequence))
                if has_callbacks
                else None,
                on_error=(lambda sequence, _: answered.append(sequence)) if has_callbacks else None,
            )
            for turns in (*range(12), None, None):
                before = client.last_sequence
                request = asyncio.create_task(client.request(b"%b %d" % (word, before)))
                if turns is None:
                    await until(lambda n=before: client.acknowledged_sequence > n)  # type: ignore[misc]
                for _ in range(turns or 0):
                    await asyncio.sleep(0)
                request.cancel()
                with suppress(asyncio.CancelledError, ServiceError):
                    await request
                if not request.cancelled():
                    answered.append(client.last_sequence)
            await client.flush()
            await client.close()
            answered += [received.ingress_sequence async for received in client.receive()]
            assert client.counters.unclaimed == 0
            assert len(heard(loopback)) == client.last_sequence
        assert sorted(answered) == list(range(1, client.last_sequence + 1))

    asyncio.run(body())


def test_who_gives_up_connecting_leaves_nothing_behind() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            gateway = loopback.members[0].gateway
            connecting = asyncio.ensure_future(ClusterClient.connect(loopback.addresses))
            await until(lambda: bool(gateway.connections))
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            assert len(asyncio.all_tasks()) == 1
            await until(lambda: not gateway.connections)

    asyncio.run(body())


def test_a_name_may_be_as_long_as_is_said() -> None:
    async def body() -> None:
        name = "é" * 128
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            async with ClusterClient.connect(loopback.addresses, name=name):
                (view,) = loopback.members[0].container.sessions()
                assert view.name == name

    asyncio.run(body())


def test_nobody_waits_for_a_client_that_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours, or of what it stands on; whatever it is, who waits must hear of it."""

    async def body() -> None:
        shown: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: shown.append(context["exception"])
        )
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            loopback.hold()
            failure = RuntimeError("a bug")

            def fail() -> str:
                raise failure

            monkeypatch.setattr(client._dialer.rotation, "next", fail)
            waits = [client.request(b"say"), client.flush(), anext(client.receive())]
            tasks = [asyncio.ensure_future(wait) for wait in waits]
            await until(lambda: loopback.appended == 2)
            (connection,) = loopback.members[0].gateway.connections
            connection.abort()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [
                OutcomeUnknown,
                OutcomeUnknown,
                SessionClosed,
            ]
            assert all("RuntimeError('a bug')" in str(result) for result in results)
            assert shown == [failure]
            with pytest.raises(SessionClosed, match="a bug"):
                client.offer(b"more")

    asyncio.run(body())


@pytest.mark.parametrize("word", [b"say", b"fail"])
def test_a_callback_that_looks_at_a_cancelled_task_loses_nothing(word: bytes) -> None:
    """Its ``CancelledError`` is no ``Exception``, and once broke the connection with the rest."""

    async def body() -> None:
        got: list[int] = []

        def callback(sequence: int, _: object) -> None:
            got.append(sequence)
            raise asyncio.CancelledError

        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with asyncio.timeout(PATIENCE_S), cluster() as loopback:
            loopback.lead()
            async with ClusterClient.connect(
                loopback.addresses, on_egress=callback, on_error=callback
            ) as client:
                for _ in range(3):
                    client.offer(word)
                assert await client.request(b"say") == b"say"
                assert client.counters.callback_failures == 3
                assert client.counters.resumptions == 0
        assert got == [1, 2, 3]

    asyncio.run(body())


def test_a_callback_that_somebody_would_have_to_await_is_refused() -> None:
    async def callback(_sequence: int, _message: object) -> None:
        """Would never run."""

    for callbacks in (
        {"on_egress": callback},
        {"on_egress": partial(callback)},
        {"on_egress": lambda *_: None, "on_error": callback},
    ):
        with pytest.raises(TypeError, match="plain functions"):
            ClusterClient.connect(["127.0.0.1:9010"], **callbacks)  # type: ignore[arg-type]


async def fill(client: ClusterClient) -> None:
    """Claim the inbox, and have it filled until the client reads no more."""
    client.offer(b"say")
    async for _ in client.receive():
        break
    count = INBOX_BYTES_MAX // LENGTH + 40
    client.offer(b"burst %d %d" % (count, LENGTH))
    await until(lambda: client._inbox.is_full)
    await until(lambda: not client._dialer._is_reading)


async def take_all(client: ClusterClient) -> None:
    async for _ in client.receive():
        pass


async def ready(client: ClusterClient) -> None:
    while client.can_offer:
        client.offer(b"quiet" + bytes(LENGTH))
    await client.ready()


WAITS: dict[str, Callable[[ClusterClient], Awaitable[object]]] = {
    "request": lambda client: client.request(b"say"),
    "flush": lambda client: client.flush(),
    "ready": ready,
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_who_receives_and_waits_in_one_task_does_not_wait_for_ever(
    wait: Callable[[ClusterClient], Awaitable[object]],
) -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster(settings=ROOMY) as loopback:
            loopback.lead()
            async with ClusterClient.connect(loopback.addresses) as client:
                await fill(client)
                await wait(client)
                assert client._inbox.is_full
                # And when nobody waits any more it is as before.
                client.offer(b"say")
                await until(lambda: not client._dialer._is_reading)

    asyncio.run(body())


def test_who_waits_and_never_receives_has_a_bound_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "AWAITED_BYTES_MAX", 2 * INBOX_BYTES_MAX)

    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster(settings=ROOMY) as loopback:
            loopback.lead()
            async with ClusterClient.connect(loopback.addresses) as client:
                await fill(client)
                client.offer(b"burst %d %d" % (3 * INBOX_BYTES_MAX // LENGTH, LENGTH))
                waiting = asyncio.ensure_future(client.flush())
                await until(lambda: client._inbox.is_overfull)
                await until(lambda: not client._dialer._is_reading)
                assert not waiting.done()
                more = asyncio.ensure_future(client.flush())
                await asyncio.sleep(0)
                assert not client._dialer._is_reading, "nor for one more that waits"
                receiving = asyncio.ensure_future(take_all(client))
                await asyncio.gather(waiting, more)
                receiving.cancel()

    asyncio.run(body())


def test_a_close_comes_behind_all_answers_however_many_they_are() -> None:
    """More than the gateway and the sockets hold; the cluster once dropped the rest."""
    count = 400

    async def body() -> None:
        got: list[int] = []
        async with asyncio.timeout(PATIENCE_S), cluster(settings=ROOMY) as loopback:
            loopback.lead()
            client = await ClusterClient.connect(
                loopback.addresses, on_egress=lambda sequence, _: got.append(sequence)
            )
            last = client.offer(b"burst %d 50000" % count)
            await client.close(timeout=PATIENCE_S)
            await client.wait_acknowledged(last)
            assert got == [last] * count
            assert not loopback.members[0].container.sessions()

    # As members run: on asyncio's loop in Python 3.13.0 and its like no gateway learns of a lag.
    uvloop.run(body())


def test_who_closes_without_having_received_everything_is_told_of_the_close() -> None:
    async def body() -> None:
        async with asyncio.timeout(PATIENCE_S), cluster(settings=ROOMY) as loopback:
            loopback.lead()
            client = await ClusterClient.connect(loopback.addresses)
            await fill(client)
            last = client.offer(b"say")
            await client.close(timeout=PATIENCE_S)
            await client.wait_acknowledged(last)
            got = [received.ingress_sequence async for received in client.receive()]
            assert got[-1] == last
            assert not loopback.members[0].container.sessions()

    asyncio.run(body())
