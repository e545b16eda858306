"""What the demo does to its cluster, in which order, and what it takes along as evidence."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from quorate.client.cluster_client import ClusterClient
from quorate.consensus.types import LogPosition, Seat
from quorate.control.status import DigestRow, MemberState, MemberStatus
from quorate.dev import demo
from quorate.dev.cluster import DevCluster
from quorate.dev.demo import Demo, DemoFailed, DemoOptions
from quorate.dev.demo_screen import Screen
from quorate.dev.demo_stream import AcknowledgementLog, PacedStream
from quorate_processes.stand_ins import says

Statuses = dict[Seat, MemberStatus | None]
LEADER, TERM = Seat(2), 3


def a_demo(keys: int = 20) -> Demo:
    return Demo(DemoOptions(Path(), keys=keys), Screen(io.StringIO(), lambda: 0.0))


def shown(played: Demo) -> str:
    return cast("io.StringIO", played._screen._out).getvalue()


class Answering:
    """A client whose cluster answers each key as the test says."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers

    async def request(self, key: bytes, timeout: float) -> bytes | None:  # noqa: ASYNC109 - the client's
        return self._answers.get(key)


def test_an_answer_to_one_of_the_first_keys_that_has_none_is_evidence_as_any_other() -> None:
    played = a_demo()
    played._client = cast("ClusterClient", Answering({b"x5": b"surprise", b"=": b"42"}))
    asyncio.run(played._calculate())
    assert played._answers == [(2, b"surprise"), (4, b"42")]


@pytest.mark.parametrize("answer", [{}, {b"=": b"41"}], ids=["none", "a wrong one"])
def test_first_keys_that_are_not_answered_with_42_end_the_demo(answer: dict[bytes, bytes]) -> None:
    played = a_demo()
    played._client = cast("ClusterClient", Answering(answer))
    with pytest.raises(DemoFailed, match="the first keys answered"):
        asyncio.run(played._calculate())


def member(seat: int, position: int, *digests: DigestRow) -> MemberStatus:
    follower = says(seat, MemberState.FOLLOWER, term=TERM)
    return replace(follower, service_position=position, commit_position=position, digests=digests)


class FakeCluster:
    """Has a leader until that is killed, then another; tells the statuses of the test in turn."""

    seats = (Seat(0), Seat(1), Seat(2))

    def __init__(self, statuses: Sequence[Statuses] = ()) -> None:
        self.done: list[str] = []
        self._statuses = list(statuses)

    async def wait_leader(self, timeout_s: float, *, above_term: int = 0) -> MemberStatus:
        self.done.append(f"leader above term {above_term}")
        is_killed = any(step.startswith("kill") for step in self.done)
        return member(0 if is_killed else LEADER, 640)

    def kill(self, seat: Seat) -> None:
        self.done.append(f"kill {seat}")

    async def restart(self, seat: Seat) -> None:
        self.done.append(f"restart {seat}")

    async def statuses(self) -> Statuses:
        """Return the next ones; the last ones for ever."""
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]


def statuses_at(*positions: int | None) -> Statuses:
    return {
        Seat(seat): None if position is None else member(seat, position)
        for seat, position in enumerate(positions)
    }


def with_stream(played: Demo, cluster: FakeCluster, offered: int) -> None:
    async def reached(count: int) -> None:
        cluster.done.append(f"reached {count}")

    played._cluster = cast("DevCluster", cluster)
    log = AcknowledgementLog([(0.1, 9)])
    stream = SimpleNamespace(reached=reached, acknowledged=log, offered=offered)
    played._stream = cast("PacedStream", stream)


def test_the_leader_is_killed_in_the_middle_and_started_again_when_another_one_leads() -> None:
    played, cluster = a_demo(keys=20), FakeCluster([statuses_at(640, 640, 640)])
    with_stream(played, cluster, offered=15)
    asyncio.run(played._kill_and_restart())
    assert cluster.done == [
        "reached 9",
        "leader above term 0",
        f"kill {LEADER}",
        "reached 16",
        f"leader above term {TERM}",
        "reached 12",
        "leader above term 0",
        f"restart {LEADER}",
    ]


@pytest.mark.parametrize(("offered", "is_killed"), [(19, True), (20, False)])
def test_a_stream_too_short_for_a_kill_in_its_middle_fails_and_names_the_remedy(
    offered: int, *, is_killed: bool
) -> None:
    """No key would be sent behind the kill; the demo once waited for one without end."""
    played, cluster = a_demo(keys=20), FakeCluster([statuses_at(640, 640, 640)])
    with_stream(played, cluster, offered)
    if is_killed:
        asyncio.run(played._kill_and_restart())
    else:
        with pytest.raises(DemoFailed, match="more --keys or a lower --rate"):
            asyncio.run(played._kill_and_restart())
    assert (f"kill {LEADER}" in cluster.done) == is_killed


def test_the_member_that_was_killed_has_to_catch_up_with_what_was_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "POLL_S", 0)
    waits = [statuses_at(640, 640, None), statuses_at(700, 700, None), statuses_at(800, 800, 576)]
    for last, has_caught_up in ((640, True), (639, False)):
        played, cluster = a_demo(), FakeCluster([*waits, statuses_at(900, 900, last)])
        with_stream(played, cluster, offered=15)
        if has_caught_up:
            asyncio.run(played._restart(LEADER))
            assert "member 2 has caught up" in shown(played)
        else:
            monkeypatch.setattr(demo, "CATCH_UP_TIMEOUT_S", 0.2)
            with pytest.raises(DemoFailed, match=r"member 2 did not catch up within 0\.2 s"):
                asyncio.run(played._restart(LEADER))


def test_members_have_settled_when_all_have_applied_the_same_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "POLL_S", 0)
    old = DigestRow(576, "old")
    settled: Statuses = {
        Seat(0): member(0, 640, old, DigestRow(640, "aa")),
        Seat(1): member(1, 640, old, DigestRow(640, "bb")),
        Seat(2): member(2, 640, old),
    }
    early = [statuses_at(576, 576, None), statuses_at(640, 576, 640), statuses_at(None, None, None)]
    played = a_demo()
    played._cluster = cast("DevCluster", FakeCluster([*early, settled]))
    assert asyncio.run(played._settle()) == (640, {0: "aa", 1: "bb"})


@pytest.mark.parametrize("never", [(640, 640, None), (640, 640, 576)], ids=["down", "behind"])
def test_members_that_do_not_settle_end_the_demo(
    monkeypatch: pytest.MonkeyPatch, never: tuple[int | None, ...]
) -> None:
    monkeypatch.setattr(demo, "POLL_S", 0)
    monkeypatch.setattr(demo, "SETTLE_TIMEOUT_S", 0.05)
    played = a_demo()
    played._cluster = cast("DevCluster", FakeCluster([statuses_at(*never)]))
    with pytest.raises(DemoFailed, match=r"did not reach one service position within 0\.05 s"):
        asyncio.run(played._settle())


def test_evidence_is_all_that_was_to_be_sent_what_was_told_and_every_recording() -> None:
    """Nothing is derived from something else of it, or the proof would compare it with itself."""
    played = a_demo(keys=20)
    directory = SimpleNamespace(data_path=lambda seat: Path(f"/member-{seat}/data"))
    cluster = SimpleNamespace(directory=directory, seats=FakeCluster.seats)
    played._cluster = cast("DevCluster", cluster)
    client = SimpleNamespace(cluster_session_id=7, acknowledged_sequence=17)
    played._client = cast("ClusterClient", client)
    played._on_egress(4, b"42")
    evidence = played._evidence(LogPosition(640), {1: "bb"})
    assert len(evidence.messages) == 24
    assert (evidence.session_id, evidence.acknowledged, evidence.position) == (7, 17, 640)
    assert list(evidence.answers) == [(4, b"42")]
    assert evidence.digests == {1: "bb"}
    assert evidence.recordings == {seat: Path(f"/member-{seat}/data") for seat in range(3)}
