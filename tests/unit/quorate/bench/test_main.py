from __future__ import annotations

import json
import sys
from functools import partialmethod
from pathlib import Path

import pytest

from quorate.bench import __main__ as bench
from quorate.bench.compare import CompareFailed, Comparison
from quorate.bench.figures import Figure, Measured
from quorate.bench.machine import Probe
from quorate.bench.plan import Plan
from quorate.bench.run import PARTS, Block, Failure, Run
from quorate.config import Durability

PROBE = Probe(146, 343, 18, 18, 0.1, 5.0)


@pytest.fixture(autouse=True)
def _own_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


async def _measured(run: Run, measuring: Measuring) -> None:
    await measuring.measure(run)


class Measuring:
    """Stands for the measuring: ends as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: BaseException | None = None
        self.failures: list[Failure] = []
        self.histograms: dict[str, dict[int, int]] = {}
        self.runs: list[Run] = []
        monkeypatch.setattr(Run, "measure", partialmethod(_measured, self))

    @property
    def plan(self) -> Plan:
        return self.runs[0]._plan

    async def measure(self, run: Run) -> None:
        self.runs.append(run)
        if self.error is not None:
            raise self.error
        figure = Figure("one outstanding, p50", "us", (1.0, 2.0, 3.0))
        measured = Measured([figure], (), self.histograms)
        run.blocks.append(Block("idle", Durability.FSYNC, measured, PROBE, PROBE))
        run._show(run.blocks[0])
        run.failures += self.failures


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    return Measuring(monkeypatch)


def test_measures_everything_by_default(
    measuring: Measuring, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--output", str(output)]) == 0
    (run,) = measuring.runs
    assert tuple(run._only) == PARTS
    assert measuring.plan.repeats == 3
    assert measuring.plan.kills == 30
    assert measuring.plan.durabilities == (Durability.REPLICATED, Durability.FSYNC)
    assert not measuring.plan.directory.exists()
    assert "2.00 us" in capsys.readouterr().out


def test_writes_json(measuring: Measuring, output: Path) -> None:
    options = ["--output", str(output), "--only", "idle", "--quick", "--durability", "fsync"]
    assert bench.main(options) == 0
    document = json.loads((output / "figures.json").read_text())
    assert document["blocks"][0]["figures"][0]["values"] == [1, 2, 3]
    assert document["options"] == {"only": ["idle"], "quick": True, "repeats": 3}
    assert measuring.plan.durabilities == (Durability.FSYNC,)
    assert measuring.plan.closed_s < Plan(Path()).closed_s


def test_a_part_that_failed_is_named_and_leaves_the_logs(
    measuring: Measuring, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring.failures = [Failure("stop", Durability.FSYNC, "NotConnected: no leader")]
    assert bench.main(["--output", str(output)]) == 1
    assert measuring.plan.directory.exists()
    printed = capsys.readouterr()
    assert "2.00 us" in printed.out
    assert "not measured: stop, fsync: NotConnected: no leader" in printed.err
    assert str(measuring.plan.directory) in printed.err
    assert json.loads((output / "figures.json").read_text())["failures"][0]["part"] == "stop"


def test_an_interrupt_leaves_nothing(measuring: Measuring, output: Path) -> None:
    measuring.error = KeyboardInterrupt()
    assert bench.main(["--output", str(output)]) == bench.EXIT_INTERRUPTED
    assert not measuring.plan.directory.exists()
    assert not output.exists()


def test_ratios_to_another_commit_replace_the_table(
    monkeypatch: pytest.MonkeyPatch, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    async def compared(revision: str, rounds: int, _: Path, options: list[str]) -> Comparison:
        asked.append((revision, rounds, options))
        return Comparison("abc", "the ratios", {"this tree": [], "other": []})

    monkeypatch.setattr(bench, "compare", compared)
    options = ["--compare", "HEAD~3", "--repeats", "5", "--only", "idle,closed", "--quick"]
    assert bench.main([*options, "--output", str(output)]) == 0
    assert asked == [("HEAD~3", 5, ["--only", "idle,closed", "--quick"])]
    assert capsys.readouterr().out.endswith("the ratios\n")
    document = json.loads((output / "compare.json").read_text())
    assert document == {"commit": "abc", "this tree": [], "other": []}


def test_a_commit_that_cannot_be_compared_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def failed(*_: object) -> str:
        raise CompareFailed("git rev-parse nowhere: no such commit")

    monkeypatch.setattr(bench, "compare", failed)
    assert bench.main(["--compare", "nowhere"]) == 1
    assert "not compared: git rev-parse nowhere: no such commit" in capsys.readouterr().err


def test_histograms_and_plot_stand_beside_the_figures(measuring: Measuring, output: Path) -> None:
    measuring.histograms = {"idle": {1_000: 90, 2_000: 9, 123_000: 1}}
    assert bench.main(["--output", str(output)]) == 0
    names = {path.name for path in output.iterdir()}
    assert names == {"figures.json", "figures.png", "idle-fsync.hgrm"}


def test_the_figures_do_not_need_the_packages_that_draw(
    measuring: Measuring,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    monkeypatch.delitem(sys.modules, "quorate.bench.histograms", raising=False)
    assert bench.main(["--output", str(output)]) == 0
    assert [path.name for path in output.iterdir()] == ["figures.json"]
    assert "install quorate[bench]" in capsys.readouterr().err


def test_a_part_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        bench.main(["--only", "idle,speed"])
    assert caught.value.code == 2
    assert "no part 'speed'; there are machine, idle" in capsys.readouterr().err
