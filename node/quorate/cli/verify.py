"""``quorate verify``: check every file of a data directory."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from quorate.cli.targets import data_directory
from quorate.runtime.exit_codes import ExitCode


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "verify",
        help="check every file of a member's data directory",
        description=(
            "Checks every file of a member's data directory and changes nothing. Meant for a "
            "member that does not run. Exit code 0: sound, or healed by the next start without "
            "loss; 5: damaged; 1: could not be checked."
        ),
    )
    parser.add_argument("directory", type=Path, help="data directory, or a member's of quorate dev")
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings; the exit code tells the worst."""
    from quorate.archive.files import SystemFiles
    from quorate.archive.verify import FindingSeverity, verify_directory

    directory = data_directory(options.directory)
    findings = verify_directory(SystemFiles(str(directory)))
    if options.json:
        rows = [
            {"file": found.name, "severity": found.severity.value, "detail": found.detail}
            for found in findings
        ]
        print(json.dumps(rows))
    else:
        for found in findings:
            print(f"{found.severity.value:6}  {found.name}: {found.detail}")
        print(f"{directory}: {_verdict([found.severity.value for found in findings])}")
    damaged = any(found.severity is FindingSeverity.DAMAGE for found in findings)
    return ExitCode.DAMAGED if damaged else ExitCode.ASKED


def _verdict(severities: list[str]) -> str:
    if "damage" in severities:
        return (
            "damaged; started beside the others, a member is cured by them as far as that is "
            "possible, and its log says what is not"
        )
    return "sound; the next start heals what is listed" if "heals" in severities else "sound"
