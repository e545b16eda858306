"""Several calls at once: what is raised when some of them fail."""

from __future__ import annotations

import asyncio

import pytest

from quorate_operator.errors import Conflict, OperatorError, Unavailable
from quorate_operator.kube.together import together


async def failing(error: Exception) -> None:
    raise error


def raised_by(*errors: Exception) -> BaseException:
    async def story() -> None:
        async with together() as group:
            for error in errors:
                group.create_task(failing(error), name="fails")

    with pytest.raises((OperatorError, BaseExceptionGroup)) as found:
        asyncio.run(story())
    return found.value


def test_of_calls_that_fail_one_error_is_raised_as_if_there_were_no_others() -> None:
    first = Unavailable("away")
    assert raised_by(first, Conflict("changed")) is first


def test_a_bug_beside_a_call_that_fails_stays_a_bug() -> None:
    """Else it would be tried again for ever, and nobody would be told."""
    found = raised_by(Unavailable("away"), KeyError("a bug"))
    assert isinstance(found, ExceptionGroup)
    assert found.subgroup(KeyError) is not None


def test_errors_of_calls_within_calls_are_errors_of_calls() -> None:
    async def story() -> None:
        async with together() as outer:
            inner = asyncio.TaskGroup()

            async def nested() -> None:
                async with inner:
                    inner.create_task(failing(Conflict("changed")), name="fails")

            outer.create_task(nested(), name="nested")

    with pytest.raises(Conflict):
        asyncio.run(story())
