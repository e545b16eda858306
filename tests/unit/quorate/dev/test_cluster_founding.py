"""When a cluster founds itself, when it goes on as it is, and what it says if it can do neither."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.control.status import AlarmRow, MemberState, MemberStatus
from quorate.dev import cluster as module
from quorate.dev.cluster import DevCluster
from quorate.dev.layout import DevDirectory, DevOptions
from quorate.errors import AdminRejected, NotConnected, QuorateError
from quorate_processes.stand_ins import RUNS, ControlPorts, command, lines_of, says

BLANK = [says(seat, MemberState.BLANK, founded=False) for seat in range(3)]
FOUNDED = [says(seat, MemberState.FOLLOWER) for seat in range(3)]


class Attempt:
    """One start of a cluster whose members say what the test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.options = DevOptions(folder / "dev")
        self.ports = ControlPorts(self.options)
        self.ports.founded_says = FOUNDED
        self.told: list[str] = []
        monkeypatch.setattr(module, "ControlClient", self.ports)
        monkeypatch.setattr(module, "FOUND_RETRY_S", 0.01)

    def start(self, *statuses: MemberStatus, script: str = RUNS, restart: bool = True) -> None:
        """Enter the cluster and leave it again; raises what the start raises."""

        async def story() -> None:
            await self.ports.put(*statuses)
            cluster = DevCluster(
                self.options,
                lambda event: self.told.append(event.text),
                restart=restart,
                command=command(f"echo $$ >> {self.folder}/pids; {script}"),
            )
            async with asyncio.timeout(30), cluster:
                pass

        asyncio.run(story())

    def assert_nothing_is_left(self) -> None:
        for pid in lines_of(self.folder / "pids"):
            assert not Path(f"/proc/{pid}").exists()
        DevDirectory.open(self.options).close()


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    return Attempt(tmp_path, monkeypatch)


def test_blank_members_are_founded_once_through_the_lowest_seat(attempt: Attempt) -> None:
    attempt.start(*BLANK)
    assert attempt.ports.founding_asked == [0]
    assert any(text.endswith(" is founded") for text in attempt.told)
    attempt.assert_nothing_is_left()


def test_a_founded_cluster_is_not_founded_again(attempt: Attempt) -> None:
    attempt.start(*FOUNDED)
    assert attempt.ports.founding_asked == []
    assert attempt.told == []


@pytest.mark.parametrize("founded", [1, 2])
def test_one_that_was_founded_on_some_members_goes_on_as_it_is(
    attempt: Attempt, founded: int
) -> None:
    """The others hear of it from those; a second founding would be refused, or worse."""
    attempt.start(*FOUNDED[:founded], *BLANK[founded:])
    assert attempt.ports.founding_asked == []


def test_nobody_is_founded_before_every_member_knows_what_it_has(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that still reads its directory may find there that the cluster was founded."""
    monkeypatch.setattr(module, "START_TIMEOUT_S", 1.0)
    starting = says(2, MemberState.STARTING, founded=False)
    with pytest.raises(NotConnected, match=r"no answer within 1 s .*seat 2: starting"):
        attempt.start(*BLANK[:2], starting)
    assert attempt.ports.founding_asked == []
    attempt.assert_nothing_is_left()


@pytest.mark.parametrize("refusal", [AdminRejected("not yet"), NotConnected("busy")])
def test_a_founding_that_is_refused_at_first_is_tried_again(
    attempt: Attempt, refusal: Exception
) -> None:
    attempt.ports.refusals += [refusal, refusal]
    attempt.start(*BLANK)
    assert attempt.ports.founding_asked == [0, 0, 0]


def test_a_founding_whose_answer_was_lost_counts(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(address: str) -> str:
        await attempt.ports.put(*FOUNDED)
        raise NotConnected(address)

    monkeypatch.setattr(attempt.ports, "found", found)
    attempt.start(*BLANK)
    assert any(text.endswith(" is founded") for text in attempt.told)


def test_a_founding_that_broke_is_told_at_once_and_not_tried_again(attempt: Attempt) -> None:
    attempt.ports.refusals += [AdminRejected("found: a seat has changed")] * 9
    broken = says(1, MemberState.FOUNDING_BROKEN, founded=False)
    with pytest.raises(AdminRejected, match="a seat has changed"):
        attempt.start(BLANK[0], broken, BLANK[2])
    assert attempt.ports.founding_asked == [0]
    attempt.assert_nothing_is_left()


def test_a_founding_that_takes_too_long_is_told_with_the_last_refusal_and_what_hurts(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT_S", 2.0)
    attempt.ports.refusals += [AdminRejected("first"), *[AdminRejected("the last word")] * 9_999]
    full = replace(BLANK[1], alarms=(AlarmRow("disk", "no space"), AlarmRow("other", "a b")))
    with pytest.raises(QuorateError, match=r"not founded within 2 s: the last word; a b; no spa"):
        attempt.start(BLANK[0], full, BLANK[2])
    attempt.assert_nothing_is_left()


def down(*seats: int) -> str:
    """Return a script that ends for good on these seats."""
    names = "|".join(map(str, seats))
    return f"case $seat in {names}) echo the reason; exit 3;; esac; {RUNS}"


@pytest.mark.parametrize("seat", [0, 1, 2])
def test_a_founded_cluster_goes_on_without_a_member_that_stays_down(
    attempt: Attempt, seat: int
) -> None:
    others = [status for status in FOUNDED if status.seat != seat]
    attempt.start(*others, script=down(seat))
    (told,) = attempt.told
    assert told.startswith(f"member {seat} ended (exit code 3: ")


def test_members_that_answer_late_are_waited_for_beside_one_that_stays_down(
    attempt: Attempt,
) -> None:
    """Or whether a founded cluster starts would depend on who is quicker."""

    async def life() -> None:
        cluster = DevCluster(
            attempt.options,
            lambda event: attempt.told.append(event.text),
            command=command(f"echo $$ >> {attempt.folder}/pids; {down(2)}"),
        )
        async with asyncio.timeout(30), cluster:
            assert len(attempt.told) == 1

    async def story() -> None:
        living = asyncio.create_task(life())
        while not attempt.told and not living.done():  # noqa: ASYNC110 - what is told wakes nobody
            await asyncio.sleep(0.01)
        await attempt.ports.put(*FOUNDED[:2])
        await living

    asyncio.run(story())
    attempt.assert_nothing_is_left()


def test_a_cluster_without_a_quorum_does_not_start(attempt: Attempt) -> None:
    with pytest.raises(QuorateError, match=r"member \d ended \(exit code 3.*the reason; its log"):
        attempt.start(FOUNDED[1], script=down(0, 2))
    attempt.assert_nothing_is_left()


def test_a_cluster_is_not_founded_without_one_of_its_members(attempt: Attempt) -> None:
    with pytest.raises(QuorateError, match=r"member 1 ended \(exit code 3.*the reason; its log"):
        attempt.start(BLANK[0], BLANK[2], script=down(1))
    assert attempt.ports.founding_asked == []
    attempt.assert_nothing_is_left()


def test_a_member_that_ends_for_good_while_it_is_founded_ends_the_attempt(attempt: Attempt) -> None:
    """It answered, and was refused for as long as nobody noticed that it had gone."""
    attempt.ports.refusals += [AdminRejected("seat 2 is not connected")] * 9_999
    script = f"test $seat = 2 && sleep 0.3 && echo the reason && exit 3; {RUNS}"
    with pytest.raises(QuorateError, match=r"member 2 ended \(exit code 3.*the reason; its log"):
        attempt.start(*BLANK, script=script)
    attempt.assert_nothing_is_left()


def test_a_start_that_is_given_up_leaves_nothing(attempt: Attempt) -> None:
    async def story() -> None:
        cluster = DevCluster(
            attempt.options, command=command(f"echo $$ >> {attempt.folder}/pids; {RUNS}")
        )
        starting = asyncio.create_task(cluster.__aenter__())
        while len(lines_of(attempt.folder / "pids")) < 3:  # noqa: ASYNC110 - asks processes
            await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(story())
    attempt.assert_nothing_is_left()
