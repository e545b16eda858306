import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from quorate.bench import compare
from quorate.bench.compare import CompareFailed, Ratio, figures, ratios, table

KEY = ("closed", "fsync", "deep window", "/s")


def document(**values: float) -> dict[str, Any]:
    return {
        "blocks": [
            {
                "part": "closed",
                "durability": "fsync",
                "figures": [
                    {"name": name, "unit": "/s", "value": value} for name, value in values.items()
                ],
            }
        ]
    }


def test_figures_are_told_apart_by_part_durability_and_name() -> None:
    block = {"part": "machine", "durability": None, "figures": []}
    found = figures({"blocks": [*document(messages=3.0)["blocks"], block]})
    assert found == {("closed", "fsync", "messages", "/s"): 3.0}


def test_a_ratio_is_taken_in_each_round() -> None:
    ratio = Ratio(KEY, (100.0, 300.0), (50.0, 100.0))
    assert ratio.ratios == (2.0, 3.0)


def test_a_round_in_which_the_other_has_nothing_has_no_ratio() -> None:
    assert Ratio(KEY, (100.0, 300.0), (0.0, 100.0)).ratios == (3.0,)


def test_what_one_side_has_not_measured_is_left_out() -> None:
    here = [document(a=1.0, b=2.0), document(a=3.0, b=4.0)]
    other = [document(a=2.0, b=2.0), document(a=2.0)]
    (only,) = ratios(here, other)
    assert only == Ratio(("closed", "fsync", "a", "/s"), (1.0, 3.0), (2.0, 2.0))


def test_the_table_has_medians_and_the_range_of_the_ratios() -> None:
    lines = table([Ratio(KEY, (110.0, 90.0, 120.0), (100.0, 100.0, 100.0))], "to HEAD~1")
    title, head, row = lines.splitlines()
    assert title == "to HEAD~1"
    assert head.split("  ")[0] == "figure"
    assert row.startswith("closed, fsync: deep window")
    assert row.split()[-6:] == ["110.0/s", "100.0/s", "1.100", "0.900", "to", "1.200"]


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(repository), *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone whose last commit says ``old`` and whose tree says ``new``."""
    clone = tmp_path / "clone"
    measured = clone / "node" / "quorate" / "measured.txt"
    old_bench = clone / "node" / "quorate" / "bench" / "old.py"
    old_bench.parent.mkdir(parents=True)
    old_bench.write_text("")
    measured.write_text("old")
    git(tmp_path, "init", "--quiet", str(clone))
    git(clone, "add", ".")
    author = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    git(clone, *author, "commit", "--quiet", "-m", "old")
    measured.write_text("new")
    monkeypatch.setattr(compare, "_NODE", clone / "node")
    return clone


def test_both_are_measured_in_turns_by_the_present_bench(
    monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path
) -> None:
    measured: list[tuple[str, str]] = []

    async def measure(node: Path, output: Path, options: list[str]) -> dict[str, Any]:
        assert options == ["--only", "closed"]
        said = (node / "quorate" / "measured.txt").read_text()
        measured.append((output.name, said))
        if said == "old":
            bench = node / "quorate" / "bench"
            assert (bench / "compare.py").is_file()
            assert not (bench / "old.py").exists()
        return document(messages=2.0 if said == "old" else 3.0)

    monkeypatch.setattr(compare, "_measure", measure)
    directory = tmp_path / "work"
    directory.mkdir()
    found = asyncio.run(compare.compare("HEAD", 3, directory, ["--only", "closed"]))
    assert measured == [
        ("here-0", "new"),
        ("other-0", "old"),
        ("other-1", "old"),
        ("here-1", "new"),
        ("here-2", "new"),
        ("other-2", "old"),
    ]
    assert "1.500 to 1.500" in found.text
    assert found.commit == git(repository, "rev-parse", "HEAD").strip()
    assert len(json.loads(found.to_json())["other"]) == 3
    assert list(directory.iterdir()) == []
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_the_worktree_goes_also_when_measuring_fails(
    monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path
) -> None:
    async def measure(*_: object) -> dict[str, Any]:
        raise CompareFailed("not measured")

    monkeypatch.setattr(compare, "_measure", measure)
    with pytest.raises(CompareFailed, match="not measured"):
        asyncio.run(compare.compare("HEAD", 1, tmp_path / "work", []))
    assert len(git(repository, "worktree", "list").splitlines()) == 1


@pytest.mark.usefixtures("repository")
def test_a_revision_that_git_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompareFailed, match="no-such-branch"):
        asyncio.run(compare.compare("no-such-branch", 1, tmp_path, []))
