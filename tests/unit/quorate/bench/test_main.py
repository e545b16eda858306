import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from quorate.bench import __main__ as bench
from quorate.bench.figures import Figure
from quorate.bench.parts import Plan
from quorate.errors import NotConnected


@pytest.fixture(autouse=True)
def _own_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


class Measured:
    """Stands for the measuring: ends as the test says."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.plan: Plan
        self.only: Sequence[str] = ()

    async def __call__(self, plan: Plan, only: Sequence[str]) -> list[Figure]:
        self.plan, self.only = plan, only
        if self.error is not None:
            raise self.error
        return [Figure("idle", "p50", "us", (1.0, 2.0, 3.0))]


def test_measures_everything_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Measured()
    monkeypatch.setattr(bench, "_measure", measured)
    assert bench.main([]) == 0
    assert tuple(measured.only) == bench.PARTS
    assert measured.plan.repeats == 3
    assert not measured.plan.directory.exists()
    assert "2.00 us" in capsys.readouterr().out


def test_writes_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "_measure", Measured())
    path = tmp_path / "figures.json"
    assert bench.main(["--json", str(path), "--only", "idle", "--quick"]) == 0
    document = json.loads(path.read_text())
    assert document["figures"][0]["values"] == [1, 2, 3]
    assert document["options"] == {"only": ["idle"], "quick": True, "repeats": 3}


def test_a_failure_is_named_and_leaves_the_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Measured(NotConnected("no leader"))
    monkeypatch.setattr(bench, "_measure", measured)
    assert bench.main([]) == 1
    assert measured.plan.directory.exists()
    printed = capsys.readouterr().err
    assert "bench failed: no leader" in printed
    assert str(measured.plan.directory) in printed


def test_an_interrupt_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(KeyboardInterrupt())
    monkeypatch.setattr(bench, "_measure", measured)
    assert bench.main([]) == bench.EXIT_INTERRUPTED
    assert not measured.plan.directory.exists()


def test_a_part_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        bench.main(["--only", "idle,speed"])
    assert caught.value.code == 2
    assert "no part 'speed'; there are machine, idle" in capsys.readouterr().err


def test_parts_are_measured_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    async def part(plan: Plan, *more: object) -> list[Figure]:
        calls.append(more)
        return []

    for name in ("machine", "latency", "failover", "length"):
        monkeypatch.setattr(bench, name, part)
    asyncio.run(bench._measure(Plan(Path()), ("closed", "idle", "failover")))
    assert [more[1] if more else None for more in calls] == [
        ["idle", "closed"],
        ["idle", "closed"],
        None,
    ]
