"""The files in the repository are what the schema says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from quorate_operator import labels
from quorate_operator.schema.__main__ import rendered
from quorate_operator.schema.definition import definition

ROOT = Path(__file__).resolve().parents[4]
REMEDY = "run `python -m quorate_operator.schema --write` in the root of the repository"
COMMAND = [sys.executable, "-m", "quorate_operator.schema"]


@pytest.mark.parametrize("name", rendered())
def test_a_file_is_what_the_schema_says(name: str) -> None:
    assert (ROOT / name).read_text() == rendered()[name], REMEDY


def test_the_definition_is_read_back_from_its_text() -> None:
    text = rendered()["crds/quorate.io_clusterservices.yaml"]
    assert yaml.safe_load(text) == definition()


def test_the_definition_says_its_version() -> None:
    annotations = yaml.safe_load(rendered()["crds/quorate.io_clusterservices.yaml"])["metadata"][
        "annotations"
    ]
    assert annotations == {labels.SCHEMA_ANNOTATION: str(labels.SCHEMA_VERSION)}


def test_the_chart_can_add_its_annotation_to_the_copy() -> None:
    # The chart's template puts `helm.sh/resource-policy: keep` behind this very line.
    text = rendered()["charts/quorate/files/crds/quorate.io_clusterservices.yaml"]
    assert text.count("\n  annotations:\n") == 1


def test_the_command_finds_and_writes_what_is_stale(tmp_path: Path) -> None:
    found = subprocess.run(
        COMMAND, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 1
    assert len(found.stdout.splitlines()) == len(rendered())
    subprocess.run([*COMMAND, "--write"], cwd=tmp_path, check=True, timeout=60)
    for name, text in rendered().items():
        assert (tmp_path / name).read_text() == text
    assert subprocess.run(COMMAND, cwd=tmp_path, timeout=60, check=False).returncode == 0
