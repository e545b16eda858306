"""Every command that a page shows is run here as it stands, and the README's code as well."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from quorate.testing import ServiceHarness

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
ON_KUBERNETES = re.compile(r"\b(?:kubectl|helm)\b")
"""Typed by tests/kubernetes/stories/test_documented_commands.py, on a cluster of Kubernetes."""
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _shown() -> list[tuple[str, list[str]]]:
    """Return every command on any page with the output lines shown below it, in order."""
    shown: list[tuple[str, list[str]]] = []
    for page in PAGES:
        for block in CONSOLE.findall(page.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if line.startswith("$ "):
                    shown.append((line[2:], []))
                elif shown:
                    shown[-1][1].append(line)
    return shown


def _targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+):", text, re.MULTILINE))


@pytest.mark.parametrize("command", [c for c, _ in _shown() if c.startswith("make ")])
def test_make_knows_the_verb(command: str) -> None:
    """What the verbs do is tested by CI itself, which calls them."""
    assert command.split()[1] in _targets()


def test_shown_commands_work_against_a_running_dev(tmp_path: Path) -> None:
    """Each ``quorate`` line is typed into a shell beside ``quorate dev``, in order."""
    lines = [(c, output) for c, output in _shown() if "quorate" in c.split()]
    lines = [(c, output) for c, output in lines if not ON_KUBERNETES.search(c)]
    assert lines[0][0] == "quorate dev"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    dev = subprocess.Popen(
        ["quorate", "dev"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert dev.stdout is not None
        for line in dev.stdout:
            if " leads in term " in line:
                break
        for command, output in lines[1:]:
            result = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert result.returncode == 0, (command, result.stdout, result.stderr)
            for expected in output:
                assert expected in result.stdout, (command, result.stdout)
    finally:
        dev.send_signal(signal.SIGINT)
        dev.communicate(timeout=30)
    assert dev.returncode == 0


def test_the_readme_service_does_what_it_says() -> None:
    service, application = PYTHON.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    ledger = types.ModuleType("ledger")
    exec(service, ledger.__dict__)
    harness = ServiceHarness(ledger.Ledger)
    session = harness.open_session("ada")
    assert session.send(b"ada 500", b"ada -200", b"ada -400", b"ada") == [
        b"500",
        b"300",
        b"refused",
        b"300",
    ]
    harness.assert_deterministic()
    assert len(service.splitlines()) <= 32
    namespace: dict[str, object] = {}
    exec(application, namespace)
    assert asyncio.iscoroutinefunction(namespace["book"])
