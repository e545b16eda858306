"""The bench as a user runs it, on one tiny part: figures, files, and what an interrupt leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0


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
