"""The command line of the simulations: search seeds, repeat one, shorten a failure."""

from __future__ import annotations

import argparse
import os
import time
import traceback
from collections import Counter
from pathlib import Path

from quorate_simulation.explain import explain
from quorate_simulation.scenario import run_script
from quorate_simulation.timed import TimedResult, run_timed
from quorate_simulation.walk import STEPS, WalkResult, run_walk, shrink


def main(arguments: list[str] | None = None) -> int:
    """Run the verb that the arguments name; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m quorate_simulation")
    verbs = parser.add_subparsers(dest="verb", required=True)
    walk = verbs.add_parser("walk", help="the untimed random walk")
    walk.add_argument("--seed", type=int, help="repeat this one")
    walk.add_argument("--steps", type=int, default=STEPS)
    walk.add_argument("--first", type=int, default=0, help="search from this seed on")
    walk.add_argument("--seconds", type=float, default=10.0, help="search for so long")
    walk.add_argument("--keep-going", action="store_true", help="count failures by kind")
    walk.add_argument("--quick", action="store_true", help="do not shorten a failure")
    script = verbs.add_parser("script", help="run one directed script and tell all of it")
    script.add_argument("file", type=Path)
    timed = verbs.add_parser("timed", help="whole members and clients under virtual time")
    timed.add_argument("--seed", type=int, help="repeat this one")
    timed.add_argument("--first", type=int, default=0, help="search from this seed on")
    timed.add_argument("--seconds", type=float, default=10.0, help="search for so long")
    options = parser.parse_args(arguments)
    if options.verb == "timed":
        return _timed(options)
    if options.verb == "script":
        run_script(options.file, aloud=True)
        return 0
    if options.seed is not None:
        return _repeat(options.seed, options.steps, quick=options.quick)
    return _search(options)


def _timed(options: argparse.Namespace) -> int:
    """Run one seed, or search; stop at the first failure."""
    started = time.monotonic()
    seed = options.first if options.seed is None else options.seed
    marks: Counter[str] = Counter()
    virtual = 0.0
    while True:
        result = run_timed(seed)
        if result.failure is not None:
            report_timed(result)
            return 1
        marks.update(result.marks)
        virtual += result.virtual
        if options.seed is not None or time.monotonic() - started > options.seconds:
            break
        seed += 1
    taken = time.monotonic() - started
    print(f"{virtual:.0f} simulated seconds to seed {seed}: {virtual / taken:.0f} x real time")
    print(f"last: {result.faults} faults, {result.answered} answers, digest {result.digest:08x}")
    for name, count in sorted(marks.items()):
        print(f"  {count:7} {name}")
    return 0


def report_timed(result: TimedResult) -> None:
    """Print a failure and how to repeat it."""
    print(f"FAILED {result.kind} after {result.virtual:.3f} simulated s: {result.failure}")
    print(f"repeat: {result.command()}")
    if result.failure is not None:
        print("".join(traceback.format_exception(result.failure)))


def _repeat(seed: int, steps: int, *, quick: bool) -> int:
    result = run_walk(seed, steps)
    print(f"seed {seed}: {len(result.choices)} choices, digest {result.digest:08x}")
    if result.failure is None:
        print("marks:", ", ".join(sorted(result.marks)))
        return 0
    report(result, steps, shorten=not quick)
    return 1


def _search(options: argparse.Namespace) -> int:
    started = time.monotonic()
    seed = options.first
    marks: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    examples: dict[str, int] = {}
    while time.monotonic() - started < options.seconds:
        result = run_walk(seed, options.steps)
        marks.update(result.marks)
        if result.failure is not None:
            failures[result.kind] += 1
            examples.setdefault(result.kind, seed)
            if not options.keep_going:
                report(result, options.steps, shorten=not options.quick)
                return 1
        seed += 1
    walks = seed - options.first
    taken = time.monotonic() - started
    print(
        f"{walks} walks of {options.steps} steps from seed {options.first}: {walks / taken:.0f}/s"
    )
    for name, count in sorted(marks.items()):
        print(f"  {count:7} {name}")
    for kind, count in failures.most_common():
        print(f"FAILED {count} x {kind}, first with --seed {examples[kind]}")
    return 1 if failures else 0


def report(result: WalkResult, steps: int, *, shorten: bool) -> None:
    """Print a failure: how to repeat it, the shortest way there, and what was said."""
    print(f"FAILED {result.kind}: {result.failure}")
    print(f"repeat: {result.command(steps)}")
    if shorten:
        result = shrink(result)
    print(f"{len(result.choices)} choices:")
    explain(result)
    if result.failure is not None and os.environ.get("QUORATE_TRACEBACK", "1") == "1":
        print("".join(traceback.format_exception(result.failure)))
