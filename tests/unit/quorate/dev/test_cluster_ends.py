"""How a cluster's members are ended: in order, in time, and by whoever wants it at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from quorate.consensus.types import Seat
from quorate.control.status import MemberState
from quorate.dev import cluster as module
from quorate.dev.cluster import DevCluster, DevEvent
from quorate.dev.layout import DevDirectory, DevOptions
from quorate.errors import NotConnected
from quorate_processes.stand_ins import RUNS, ControlPorts, command, lines_of, says

DEAF = f"trap '' TERM; touch $home/ready; {RUNS}"
"""Does not end when it is asked to."""


def told_its_end(folder: Path, number: str = "TERM") -> str:
    """Return a script that writes its seat down when it is asked to end, and takes its time."""
    trap = f"sleep 0.1; echo $seat >> {folder}/ended; exit 0"
    return f"trap '{trap}' {number}; touch $home/ready; {RUNS}"


class Started:
    """A started cluster of scripts, which have all set their traps."""

    def __init__(self, cluster: DevCluster, ports: ControlPorts, told: list[DevEvent]) -> None:
        self.cluster = cluster
        self.ports = ports
        self.told = told

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.told]

    def pids(self) -> list[int]:
        return [pid for seat in self.cluster.seats if (pid := self.cluster.pid(seat)) is not None]


@asynccontextmanager
async def started(
    folder: Path, script: str, monkeypatch: pytest.MonkeyPatch, *, restart: bool = True
) -> AsyncIterator[Started]:
    options = DevOptions(folder / "dev")
    ports, told = ControlPorts(options), list[DevEvent]()
    monkeypatch.setattr(module, "ControlClient", ports)
    cluster = DevCluster(
        options, told.append, found=False, restart=restart, command=command(script)
    )
    async with asyncio.timeout(40), cluster:
        for seat in cluster.seats:
            while not (cluster.directory.member_directory(seat) / "ready").exists():  # noqa: ASYNC110 - asks a process
                await asyncio.sleep(0.01)
        yield Started(cluster, ports, told)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("leader", [0, 1, 2])
def test_members_are_asked_to_end_the_leader_last_and_none_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leader: int
) -> None:
    """A leader that ended first would hand over to one that is asked to end as well."""

    async def story() -> Started:
        async with started(tmp_path, told_its_end(tmp_path), monkeypatch) as run:
            await run.ports.put(says(leader, MemberState.LEADER))
            await run.cluster.wait_leader()
        return run

    run = asyncio.run(story())
    ended = lines_of(tmp_path / "ended")
    assert sorted(ended) == ["0", "1", "2"]
    assert ended[-1] == str(leader)
    assert run.pids() == []
    assert run.texts == [f"member {leader} leads in term 1"]
    DevDirectory.open(DevOptions(tmp_path / "dev")).close()


def test_members_that_do_not_end_in_time_are_killed_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> Started:
        async with started(tmp_path, DEAF, monkeypatch) as run:
            pids = run.pids()
            await run.cluster.stop(timeout_s=0.05)
            assert not any(map(runs, pids))
        return run

    run = asyncio.run(story())
    assert run.texts == ["3 member(s) did not end within 0.05 s and were killed"]


def test_who_does_not_want_to_wait_kills_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> Started:
        async with started(tmp_path, DEAF, monkeypatch) as run:
            run.cluster.kill_all()
            codes = [await run.cluster.wait_exit(seat) for seat in run.cluster.seats]
            assert codes == [-signal.SIGKILL] * 3
        return run

    assert asyncio.run(story()).texts == [], "they are neither started again nor waited for"


def test_a_stop_that_is_given_up_leaves_no_member_behind_and_lets_go_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a time limit around the cluster, or a second signal: it then waited without end."""
    pids: list[int] = []
    script = f"trap 'echo $seat >> {tmp_path}/asked' TERM; touch $home/ready; {RUNS}"

    async def life(is_up: asyncio.Event) -> None:
        async with started(tmp_path, script, monkeypatch) as run:
            pids.extend(run.pids())
            await run.ports.put(says(1, MemberState.LEADER))
            await run.cluster.wait_leader()
            is_up.set()
            await asyncio.Event().wait()

    async def story() -> None:
        is_up = asyncio.Event()
        living = asyncio.create_task(life(is_up))
        await is_up.wait()
        living.cancel()
        while len(lines_of(tmp_path / "asked")) < 2:  # noqa: ASYNC110 - asks processes
            await asyncio.sleep(0.01)
        living.cancel()
        with pytest.raises(asyncio.CancelledError):
            await living

    asyncio.run(story())
    assert len(pids) == 3
    assert not any(map(runs, pids))
    DevDirectory.open(DevOptions(tmp_path / "dev")).close()


def test_the_signal_that_is_asked_for_reaches_the_member_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        script = told_its_end(tmp_path, "USR1")
        async with started(tmp_path, script, monkeypatch, restart=False) as run:
            run.cluster.kill(Seat(2), signal.SIGUSR1)
            assert await run.cluster.wait_exit(Seat(2)) == 0
            await run.cluster.wait_until(lambda: run.cluster.pid(Seat(2)) is None, 10)
            assert lines_of(tmp_path / "ended") == ["2"]
            assert len(run.pids()) == 2
            with pytest.raises(NotConnected, match="member 2 does not run"):
                run.cluster.kill(Seat(2))

    asyncio.run(story())
