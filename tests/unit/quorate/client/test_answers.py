"""Who waits is told once, and who has given up is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from quorate.client.answers import Answers
from quorate.client.session_events import Ended
from quorate.errors import OutcomeUnknown, ServiceError, SessionClosed

Wait = Callable[[Answers], Coroutine[None, None, object]]
WAITS: dict[str, Wait] = {
    "answer": lambda answers: answers.answer(7),
    "acknowledged": lambda answers: answers.acknowledged(7),
    "credit": lambda answers: answers.credit(),
}


async def waiting(answers: Answers, wait: Wait) -> asyncio.Task[object]:
    task = asyncio.ensure_future(wait(answers))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_nothing_is_kept_of_who_gave_up(wait: Wait) -> None:
    async def body() -> None:
        answers = Answers(asyncio.get_running_loop())
        for _ in range(3):
            task = await waiting(answers, wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not answers.requests
        assert not answers._acknowledgements
        assert not answers._credit

    asyncio.run(body())


@pytest.mark.parametrize("given_up", [True, False])
def test_who_waits_in_vain_disturbs_nobody(*, given_up: bool) -> None:
    """The answer comes in the turn of the loop in which somebody gives up."""

    async def body() -> None:
        answers = Answers(asyncio.get_running_loop())
        tasks = [await waiting(answers, wait) for wait in WAITS.values()]
        if given_up:
            for task in tasks:
                task.cancel()
        assert answers.resolve(7, b"x") is not given_up
        answers.on_acknowledged(7)
        answers.on_credit(has_credit=lambda: True)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        if not given_up:
            assert results == [b"x", None, None]
        assert all(isinstance(r, asyncio.CancelledError) is given_up for r in results)

    asyncio.run(body())


def test_an_acknowledgement_wakes_exactly_those_up_to_it() -> None:
    async def body() -> None:
        answers = Answers(asyncio.get_running_loop())
        requests = [await waiting(answers, lambda a, n=n: a.answer(n)) for n in range(1, 6)]  # type: ignore[misc]
        waits = [await waiting(answers, lambda a, n=n: a.acknowledged(n)) for n in range(1, 6)]  # type: ignore[misc]
        for sequence in range(1, 6):
            answers.on_acknowledged(sequence)
            await asyncio.sleep(0)
            for tasks in (requests, waits):
                assert [task.done() for task in tasks] == [n <= sequence for n in range(1, 6)]

    asyncio.run(body())


def test_credit_wakes_nobody_unless_there_is_some() -> None:
    async def body() -> None:
        answers = Answers(asyncio.get_running_loop())
        tasks = [await waiting(answers, WAITS["credit"]) for _ in range(2)]
        answers.on_credit(has_credit=lambda: False)
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        answers.on_credit(has_credit=lambda: True)
        await asyncio.gather(*tasks)

    asyncio.run(body())


def test_the_end_tells_what_was_sent_from_what_was_not() -> None:
    async def body() -> None:
        answers = Answers(asyncio.get_running_loop())
        tasks = [
            await waiting(answers, wait)
            for n in (1, 2, 3)
            for wait in (lambda a, n=n: a.answer(n), lambda a, n=n: a.acknowledged(n))  # type: ignore[misc]
        ]
        credit = await waiting(answers, WAITS["credit"])
        answers.end(Ended("expired", is_refused=False, ingress_sent=2))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [OutcomeUnknown] * 4 + [SessionClosed] * 2
        await credit

    asyncio.run(body())


def test_who_has_given_up_keeps_the_end_from_nobody() -> None:
    """In the turn of the loop in which the session ends."""

    async def body() -> None:
        answers = Answers(asyncio.get_running_loop())
        given_up = [await waiting(answers, wait) for wait in WAITS.values()]
        others = [await waiting(answers, lambda a, n=n: a.answer(n)) for n in (8, 9)]  # type: ignore[misc]
        others.append(await waiting(answers, WAITS["acknowledged"]))
        for task in given_up:
            task.cancel()
        answers.end(Ended("expired", is_refused=False, ingress_sent=9))
        results = await asyncio.gather(*others, return_exceptions=True)
        assert [type(result) for result in results] == [OutcomeUnknown] * 3
        await asyncio.gather(*given_up, return_exceptions=True)

    asyncio.run(body())


def test_an_answer_or_an_error_is_for_one_who_waits() -> None:
    async def body() -> None:
        answers = Answers(asyncio.get_running_loop())
        task = await waiting(answers, WAITS["answer"])
        assert answers.fail(7, ServiceError("failed", 1, 0))
        assert not answers.fail(7, ServiceError("failed", 1, 0))
        assert not answers.resolve(7, b"late")
        with pytest.raises(ServiceError):
            await task

    asyncio.run(body())
