"""Applies each mutant to a copy of the sources and sees whether the fast tests kill it.

    python tests/mutants/run.py [NAME ...] [--seconds 20] [--jobs 2]

Prints killed or survived with the gate that did it, and the score; exit code 1 if any mutant
survived or no longer fits the source. Not part of any other test run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutant import Mutant
from mutants import ALL as NODE
from operator_plan import OPERATOR_PLAN
from recording import RECORDING
from turns import TURNS

ROOT = Path(__file__).resolve().parents[2]
GATE_TIMEOUT_S = 300
ALL = (*NODE, *RECORDING, *TURNS, *OPERATOR_PLAN)

Gate = tuple[str, list[str]]


def gates_of(mutant: Mutant, seconds: float) -> list[Gate]:
    """Return what is run against a mutant, cheapest first."""
    package = mutant.file.split("/", maxsplit=1)[0]
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=120"]
    simulation = [sys.executable, "-m", "quorate_simulation"]
    if package == "quorate_operator":
        model = [sys.executable, "-m", "quorate_kubernetes_model.walk"]
        stories = "tests/unit/quorate_operator/planning"
        return [
            ("model", [*model, "--seconds", str(seconds)]),
            (stories, [*pytest, str(ROOT / stories)]),
        ]
    directed: Gate = (
        "scripts",
        [*pytest, str(ROOT / "tests/simulation/test_scenarios.py"), str(ROOT / "tests/paper")],
    )
    walk: Gate = ("walk", [*simulation, "walk", "--quick", "--seconds", str(seconds)])
    timed: Gate = ("timed", [*simulation, "timed", "--seconds", str(seconds)])
    unit: list[Gate] = [
        (folder, [*pytest, str(ROOT / folder)])
        for folder in (f"tests/unit/quorate/{package}", "tests/storage")
        if (ROOT / folder).is_dir() and (folder != "tests/storage" or package == "archive")
    ]
    if package == "consensus":
        return [directed, walk, timed, *unit]
    return [*unit, timed]


def source_of(mutant: Mutant) -> str:
    """Return the folder that holds its file: the node's package, or the operator's source root."""
    return "operator" if mutant.file.startswith("quorate_operator/") else "node/quorate"


def problem_with(mutant: Mutant) -> str | None:
    """Return why a mutant no longer fits the source."""
    text = (ROOT / source_of(mutant) / mutant.file).read_text(encoding="utf-8")
    for old, _ in mutant.changes:
        if text.count(old) != 1:
            return f"its text occurs {text.count(old)} times in {mutant.file}"
    return None


def kill(mutant: Mutant, seconds: float) -> str:
    """Return the gate that noticed this mutant; empty if none did."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        roots = [Path(folder) / root for root in ("node", "operator")]
        for root in roots:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / root.name, root, ignore=ignored)
        path = Path(folder) / source_of(mutant) / mutant.file
        text = path.read_text(encoding="utf-8")
        for old, new in mutant.changes:
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        python_path = os.pathsep.join((*map(str, roots), str(ROOT / "tests/support")))
        environment = {**os.environ, "PYTHONPATH": python_path, "QUORATE_TRACEBACK": "0"}
        for name, command in gates_of(mutant, seconds):
            try:
                outcome = subprocess.run(
                    command,
                    cwd=ROOT if "pytest" in command else folder,
                    env=environment,
                    capture_output=True,
                    timeout=GATE_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"{name} (hangs)"
            if outcome.returncode:
                return name
    return ""


def main() -> int:
    """Run the chosen mutants, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each searching gate")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    chosen = [m for m in ALL if not options.names or m.name in options.names]
    misfits = {m.name: problem for m in chosen if (problem := problem_with(m))}
    for name, problem in misfits.items():
        print(f"MISFIT    {name}: {problem}")
    fitting = [m for m in chosen if m.name not in misfits]
    survived = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = pool.map(lambda m: (m, kill(m, options.seconds)), fitting)
        for mutant, gate in outcomes:
            survived += not gate
            verdict = f"killed by {gate}" if gate else f"SURVIVED: {mutant.breaks}"
            print(f"{mutant.name:32} {verdict}", flush=True)
    total = len(fitting)
    score = 100 * (total - survived) / total if total else 0
    print(f"{total - survived} of {total} killed: {score:.0f} %")
    return 1 if survived or misfits else 0


if __name__ == "__main__":
    sys.exit(main())
