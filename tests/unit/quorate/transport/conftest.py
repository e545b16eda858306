"""Real event loops of both kinds for tests of transports."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine

import pytest
import uvloop

from quorate_wire.member_links import PATIENCE_S, Run


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test's coroutine on each kind of loop; whatever the loop complains of fails it."""

    def runner(test: Coroutine[None, None, None]) -> None:
        complaints: list[object] = []

        async def watched() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: complaints.append(context))
            async with asyncio.timeout(3 * PATIENCE_S):
                await test

        with asyncio.Runner(loop_factory=request.param) as one:
            one.run(watched())
        assert not complaints
        gc.collect()  # whatever was left open complains here, and not in the test behind this

    return runner
