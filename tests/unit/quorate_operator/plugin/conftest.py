"""The kubectl that the plugin's tests find on the path."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import quorate_fake_kubectl.program
from quorate_fake_kubectl.answers import CLUSTER, pod_of, say, status_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the fake kubectl answers from; three members, all well."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    fake = quorate_fake_kubectl.program.__file__
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {fake} {tmp_path} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "cluster.json").write_text(json.dumps(CLUSTER))
    (tmp_path / "pods.json").write_text(json.dumps({"items": [pod_of(2), pod_of(0), pod_of(1)]}))
    for seat in range(3):
        say(tmp_path, status_of(seat))
    return tmp_path
