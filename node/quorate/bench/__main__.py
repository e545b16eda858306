"""``python -m quorate.bench``: choose the parts, run them, print the table."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from quorate.bench import report
from quorate.bench.figures import Figure
from quorate.bench.parts import Plan, failover, latency, length, machine
from quorate.config import Durability
from quorate.dev.demo_directory import fresh_directory
from quorate.errors import QuorateError

PARTS = ("machine", "idle", "open", "closed", "failover", "length")
OF_ONE_CLUSTER = ("idle", "open", "closed")
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; return 0 unless something could not be measured."""
    options = _parser().parse_args(arguments)
    directory = fresh_directory("quorate-bench-")
    plan = Plan(directory, repeats=options.repeats)
    if options.quick:
        plan = plan.quick()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(_measure(plan, options.only))
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (QuorateError, OSError, ExceptionGroup) as error:
        print(f"bench failed: {error}", file=sys.stderr)
        print(f"the members' logs are {directory}/*/member-*/member.log", file=sys.stderr)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    _show(figures)
    if options.json:
        chosen = {"only": list(options.only), "quick": options.quick, "repeats": plan.repeats}
        options.json.write_text(report.to_json(figures, chosen), encoding="utf-8")
    return 0


async def _measure(plan: Plan, only: Sequence[str]) -> list[Figure]:
    """Run the chosen parts one after the other."""
    figures: list[Figure] = []
    if "machine" in only:
        _say("disk and loopback of this machine")
        figures += await machine(plan)
    kinds = [kind for kind in OF_ONE_CLUSTER if kind in only]
    for durability in Durability if kinds else ():
        _say(f"{', '.join(kinds)} with durability {durability.name.lower()}")
        figures += await latency(plan, durability, kinds)
    if "failover" in only:
        _say(f"{plan.kills} kills of the leader")
        figures += await failover(plan)
    if "length" in only:
        _say("a long log")
        figures += await length(plan)
    return figures


def _say(text: str) -> None:
    load = os.getloadavg()[0]
    print(f"measuring: {text} (load average {load:.1f})", file=sys.stderr, flush=True)


def _show(figures: Sequence[Figure]) -> None:
    about = report.machine()
    print(
        f"\n{about['cores']} cores of {about['processor']}, Linux {about['kernel']}, "
        f"Python {about['python']}; 3 members and the client on this machine\n"
    )
    print(report.table(figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quorate.bench", description="Measure a cluster here.")
    parser.add_argument(
        "--only",
        type=_parts,
        default=PARTS,
        metavar="PART,...",
        help=f"of {', '.join(PARTS)} (default: all)",
    )
    parser.add_argument("--quick", action="store_true", help="shorter repeats and fewer kills")
    parser.add_argument(
        "--repeats", type=int, default=3, choices=range(1, 101), metavar="N", help="(%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    return parser


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
