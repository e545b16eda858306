"""``quorate recover --accept-loss``: a human decides that what was lost stays lost."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from quorate.cli.targets import data_directory
from quorate.errors import AdminRejected


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "recover",
        help="let a recovering member take part although it may have lost something",
        description=(
            "A member that may have lost what it acknowledged waits until the others cure it. If "
            "so many members wait that nobody can, this marks one member's loss as accepted; the "
            "member must not run. Messages that clients were told are applied may be gone then, "
            "and the next leadership term says so (possible_loss)."
        ),
    )
    parser.add_argument("directory", type=Path, help="data directory, or a member's of quorate dev")
    parser.add_argument(
        "--accept-loss", action="store_true", required=True, help="required: it is what this does"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show what may be lost, ask, and mark the loss as accepted."""
    from quorate.archive.accept_loss import accept_loss
    from quorate.archive.files import SystemFiles
    from quorate.archive.verify import verify_directory

    directory = data_directory(options.directory)
    files = SystemFiles(str(directory))
    if not options.yes:
        for found in verify_directory(files):
            print(f"{found.severity.value:6}  {found.name}: {found.detail}")
        if not _agreed(f"Accept the loss in {directory}?"):
            raise AdminRejected("nothing was changed")
    lost = accept_loss(files)
    print(
        f"{directory}: accepted a loss up to position {lost.position} of term "
        f"{lost.leadership_term_id} ({lost.reason.name.lower()}); start the member"
    )
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise AdminRejected("nobody to ask: say --yes")
    return input(f"{question} [yes/no] ").strip().lower() == "yes"
