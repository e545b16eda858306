"""``quorate status``: a table of members."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Coroutine, Sequence
from dataclasses import asdict

from quorate.cli.targets import Target, add_target_arguments, control_target
from quorate.config import CONTROL_PORT
from quorate.control.status import MemberStatus
from quorate.control.summary import lag, leader_of, remarks
from quorate.errors import NotConnected, RemoteProtocolError

COLUMNS = (
    "SEAT", "STATE", "TERM", "LEADER", "WRITTEN", "APPEND", "COMMIT", "SERVICE", "LAG",
    "DURABILITY", "CONTROL",
)  # fmt: skip


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "status",
        help="show every member's role, term and positions",
        description=(
            "Shows what each member says of itself. Positions are bytes in the log: in the file "
            "(written), durable (append), held by a quorum (commit), applied (service). Lag is "
            "the distance from the leader's written position to the member's append position. "
            "Exit code 1 when a member does not answer or nobody leads."
        ),
    )
    add_target_arguments(parser, what="control address", example_port=CONTROL_PORT)
    parser.add_argument("--json", action="store_true", help="print a JSON list, null for no answer")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask all members at once and print the table."""
    target = control_target(options)
    statuses = asyncio.run(_ask(target))
    if options.json:
        rows = [None if isinstance(status, str) else asdict(status) for status in statuses]
        print(json.dumps(rows))
    else:
        print("\n".join(render(target.addresses, statuses)))
    answers = [status for status in statuses if not isinstance(status, str)]
    leads = any(status.role == "leader" for status in answers)
    return 0 if leads and len(answers) == len(statuses) else 1


async def _ask(target: Target) -> list[MemberStatus | str]:
    """Return each member's status, or why there is none."""
    from quorate.control.client import ControlClient

    async with ControlClient() as client, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_ask_one(client.status(address)), name=f"status of {address}")
            for address in target.addresses
        ]
    return [task.result() for task in tasks]


async def _ask_one(asking: Coroutine[None, None, MemberStatus]) -> MemberStatus | str:
    try:
        return await asking
    except (NotConnected, RemoteProtocolError) as error:
        return " ".join(str(error).split())  # what is no member may answer with a page


def render(addresses: Sequence[str], statuses: Sequence[MemberStatus | str]) -> list[str]:
    """Return the lines of the table, and one line for each thing that needs words.

    Args:
        addresses: Of the members' control ports.
        statuses: What each of them answered, or why there is no answer.

    """
    leader = leader_of(row for row in statuses if not isinstance(row, str))
    rows: list[Sequence[str]] = [COLUMNS]
    for address, status in zip(addresses, statuses, strict=True):
        rows.append(_row(address, status, leader))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for status in statuses:
        if isinstance(status, str):
            lines.append(status)
        else:
            lines += (f"seat {status.seat}: {words}" for words in remarks(status))
    return lines


def _row(address: str, status: MemberStatus | str, leader: MemberStatus | None) -> Sequence[str]:
    if isinstance(status, str):
        return ("?", "no answer", *["-"] * (len(COLUMNS) - 3), address)
    return (
        str(status.seat),
        status.state.value,
        str(status.leadership_term_id),
        "-" if status.leader is None else str(status.leader),
        str(status.written_position),
        str(status.append_position),
        str(status.commit_position),
        str(status.service_position),
        lag(status, leader),
        status.durability,
        address,
    )
