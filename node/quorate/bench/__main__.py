"""``python -m quorate.bench``: choose the parts, run them, show and write the figures."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from quorate.bench import report
from quorate.bench.plan import BOTH, Plan
from quorate.bench.run import PARTS, Block, Run
from quorate.config import Durability
from quorate.dev.demo_directory import fresh_directory

EXIT_INTERRUPTED = 130
OUTPUT = Path("build/bench")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; return 0 unless something could not be measured."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return _measure(options)


def plan_of(options: argparse.Namespace, directory: Path) -> Plan:
    """Return how to measure, by the options."""
    plan = Plan(directory, repeats=options.repeats)
    if options.quick:
        plan = plan.quick()
    if options.durability:
        plan = replace(plan, durabilities=(Durability[options.durability.upper()],))
    return plan


def _measure(options: argparse.Namespace) -> int:
    directory = fresh_directory("quorate-bench-")
    plan = plan_of(options, directory)
    run = Run(plan, options.only, _say, _show)
    print(report.heading(), flush=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run.measure())
    except KeyboardInterrupt:
        shutil.rmtree(directory, ignore_errors=True)
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    _write(options, plan, run)
    for failure in run.failures:
        print(f"not measured: {failure.title}: {failure.reason}", file=sys.stderr)
    if run.failures:
        print(f"the members' logs are {directory}/*/member-*/member.log", file=sys.stderr)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def _write(options: argparse.Namespace, plan: Plan, run: Run) -> None:
    """Write all figures into the output directory."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    chosen = {"only": list(options.only), "quick": plan.is_quick, "repeats": plan.repeats}
    path = output / "figures.json"
    path.write_text(report.to_json(run.blocks, run.failures, chosen), encoding="utf-8")
    _say(f"wrote {path}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(block: Block) -> None:
    print(f"\n{report.section(block)}", flush=True)


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
    parser.add_argument(
        "--durability",
        choices=[durability.name.lower() for durability in BOTH],
        help="only this one (default: both)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="DIRECTORY",
        help="where JSON, histograms and plot go (%(default)s)",
    )
    return parser


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
