"""What waits for ``receive`` is bounded, in order, and ends when it ends."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.client.inbox import INBOX_BYTES_MAX, UNCLAIMED_MESSAGES_MAX, Inbox, ReceivedMessage
from quorate.errors import SessionClosed


def message(number: int, length: int = 0) -> ReceivedMessage:
    return ReceivedMessage(number, bytes(length))


@given(
    st.lists(
        st.sampled_from([0, INBOX_BYTES_MAX // 3, INBOX_BYTES_MAX, INBOX_BYTES_MAX * 2]),
        min_size=1,
        max_size=9,
    )
)
def test_what_nobody_ever_asked_for_is_bounded_in_bytes(lengths: list[int]) -> None:
    async def body() -> None:
        inbox = Inbox(lambda _: pytest.fail("nobody could make room again"))
        for number, length in enumerate(lengths):
            inbox.put(message(number, length))
        inbox.end(None)
        kept = []
        while (received := await inbox.get()) is not None:
            kept.append(received)
        first = inbox.unclaimed
        assert [item.ingress_sequence for item in kept] == list(range(first, len(lengths)))
        assert kept, "the last one stays"
        size = sum(len(item.message) for item in kept)
        assert size <= INBOX_BYTES_MAX or len(kept) == 1

    asyncio.run(body())


@pytest.mark.parametrize("beyond", [0, 1, 5])
def test_what_nobody_ever_asked_for_is_bounded_in_number(beyond: int) -> None:
    async def body() -> None:
        inbox = Inbox(lambda _: None)
        for number in range(UNCLAIMED_MESSAGES_MAX + beyond):
            inbox.put(message(number))
        assert inbox.unclaimed == beyond
        assert await inbox.get() == message(beyond)

    asyncio.run(body())


@given(
    lengths=st.lists(st.integers(0, INBOX_BYTES_MAX // 2), min_size=1, max_size=30),
    taken=st.lists(st.integers(0, 5), min_size=30, max_size=30),
)
def test_a_receiver_that_is_slow_stops_reading_and_loses_nothing(
    lengths: list[int], taken: list[int]
) -> None:
    async def body() -> None:
        said: list[bool] = []
        inbox = Inbox(said.append)
        inbox.put(message(0))
        assert await inbox.get() == message(0)
        waiting, expected = list[int](), 1
        for number, length in enumerate(lengths, start=1):
            inbox.put(message(number, length))
            waiting.append(length)
            if sum(waiting) > INBOX_BYTES_MAX:
                assert said[-1:] == [True]
            for _ in range(min(taken[number - 1], len(waiting))):
                received = await inbox.get()
                assert received is not None
                assert received.ingress_sequence == expected
                expected += 1
                waiting.pop(0)
            if sum(waiting) + 64 * len(waiting) <= INBOX_BYTES_MAX // 2:
                assert said[-1:] != [True], "it reads on"
            assert inbox.is_full == (said[-1:] == [True])
        assert said == [index % 2 == 0 for index in range(len(said))], "told of changes only"
        assert inbox.unclaimed == 0

    asyncio.run(body())


@pytest.mark.parametrize("length", [0, 100, INBOX_BYTES_MAX // 3])
def test_what_was_taken_makes_room_for_as_much_again(length: int) -> None:
    async def body() -> None:
        inbox = Inbox(lambda _: None)
        inbox.put(message(0, length))
        await inbox.get()
        counts = []
        for _ in range(3):
            count = 0
            while not inbox.is_full:
                inbox.put(message(0, length))
                count += 1
            assert count * (length + 64) >= INBOX_BYTES_MAX
            for _ in range(count):
                await inbox.get()
            counts.append(count)
        assert len(set(counts)) == 1

    asyncio.run(body())


@pytest.mark.parametrize("error", [None, SessionClosed("expired")])
def test_who_waits_hears_of_the_end(error: SessionClosed | None) -> None:
    async def body() -> None:
        inbox = Inbox(lambda _: None)
        waits = [asyncio.ensure_future(inbox.get()) for _ in range(2)]
        await asyncio.sleep(0)
        inbox.end(error)
        async with asyncio.timeout(30):
            assert await asyncio.gather(*waits, return_exceptions=True) == [error] * 2

    asyncio.run(body())


@pytest.mark.parametrize("is_waiting", [True, False])
@pytest.mark.parametrize("error", [None, SessionClosed("expired")])
def test_the_end_comes_behind_the_last_message(
    error: SessionClosed | None, *, is_waiting: bool
) -> None:
    async def body() -> None:
        inbox = Inbox(lambda _: None)
        waits = [asyncio.ensure_future(inbox.get()) for _ in range(3 if is_waiting else 0)]
        await asyncio.sleep(0)
        inbox.put(message(1))
        inbox.end(error)
        if not is_waiting:
            assert await inbox.get() == message(1)
            waits = [asyncio.ensure_future(inbox.get())]
        results = await asyncio.gather(*waits, return_exceptions=True)
        expected: list[object] = [message(1)] if is_waiting else []
        assert results == expected + [error] * (len(results) - len(expected))

    asyncio.run(body())
