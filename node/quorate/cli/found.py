"""``quorate found``: the one explicit act that gives birth to a cluster."""

from __future__ import annotations

import argparse
import asyncio
import json

from quorate.cli.targets import Target, add_target_arguments, control_target
from quorate.config import CONTROL_PORT


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "found",
        help="found the cluster, once, when all its members run",
        description=(
            "Founds the cluster through any of its members. Every member of the list must run, be "
            "blank and have the same cluster-wide configuration. quorate dev does this by itself."
        ),
    )
    add_target_arguments(parser, what="control address", example_port=CONTROL_PORT)
    parser.add_argument("--token-file", help="file with the bearer token of admin actions")
    parser.add_argument(
        "--discard",
        action="store_true",
        help="end a founding that is broken, so that another can begin; a founded cluster refuses",
    )
    parser.add_argument("--timeout", type=int, default=30, metavar="S", help="seconds; default 30")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask the first member named and print the outcome."""
    target = control_target(options)
    reason = asyncio.run(_found(target, discard=options.discard, timeout_s=options.timeout))
    print(json.dumps({"state": "completed", "reason": reason}) if options.json else reason)
    return 0


async def _found(target: Target, *, discard: bool, timeout_s: int) -> str:
    from quorate.control.client import ControlClient

    async with ControlClient(target.token) as client:
        address = target.addresses[0]
        reason = await client.found(address, discard=discard, wait_s=timeout_s)
    return reason or ("discarded" if discard else "founded")
