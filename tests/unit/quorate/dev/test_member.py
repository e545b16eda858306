"""One seat's processes, with shell scripts in the place of members."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from quorate.consensus.types import Seat
from quorate.dev import restarts
from quorate.dev.member import SupervisedMember
from quorate.dev.process import MemberProcess
from quorate.errors import NotConnected

FOREVER = "echo up; exec tail -f /dev/null"


class Watched:
    """A supervised script with everything that is told of it."""

    def __init__(self, folder: Path, script: str) -> None:
        self.told: list[str] = []
        self.changed = asyncio.Condition()
        self.log = folder / "log"
        self.member = SupervisedMember(
            Seat(1),
            ("sh", "-c", script),
            config=folder / "member.toml",
            log=self.log,
            tell=lambda text, _: self.told.append(text),
            on_change=self._on_change,
        )

    async def _on_change(self, seat: Seat, runs: bool) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(holds)


def run(folder: Path, script: str, story: Callable[[Watched], Awaitable[None]]) -> Watched:
    async def limited() -> Watched:
        async with asyncio.timeout(20):
            watched = Watched(folder, script)
            await watched.member.start()
            async with asyncio.TaskGroup() as group:
                group.create_task(watched.member.supervise())
                await story(watched)
                watched.member.stop(signal.SIGKILL)
            return watched

    return asyncio.run(limited())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "FIRST_DELAY_S", 0.01)


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        first = watched.member.pid
        watched.member.kill(signal.SIGKILL)
        await watched.until(lambda: watched.member.starts == 2)
        assert watched.member.pid not in (None, first)
        assert watched.told == ["member 1 ended (signal 9); starting it again in 0.01 s"]

    run(tmp_path, FOREVER, story)


@pytest.mark.parametrize("name", ["ABRT", "BUS", "FPE", "ILL", "SEGV"])
def test_one_that_crashed_is_started_again_and_its_log_is_named(tmp_path: Path, name: str) -> None:
    number = signal.Signals[f"SIG{name}"].value

    async def story(watched: Watched) -> None:
        await watched.until(lambda: watched.member.starts == 2)
        assert watched.told[0] == (
            f"member 1 ended (signal {number}): it crashed, its log {tmp_path}/log says where; "
            "starting it again in 0.01 s"
        )

    run(tmp_path, f"kill -{name} $$", story)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("rm {log}; exit 1", ""),
        ("printf 'caf\\351\\n'; exit 1", ": caf\ufffd"),
        ("printf '%8190s\\303\\251' x; exit 1", ": x\u00e9"),
    ],
    ids=["removed", "in another alphabet", "begins within a letter"],
)
def test_a_log_that_cannot_be_read_as_it_is_does_not_end_the_other_members(
    tmp_path: Path, script: str, words: str
) -> None:
    async def story(watched: Watched) -> None:
        await watched.until(lambda: watched.member.starts == 2)
        end = f"member 1 ended (exit code 1: failed){words}; starting it again in 0.01 s"
        assert watched.told[0] == end

    run(tmp_path, script.format(log=tmp_path / "log"), story)


def test_one_that_cannot_be_started_now_is_tried_again(tmp_path: Path) -> None:
    """No process more, or its folder has gone: the others are not to end for that."""
    folder = tmp_path / "member"
    folder.mkdir()

    async def story(watched: Watched) -> None:
        folder.rename(tmp_path / "elsewhere")
        watched.member.kill(signal.SIGKILL)
        async with asyncio.timeout(10):
            while len(watched.told) < 3:  # noqa: ASYNC110 - what is told changes no condition
                await asyncio.sleep(0)
        assert watched.told[0].startswith("member 1 ended (signal 9); starting it again")
        for told, delay in zip(watched.told[1:3], ("0.02", "0.04"), strict=True):
            assert told.startswith("member 1 cannot be started: [Errno 2] No such file")
            assert told.endswith(f"; trying again in {delay} s")
        (tmp_path / "elsewhere").rename(folder)
        await watched.until(lambda: watched.member.starts == 2)

    run(folder, "while :; do sleep 0.01; done", story)


class Judged(restarts.RestartPolicy):
    """Notes when it was asked, and how long each process ran by what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[float, float]] = []

    def delay_after(self, exit_code: int, ran_s: float) -> float | None:
        self.rows.append((asyncio.get_running_loop().time(), ran_s))
        return super().delay_after(exit_code, ran_s)


def test_each_process_is_judged_by_how_long_it_ran_itself(tmp_path: Path) -> None:
    """Or one that was well for days waits for its next start as one that never came up."""
    policy = Judged()

    async def story(watched: Watched) -> None:
        watched.member._policy = policy
        await watched.until(lambda: watched.member.starts == 4)

    run(tmp_path, "sleep 0.1; exit 1", story)
    ran = [ran_s for _, ran_s in policy.rows]
    assert min(ran) > 0.05
    for (before, _), (at, ran_s) in pairwise(policy.rows):
        assert ran_s <= at - before, "a process was told to have run since before it was started"


@pytest.mark.parametrize("code", [2, 3, 5, 6, 7])
def test_one_that_no_restart_helps_stays_down_and_says_why(tmp_path: Path, code: int) -> None:
    async def story(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.told))
        assert watched.member.pid is None
        assert watched.member.starts == 1
        (told,) = watched.told
        assert told.startswith(f"member 1 ended (exit code {code}: ")
        assert f"the reason; it stays down, its log is {tmp_path}/log" in told
        with pytest.raises(NotConnected):
            watched.member.kill(signal.SIGTERM)

    run(tmp_path, f"echo first; echo the reason >&2; echo; exit {code}", story)


def test_one_that_was_given_up_starts_when_it_is_wanted(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.told))
        watched.member.want()
        await watched.until(lambda: watched.member.starts == 2)

    run(tmp_path, "exit 2", story)


def test_one_that_runs_again_is_given_up_no_more(tmp_path: Path) -> None:
    """Or the cluster would go on saying that its start has failed."""

    async def story(watched: Watched) -> None:
        member = watched.member
        await watched.until(lambda: bool(watched.told))
        assert member.given_up.startswith("member 1 ended (exit code 2")
        member.want()
        await watched.until(lambda: member.starts == 2)
        assert (member.given_up, member.stays_down) == ("", "")

    script = f"test -e {tmp_path}/second && exec tail -f /dev/null; touch {tmp_path}/second; exit 2"
    run(tmp_path, script, story)


def test_wanted_once_is_started_once(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.told))
        watched.member.want()
        await watched.until(lambda: len(watched.told) == 2)
        for _ in range(3):  # as long as a third start would take, and longer
            process = await asyncio.create_subprocess_exec("true")
            await process.wait()
        assert (watched.member.starts, len(watched.told)) == (2, 2)

    run(tmp_path, "exit 2", story)


def test_while_restarts_are_paused_it_waits_to_be_wanted(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        watched.member.restarting = False
        watched.member.kill(signal.SIGKILL)
        await watched.until(lambda: bool(watched.told))
        assert watched.told == ["member 1 ended (signal 9); it stays down until asked for"]
        watched.member.want()
        await watched.until(lambda: watched.member.starts == 2)

    run(tmp_path, FOREVER, story)


def test_a_stopped_one_is_not_started_again(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        assert watched.member.stop(signal.SIGTERM)
        assert await watched.member.wait() == -signal.SIGTERM
        assert not watched.member.stop(signal.SIGTERM)
        assert watched.member.starts == 1

    assert run(tmp_path, FOREVER, story).told == []


def test_one_that_waits_to_be_started_again_is_not_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "FIRST_DELAY_S", 4.0)

    async def story(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.told))
        assert not watched.member.stop(signal.SIGTERM)

    watched = run(tmp_path, "exit 1", story)
    assert watched.member.starts == 1


def test_one_that_is_stopped_while_it_starts_again_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no process to be told to end, and the supervisor waited for the new one."""
    start = MemberProcess.start

    async def story() -> None:
        watched = Watched(tmp_path, FOREVER)

        async def stopped_meanwhile(
            command: Sequence[str], config: Path, log: Path
        ) -> MemberProcess:
            assert not watched.member.stop(signal.SIGTERM)
            return await start(command, config, log)

        await watched.member.start()
        monkeypatch.setattr(MemberProcess, "start", stopped_meanwhile)
        watched.member.kill(signal.SIGKILL)
        try:
            async with asyncio.timeout(20):
                await watched.member.supervise()
        finally:
            watched.member.stop(signal.SIGKILL)
        assert watched.member.pid is None
        assert watched.member.starts == 2

    asyncio.run(story())


def test_ctrl_c_at_the_terminal_reaches_the_supervisor_only(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        assert watched.member.pid is not None
        assert os.getsid(watched.member.pid) == watched.member.pid

    run(tmp_path, FOREVER, story)


def test_a_silent_life_has_no_last_words_of_the_one_before(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        await watched.until(lambda: watched.member.starts == 3)
        assert "exit code 1: failed): first life; starting" in watched.told[0]
        assert "exit code 1: failed); starting" in watched.told[1]

    script = f"test -e {tmp_path}/second || echo first life; touch {tmp_path}/second; exit 1"
    run(tmp_path, script, story)


def test_the_last_words_are_the_reason_whatever_else_ends_behind_it(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.told))
        (told,) = watched.told
        assert "ERROR   member_halted: the reason; it stays down" in told

    end = ("10:00 ERROR   member_halted: the reason", "10:00 INFO    link_down: another word")
    (tmp_path / "end").write_text("\n".join(end))
    run(tmp_path, f"cat {tmp_path}/end; exit 7", story)


def test_the_log_keeps_every_life_and_last_words_are_of_the_last_one(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        await watched.until(lambda: watched.member.starts == 3)
        lines = (tmp_path / "log").read_text().splitlines()
        assert len(set(lines)) == len(lines) >= 2

    run(tmp_path, "echo life $$; exit 1", story)


def test_a_process_has_its_own_session_its_file_and_none_of_our_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORATE_MEMBER__SEAT", "7")
    monkeypatch.setenv("OTHER", "kept")

    async def story(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.told))
        words = (tmp_path / "log").read_text().split()
        assert words == [
            "--config",
            f"{tmp_path}/member.toml",
            "--parent",
            str(os.getpid()),
            "unset",
            "kept",
        ]

    run(tmp_path, 'echo $0 "$@" ${QUORATE_MEMBER__SEAT:-unset} $OTHER; exit 2', story)
