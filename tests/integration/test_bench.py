"""The bench as a user runs it, on one tiny part: figures, files, and what an interrupt leaves."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.bench import hostile
from quorate.bench.plan import Plan
from quorate.bench.run import Run

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0
SLICE_S = 1.2
"""Twice as many messages as a p99 needs, should the machine be busy."""


def command(output: Path, *parts: str) -> list[str]:
    options = ["--quick", "--durability", "fsync", "--repeats", "1", "--output", str(output)]
    return [sys.executable, "-m", "quorate.bench", *options, "--only", ",".join(parts)]


def processes_naming(path: Path) -> list[str]:
    """Return the command lines of running processes that name a path."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(path) in line:
            found.append(line)
    return found


def test_a_tiny_run_measures_and_writes_everything(tmp_path: Path) -> None:
    work, output = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    done = subprocess.run(
        command(output, "idle", "lone-frames"),
        env={**os.environ, "TMPDIR": str(work)},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_TIMEOUT_S + END_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "idle, fsync | data sync " in done.stdout
    assert "each message in its own frame" in done.stdout
    names = {path.name for path in output.iterdir()}
    assert names == {"figures.json", "figures.png", "idle-fsync.hgrm"}
    document = json.loads((output / "figures.json").read_text())
    idle, lone = document["blocks"]
    assert [idle["part"], lone["part"]] == ["idle", "lone-frames"]
    assert idle["figures"][0]["value"] > 0
    assert lone["figures"][0]["target"] == 80_000
    # Nothing that was sent and acknowledged went without its answer.
    assert lone["details"][0]["egress_missing"] == 0
    assert idle["before"]["sync_p50"] > 0
    assert document["failures"] == []
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("part", "goals"), [("overload", 6), ("flood", 1), ("hostile", 2), ("lagging", 3)]
)
def test_a_tiny_overload_is_measured(
    part: str, goals: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short slices, each once; and two of the attacks, which differ only in what attackers do."""
    few = {name: hostile.ATTACKS[name] for name in ("trickle", "deaf")}
    monkeypatch.setattr(hostile, "ATTACKS", few)
    plan = replace(Plan(tmp_path).quick(), warm_up_s=0.1, slice_s=SLICE_S, missed=20_000)
    said: list[str] = []
    run = Run(plan, (part,), said.append, lambda _: None)
    asyncio.run(run.measure())
    assert not run.failures, run.failures
    (block,) = run.blocks
    figures = block.measured.figures
    assert sum(figure.target is not None for figure in figures) == goals
    assert all(figure.value > 0 for figure in figures if figure.unit)
    assert said == [f"measuring {part}, fsync"]
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    work, output = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    with subprocess.Popen(
        command(output, "closed"),
        env={**os.environ, "TMPDIR": str(work)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        assert bench.stderr is not None
        assert bench.stderr.readline() == "measuring closed, fsync\n"
        deadline = time.monotonic() + START_TIMEOUT_S
        while len(processes_naming(work)) < 3:
            assert time.monotonic() < deadline, "the members do not run"
        bench.send_signal(signal.SIGTERM)
        _, errors = bench.communicate(timeout=END_TIMEOUT_S)
    assert bench.returncode == 130, errors
    assert errors.endswith("interrupted\n")
    assert processes_naming(work) == []
    assert list(work.iterdir()) == []
    assert not output.exists()
