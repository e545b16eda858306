"""The founding from the command line, asked of a member that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from quorate.cli.found import found
from quorate.cli.targets import Target
from quorate.control.metrics import Metrics
from quorate.control.server import ControlServer
from quorate.control.status import FollowerRow, MemberState
from quorate.errors import AdminRejected, NotConnected
from quorate_runtime.control import World, world
from quorate_wire.member_links import free_ports

ALONE = (FollowerRow(0, connected=True), FollowerRow(1, connected=False))
TOGETHER = (FollowerRow(0, connected=True), FollowerRow(1, connected=True))
PATIENCE_S = 20
"""Far more than any of these takes."""


def run(story: Callable[[World], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(2 * PATIENCE_S), world() as here:
            here.port.refusal = "as the test says"
            await story(here)

    asyncio.run(limited())


async def refused(here: World, *, discard: bool = False, timeout_s: int = PATIENCE_S) -> None:
    """Found; the member that the test plays refuses, at the latest when nothing helps."""
    with pytest.raises(AdminRejected, match="found: as the test says"):
        await found(Target((here.address,), ""), discard=discard, timeout_s=timeout_s)


@pytest.mark.parametrize("state", [MemberState.STARTING, MemberState.BLANK, MemberState.FOUNDING])
def test_members_that_have_not_found_each_other_are_waited_for(
    state: MemberState, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(here: World) -> None:
        await here.port.change(state=state, members=ALONE)
        async with asyncio.TaskGroup() as group:
            group.create_task(refused(here))
            await here.port.was_polled.wait()
            assert here.port.asked == []
            here.port.was_polled.clear()
            await here.port.change(input_hash="of no concern")
            await here.port.was_polled.wait()
            assert here.port.asked == []
            await here.port.change(members=TOGETHER)
        assert here.port.asked == [("found", False)]
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"quorate: found: {here.address} does not see seat 1 yet: waiting"

    run(story)


def test_a_member_that_does_not_listen_yet_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def story(here: World) -> None:
        (number,) = free_ports(1)
        late = ControlServer(here.port, Metrics(), token=lambda: None)
        async with asyncio.TaskGroup() as group:
            target = Target((f"127.0.0.1:{number}",), "")
            founding = group.create_task(
                found(target, discard=False, timeout_s=PATIENCE_S), name="found"
            )
            told = ""
            while not told:  # what is told changes no condition
                await asyncio.sleep(0)
                told = capsys.readouterr().err
            assert told.endswith("Connection refused: waiting\n")
            here.port.refusal = None
            await late.start("127.0.0.1", number)
            await here.port.was_asked.wait()
            assert here.port.on_outcome is not None
            here.port.on_outcome(True, "")
            assert await founding == "founded"
            assert capsys.readouterr().err == "", "told once"
        await late.close()

    run(story)


def test_one_that_never_listens_is_given_up_in_time() -> None:
    async def story(_: World) -> None:
        (number,) = free_ports(1)
        with pytest.raises(NotConnected, match="Connection refused"):
            await found(Target((f"127.0.0.1:{number}",), ""), discard=False, timeout_s=1)

    run(story)


def test_who_still_lacks_in_the_end_is_for_the_member_to_say() -> None:
    async def story(here: World) -> None:
        await here.port.change(state=MemberState.BLANK, members=ALONE)
        await refused(here, timeout_s=1)
        assert here.port.asked == [("found", False)]

    run(story)


def test_nothing_is_waited_for_where_it_cannot_help() -> None:
    async def story(here: World) -> None:
        await here.port.change(state=MemberState.FOUNDING_BROKEN, members=ALONE)
        await refused(here)
        await here.port.change(state=MemberState.BLANK)
        await refused(here, discard=True)
        assert here.port.asked == [("found", False), ("found", True)]
        assert not here.port.was_polled.is_set()

    run(story)


@pytest.mark.parametrize(("discard", "said"), [(False, "founded"), (True, "discarded")])
def test_what_was_done_is_said(*, discard: bool, said: str) -> None:
    async def story(here: World) -> None:
        here.port.refusal = None
        await here.port.change(state=MemberState.BLANK, members=TOGETHER)
        async with asyncio.TaskGroup() as group:
            target = Target((here.address,), "")
            asking = group.create_task(found(target, discard=discard, timeout_s=PATIENCE_S))
            await here.port.was_asked.wait()
            assert here.port.on_outcome is not None
            here.port.on_outcome(True, "")
            assert await asking == said

    run(story)
