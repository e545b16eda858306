"""Several calls at once, whose first error is raised by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from quorate_operator.errors import OperatorError


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group; if calls in it fail, the first of their errors is raised, not a group.

    Raises:
        OperatorError: The first error of a call; the other calls are cancelled.
        BaseExceptionGroup: Something that is not an error of a call: a bug.

    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as errors:
        calls, others = errors.split(OperatorError)
        if calls is None or others is not None:
            raise
        raise _first(calls) from errors


def _first(errors: ExceptionGroup[OperatorError]) -> OperatorError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
