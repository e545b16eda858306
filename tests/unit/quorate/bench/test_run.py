import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from quorate.bench import run as module
from quorate.bench.figures import Figure, Measured
from quorate.bench.machine import Probe
from quorate.bench.plan import Plan
from quorate.bench.run import STEADY, Run, reason_of
from quorate.config import Durability
from quorate.errors import NotConnected

PROBE = Probe(146, 343, 18, 18, 0.1, 5.0)


class Bench:
    """A run whose parts and clusters are fakes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clusters: list[str] = []
        self.kept: list[str] = []
        self.broken: dict[str, BaseException] = {}
        self.measured: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.unusable: BaseException | None = None
        monkeypatch.setattr(module, "probe", lambda _: PROBE)
        monkeypatch.setattr(module, "rig", self.rig)
        for kind in STEADY:
            part = lambda _rig, _plan, durability, kind=kind: self.part(kind, durability)  # noqa: E731
            monkeypatch.setitem(STEADY, kind, part)  # type: ignore[arg-type]
        for kind in module.SINGLE:
            single = lambda _plan, durability, kind=kind: self.part(kind, durability)  # noqa: E731
            monkeypatch.setitem(module.SINGLE, kind, single)  # type: ignore[arg-type]

    async def part(self, kind: str, durability: Durability) -> Measured:
        self.measured.append((kind, durability.name.lower()))
        if kind in self.broken:
            raise self.broken[kind]
        return Measured([Figure(kind, "x", (1.0,))])

    @asynccontextmanager
    async def rig(self, path: Path, durability: Durability) -> AsyncIterator[Any]:
        if self.unusable is not None:
            raise self.unusable

        class Running:
            keeps_files = False

        self.clusters.append(path.name)
        yield Running
        if Running.keeps_files:
            self.kept.append(path.name)

    def run(self, *only: str, plan: Plan | None = None) -> Run:
        run = Run(plan or Plan(Path()), only, self.said.append, lambda _: None)
        asyncio.run(run.measure())
        return run


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_parts_of_one_durability_share_a_cluster_in_their_order(bench: Bench) -> None:
    run = bench.run("closed", "stop", "idle")
    assert bench.measured == [
        ("idle", "replicated"),
        ("closed", "replicated"),
        ("idle", "fsync"),
        ("closed", "fsync"),
        ("stop", "replicated"),
        ("stop", "fsync"),
    ]
    assert len(bench.clusters) == 2
    assert [block.part for block in run.blocks] == [kind for kind, _ in bench.measured]
    assert not run.failures


def test_after_a_part_that_failed_the_others_run_on_a_new_cluster(bench: Bench) -> None:
    bench.broken["idle"] = NotConnected("no leader")
    run = bench.run("idle", "closed", plan=Plan(Path(), durabilities=(Durability.FSYNC,)))
    assert [block.part for block in run.blocks] == ["closed"]
    (failure,) = run.failures
    assert (failure.part, failure.reason) == ("idle", "NotConnected: no leader")
    assert len(bench.clusters) == 2
    assert bench.kept == bench.clusters[:1]
    assert "idle, fsync failed: NotConnected: no leader" in bench.said


def test_without_a_cluster_all_its_parts_fail(bench: Bench) -> None:
    bench.unusable = NotConnected("member 1 ended")
    run = bench.run("idle", "closed", "stop", plan=Plan(Path(), durabilities=(Durability.FSYNC,)))
    assert [failure.part for failure in run.failures] == ["idle", "closed"]
    assert [block.part for block in run.blocks] == ["stop"]


def test_the_machine_alone_needs_no_cluster(bench: Bench) -> None:
    run = bench.run("machine")
    assert [figure.value for figure in run.blocks[0].measured.figures] == [146, 343, 18, 18]
    assert not bench.clusters


def test_a_quick_run_measures_costs_with_one_durability(bench: Bench) -> None:
    bench.run("sessions", "stop", "service", "failover", plan=Plan(Path()).quick())
    assert bench.measured == [
        ("sessions", "fsync"),
        ("failover", "replicated"),
        ("failover", "fsync"),
        ("stop", "fsync"),
        ("service", "fsync"),
    ]


def test_a_reason_is_the_first_of_a_group() -> None:
    group = ExceptionGroup("several", [ExceptionGroup("inner", [NotConnected("gone")])])
    assert reason_of(group) == "NotConnected: gone"
    assert reason_of(TimeoutError()) == "TimeoutError"
