"""Directed schedules: every killer that we know, one script each; see ``scenarios/*.txt``."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate_simulation.scenario import ScenarioFailed, run_script

SCRIPTS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scenario(script: Path) -> None:
    run_script(script)


def test_every_script_says_what_it_is_about() -> None:
    for script in SCRIPTS:
        assert script.read_text(encoding="utf-8").startswith("# "), script.name


@pytest.mark.parametrize(
    "line",
    ["expect leader 1", "expect commit 0 7", "deliver 0->1 Vote", "expect frames 0 9"],
)
def test_an_expectation_that_is_not_met_fails(line: str, tmp_path: Path) -> None:
    script = tmp_path / "wrong.txt"
    script.write_text(f"cluster 3\nlink all\nelect 0 with 1 2\nsettle\n{line}\n")
    with pytest.raises(ScenarioFailed, match=r"wrong.txt: line 5"):
        run_script(script)
