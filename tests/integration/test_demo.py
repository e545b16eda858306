"""``python -m quorate.dev.demo``, as ``make demo`` runs it, with a shorter stream."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KEYS = 10_000
DEMO = (sys.executable, "-m", "quorate.dev.demo", "--keys", str(KEYS), "--rate", "2000")


def members_in(folder: Path) -> list[Path]:
    """Return the running members whose files lie below this folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"--config" in command and bytes(folder) in command:
            found.append(process)
    return found


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the demo with this folder as the one for new directories."""
    running = subprocess.Popen(
        [*DEMO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


def test_the_demo_kills_the_leader_and_proves_that_nothing_is_lost(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        out, errors = running.communicate(timeout=100)
    assert (running.returncode, errors) == (0, ""), out
    killed = re.search(r"SIGKILL to member (\d), the leader of term (\d+), behind key", out)
    assert killed, out
    seat, term = killed.groups()
    assert f"member {seat} ended (signal 9); it stays down until asked for" in out
    successor = re.search(r"commit position [\d,]+ in term (\d+)", out)
    assert successor, out
    assert int(successor.group(1)) > int(term)
    assert f"starting member {seat} again; the others have committed" in out
    assert f"member {seat} has caught up" in out
    sent = f"{KEYS + 4:,}"
    assert re.search(rf"keys sent +{sent} in one session\n", out), out
    assert re.search(rf"acknowledged +{sent}\n", out), out
    applied = ", ".join(f"{sent} (member {each})" for each in range(3))
    assert f"applied once, in order  {applied}\n" in re.sub(" {2,}", "  ", out)
    digests = re.findall(r"member (\d) +(\w{32}) \(its recording leads to the same\)", out)
    assert [each for each, _ in digests] == ["0", "1", "2"], out
    assert len({digest for _, digest in digests}) == 1
    assert "equal to those without a cluster: yes" in out
    assert out.endswith(
        "every acknowledged key was applied exactly once, in order, on all members\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    with demo(tmp_path) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "streaming" in line:
                break
        assert len(members_in(tmp_path)) == 3
        running.send_signal(number)
        out, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, ""), out
    assert out.endswith("interrupted; the members have ended\n")
    assert members_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
