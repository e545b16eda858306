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
from quorate.bench.compare import compare
from quorate.bench.plan import BOTH, Plan
from quorate.bench.run import PARTS, Block, Run
from quorate.config import Durability
from quorate.dev.demo_directory import fresh_directory
from quorate.errors import QuorateError

EXIT_INTERRUPTED = 130
OUTPUT = Path("build/bench")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; return 0 unless something could not be measured."""
    options = _parser().parse_args(arguments)
    # Told to stop is stopped as by Ctrl-C, also in the background, where a shell has SIGINT
    # ignored: clusters, load and files go.
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    directory = fresh_directory("quorate-bench-")
    try:
        code = (_compare if options.compare else _measure)(options, directory)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    if code == 1:
        print(f"the members' logs are below {directory}", file=sys.stderr)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def _compare(options: argparse.Namespace, directory: Path) -> int:
    chosen = ["--only", ",".join(options.only)]
    chosen += ["--quick"] if options.quick else []
    chosen += ["--durability", options.durability] if options.durability else []
    print(report.one_line(), flush=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(compare(options.compare, options.repeats, directory, chosen))
    except QuorateError as error:
        _say(f"not compared: {error}")
        return 1
    print(found.text)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "compare.json"
    path.write_text(found.to_json(), encoding="utf-8")
    _say(f"wrote {path}")
    return 0


def plan_of(options: argparse.Namespace, directory: Path) -> Plan:
    """Return how to measure, by the options."""
    plan = Plan(directory, repeats=options.repeats)
    if options.quick:
        plan = plan.quick()
    if options.durability:
        plan = replace(plan, durabilities=(Durability[options.durability.upper()],))
    return plan


def _measure(options: argparse.Namespace, directory: Path) -> int:
    plan = plan_of(options, directory)
    run = Run(plan, options.only, _say, _show)
    print(report.heading(), flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run.measure())
    _write(options, plan, run)
    for failure in run.failures:
        _say(f"not measured: {failure.title}: {failure.reason}")
    return 1 if run.failures else 0


def _write(options: argparse.Namespace, plan: Plan, run: Run) -> None:
    """Write all figures into the output directory."""
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    chosen = {"only": list(options.only), "quick": plan.is_quick, "repeats": plan.repeats}
    path = output / "figures.json"
    path.write_text(report.to_json(run.blocks, run.failures, chosen), encoding="utf-8")
    _say(f"wrote {', '.join(map(str, [path, *(_draw(run, output) if options.plot else ())]))}")


def _draw(run: Run, output: Path) -> list[Path]:
    """Write histograms and plot; return the files."""
    try:
        from quorate.bench.histograms import write_histograms
        from quorate.bench.plot import write_plot
    except ModuleNotFoundError as error:
        _say(f"no histograms and no plot: no module {error.name}; install quorate[bench]")
        return []
    return [
        *write_histograms(run.blocks, output),
        *write_plot(run.blocks, output / "figures.png", report.one_line()),
    ]


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
    parser.add_argument(
        "--no-plot", dest="plot", action="store_false", help="neither histograms nor plot"
    )
    parser.add_argument(
        "--compare",
        metavar="REV",
        help="measure this tree and that commit in turns, and print the ratios",
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
