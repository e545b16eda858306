"""``quorate found``: the one explicit act that gives birth to a cluster."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

from quorate.cli.arguments import whole_seconds
from quorate.cli.output import tell
from quorate.cli.targets import Target, add_target_arguments, control_target
from quorate.config import CONTROL_PORT
from quorate.control.status import MemberState, MemberStatus
from quorate.errors import NotConnected

if TYPE_CHECKING:
    from quorate.control.client import ControlClient

_FOUNDABLE = (MemberState.STARTING, MemberState.BLANK, MemberState.FOUNDING)
"""In any other state a member answers at once, whom it sees or not."""
RETRY_S = 0.2
"""Between two attempts to reach a member that does not listen yet."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "found",
        help="found the cluster, once, when all its members run",
        description=(
            "Founds the cluster through any of its members. Every member of the list must run, be "
            "blank and have the same cluster-wide configuration; members that do not see each "
            "other yet are waited for. quorate dev does this by itself."
        ),
    )
    add_target_arguments(parser, what="control address", example_port=CONTROL_PORT)
    parser.add_argument("--token-file", help="file with the bearer token of admin actions")
    parser.add_argument(
        "--discard",
        action="store_true",
        help="end a founding that is broken, so that another can begin; a founded cluster refuses",
    )
    parser.add_argument(
        "--timeout",
        type=whole_seconds,
        default=30,
        metavar="S",
        help="seconds to wait for members that start, and for the founding; default 30",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask the first member named and print the outcome."""
    target = control_target(options)
    reason = asyncio.run(found(target, discard=options.discard, timeout_s=options.timeout))
    print(json.dumps({"state": "completed", "reason": reason}) if options.json else reason)
    return 0


async def found(target: Target, *, discard: bool, timeout_s: int) -> str:
    """Found through the first member named, once it sees the others; return what it says of it.

    Raises:
        As ``ControlClient.found``.

    """
    from quorate.control.client import ControlClient

    async with ControlClient(target.token) as client:
        address = target.addresses[0]
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        if not discard:
            await _wait_connected(client, address, timeout_s)
        left_s = max(1, round(end - loop.time()))
        reason = await client.found(address, discard=discard, wait_s=left_s)
    return reason or ("discarded" if discard else "founded")


async def _wait_connected(client: ControlClient, address: str, timeout_s: int) -> None:
    """Return when a blank member sees all the others; in ``timeout_s`` even if it does not.

    Members that have only just been started do not listen yet, and answer here before they have
    found each other. Who lacks in the end is in the refusal of the founding.
    """
    told: list[int] = []
    try:
        async with asyncio.timeout(timeout_s):
            status = await _status_of_one_that_starts(client, address)
            while (missing := _unconnected(status)) and status.state in _FOUNDABLE:
                if missing != told:
                    seats = ", ".join(map(str, missing))
                    tell(f"found: {address} does not see seat {seats} yet: waiting")
                    told = missing
                status = await client.status(address, after=status.status_version)
    except TimeoutError:
        return


async def _status_of_one_that_starts(client: ControlClient, address: str) -> MemberStatus:
    """Return the first status of a member that need not listen yet."""
    told = False
    while True:
        try:
            return await client.status(address)
        except NotConnected as error:
            if not told:
                tell(f"found: {error}: waiting")
            told = True
            await asyncio.sleep(RETRY_S)


def _unconnected(status: MemberStatus) -> list[int]:
    return [row.seat for row in status.members if not row.connected]
