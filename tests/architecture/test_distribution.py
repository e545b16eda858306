"""What is installed where somebody only says `pip install`: built as pip would build it."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
SOURCES = {"quorate": ROOT / "node", "quorate_operator": ROOT / "operator"}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder))
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_module_is_in_the_wheel(held: set[str]) -> None:
    modules = {
        path.relative_to(source).as_posix()
        for package, source in SOURCES.items()
        for path in (source / package).rglob("*.py")
    }
    assert modules <= held


def test_the_types_that_the_wheel_declares_are_seen_by_type_checkers(held: set[str]) -> None:
    """Without the marker every name is `Any` to whoever writes a service, and a typo is none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "Typing :: Typed" in project["classifiers"]
    assert "quorate/py.typed" in held


def test_every_command_has_its_module_in_the_wheel(held: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {target.partition(":")[0] for target in project["scripts"].values()}
    assert {f"{module.replace('.', '/')}.py" for module in modules} <= held
