"""Members of several clusters, in virtual time: who is asked, for how long, and what is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytest

from quorate.config import CONTROL_PORT
from quorate.control.client import ANSWER_TIMEOUT_S
from quorate.control.server import WAIT_MAX_S
from quorate.control.status import MemberState, MemberStatus
from quorate.errors import NotConnected
from quorate_fake_api.virtual_loop import VirtualClock, run_virtually
from quorate_operator.members import ADMIN_WAIT_S, ASK_LIMIT_S, POLL_S, Members
from quorate_operator.planning.observed import Pod
from quorate_operator.planning.view import SILENT_S
from quorate_operator.queue import Key
from quorate_operator.reconcile import PASS_LIMIT_S
from quorate_reconciliation.world import pod

KEYS = (Key("ns", "bank"), Key("ns", "shop"), Key("other", "bank"))
SEATS = range(5)


@dataclass
class Fleet:
    """Every member there is, by its address; and the connections to them."""

    statuses: dict[str, MemberStatus] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    """They take a connection, and say nothing."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    asking: Counter[str] = field(default_factory=Counter)
    """Questions that wait for an answer just now."""
    open: int = 0
    wakes: list[Key] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    def change(self, *addresses: str, position: int) -> None:
        for address in addresses:
            before = self.statuses[address]
            version = before.status_version + 1
            self.statuses[address] = replace(
                before, status_version=version, append_position=position
            )
        self.changed.set()
        self.changed = asyncio.Event()


class Client:
    """A ``ControlClient`` whose members are those of the fleet."""

    fleet: Fleet

    def __init__(self, token: str = "") -> None:
        self.token = token

    async def __aenter__(self) -> Self:
        self.fleet.open += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.fleet.open -= 1

    async def status(
        self, address: str, *, after: int | None = None, wait_s: int = 20
    ) -> MemberStatus:
        self.fleet.asking[address] += 1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S + (0 if after is None else wait_s)):
                await self._news(address, after, wait_s)
                if address in self.fleet.hanging:
                    await asyncio.Event().wait()
        except TimeoutError as error:
            raise NotConnected(f"no answer from {address}") from error
        finally:
            self.fleet.asking[address] -= 1
        return self.fleet.statuses[address]

    async def _news(self, address: str, after: int | None, wait_s: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + min(wait_s, WAIT_MAX_S)
        while after == self.fleet.statuses[address].status_version and loop.time() < until:
            try:
                async with asyncio.timeout_at(until):
                    await self.fleet.changed.wait()
            except TimeoutError:
                return

    async def found(self, address: str, *, discard: bool = False, wait_s: int = 30) -> str:
        assert not discard
        self.fleet.waits.append(wait_s)
        return f"founded by {address}"

    async def transfer(self, address: str, to: int | None = None, *, wait_s: int = 30) -> str:
        self.fleet.waits.append(wait_s)
        return f"{address} handed over to {to}"


def ip(key: Key, seat: int) -> str:
    return f"fd00::{seat}" if key == KEYS[2] else f"10.0.{KEYS.index(key)}.{seat}"


def address(key: Key, seat: int) -> str:
    """Return where this member is asked: of the last cluster by the newer protocol."""
    host = f"[{ip(key, seat)}]" if ":" in ip(key, seat) else ip(key, seat)
    return f"{host}:{CONTROL_PORT}"


def addresses(key: Key) -> list[str]:
    return [address(key, seat) for seat in SEATS]


def cluster_id(key: Key) -> str:
    return f"{KEYS.index(key)}" * 32


def pods(key: Key, uid: str = "p") -> dict[int, Pod]:
    return {seat: replace(pod(seat, uid), ip=ip(key, seat)) for seat in SEATS}


def run(
    monkeypatch: pytest.MonkeyPatch, story: Callable[[Members, Fleet], Awaitable[None]]
) -> None:
    @asynccontextmanager
    async def world() -> AsyncIterator[tuple[Members, Fleet]]:
        fleet = Fleet()
        for key in KEYS:
            for seat in SEATS:
                status = MemberStatus(
                    1, "0", cluster_id(key), 0, "d" * 32, seat, "e" * 16, MemberState.FOLLOWER
                )
                fleet.statuses[address(key, seat)] = status
        monkeypatch.setattr(Client, "fleet", fleet, raising=False)
        monkeypatch.setattr("quorate_operator.members.ControlClient", Client)
        async with asyncio.TaskGroup() as group:
            members = Members(
                group, VirtualClock(), lambda: 0.5, fleet.wakes.append, fleet.problems.append
            )
            yield members, fleet
            await members.close()
        assert (fleet.open, fleet.asking.total()) == (0, 0), "something was left behind"

    async def limited() -> None:
        async with asyncio.timeout(100_000), world() as (members, fleet):
            await story(members, fleet)

    run_virtually(limited())


async def follow_all(members: Members) -> None:
    for key in KEYS:
        await members.follow(key, cluster_id(key), pods(key))
    await asyncio.sleep(1.0)


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_each_member_of_each_cluster_is_heard_in_its_seat_and_its_news_wake_its_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(members: Members, fleet: Fleet) -> None:
        await follow_all(members)
        assert Counter(fleet.wakes) == dict.fromkeys(KEYS, len(SEATS)), "one for each first word"
        for key in KEYS:
            heard = members.heard(key)
            assert [*heard] == [*SEATS]
            for seat, member in heard.items():
                assert member.status == fleet.statuses[address(key, seat)]
                assert (member.seat, member.pod_uid) == (seat, f"p{seat}")
                assert 0 < VirtualClock().wall() / 1e9 - member.answered_s < 2.0, "in seconds"
        fleet.wakes.clear()
        fleet.change(address(KEYS[1], 3), position=4096)
        await asyncio.sleep(1.0)
        assert fleet.wakes == [KEYS[1]]
        status = members.heard(KEYS[1])[3].status
        assert status is not None
        assert status.append_position == 4096
        assert fleet.problems == []

    run(monkeypatch, story)


def test_who_is_followed_already_is_asked_by_one_poll_however_often_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(members: Members, fleet: Fleet) -> None:
        for _ in range(20):
            await follow_all(members)
        assert set(fleet.asking.values()) == {1}
        assert len(fleet.wakes) == len(KEYS) * len(SEATS), "nothing was news"
        assert fleet.open == len(KEYS)

    run(monkeypatch, story)


@pytest.mark.parametrize(
    "state",
    [{"ready": False}, {"deleting": True}, {"running": False}, {"scheduled": False}, {"role": "x"}],
    ids=str,
)
def test_a_member_is_asked_in_whatever_state_kubernetes_sees_its_pod(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Any]
) -> None:
    """None is ready before the founding, and a leader leads on in a pod that is being deleted."""

    async def story(members: Members, fleet: Fleet) -> None:
        odd = {seat: replace(pod, **state) for seat, pod in pods(KEYS[0]).items()}
        await members.follow(KEYS[0], cluster_id(KEYS[0]), odd)
        await asyncio.sleep(1.0)
        heard = members.heard(KEYS[0])
        assert [member.status is not None for member in heard.values()] == [True] * len(SEATS)

    run(monkeypatch, story)


def test_new_pods_are_asked_in_place_of_the_old_and_who_is_gone_is_asked_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(members: Members, fleet: Fleet) -> None:
        await follow_all(members)
        fewer = {seat: pod for seat, pod in pods(KEYS[0], "new").items() if seat != 2}
        await members.follow(KEYS[0], cluster_id(KEYS[0]), fewer)
        await asyncio.sleep(1.0)
        assert [fleet.asking[at] for at in addresses(KEYS[0])] == [1, 1, 0, 1, 1]
        assert {seat: m.pod_uid for seat, m in members.heard(KEYS[0]).items()} == {
            seat: f"new{seat}" for seat in fewer
        }
        assert [fleet.asking[at] for at in addresses(KEYS[1])] == [1] * len(SEATS)

    run(monkeypatch, story)


def test_of_a_cluster_that_is_forgotten_nobody_is_asked_and_of_the_others_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(members: Members, fleet: Fleet) -> None:
        await follow_all(members)
        for _ in range(2):
            await members.forget(KEYS[0])
            assert members.heard(KEYS[0]) == await members.ask(KEYS[0]) == {}
            await asyncio.sleep(1.0)
            assert [fleet.asking[at] for at in addresses(KEYS[0])] == [0] * len(SEATS)
            assert fleet.open == len(KEYS) - 1
        assert all(len(members.heard(key)) == len(SEATS) for key in KEYS[1:])
        await members.follow(KEYS[0], cluster_id(KEYS[0]), pods(KEYS[0]))
        assert all(member.status is None for member in members.heard(KEYS[0]).values())

    run(monkeypatch, story)


def test_a_cluster_nobody_of_which_can_be_asked_holds_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(members: Members, fleet: Fleet) -> None:
        await members.follow(KEYS[0], cluster_id(KEYS[0]), pods(KEYS[0]))
        await members.follow(KEYS[1], "", pods(KEYS[1]))
        await members.follow(KEYS[2], cluster_id(KEYS[2]), {})
        assert fleet.open == 1

    run(monkeypatch, story)


def test_all_are_asked_at_once_also_those_that_were_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a disruption, and a member that is back may be the one that makes it safe."""
    key = KEYS[0]

    async def story(members: Members, fleet: Fleet) -> None:
        fleet.hanging.update(addresses(key)[3:])
        await follow_all(members)
        await asyncio.sleep(60.0)
        assert [m.status is None for m in members.heard(key).values()] == [False] * 3 + [True] * 2
        fleet.hanging.clear()
        fleet.change(*addresses(key), position=8192)
        began = now_s()
        heard = await members.ask(key)
        positions = [m.status and m.status.append_position for m in heard.values()]
        assert positions == [8192] * len(SEATS)
        assert all(member.silent_since_s is None for member in heard.values())
        assert now_s() - began < 1.0

    run(monkeypatch, story)


@pytest.mark.parametrize("hanging", [1, len(SEATS)])
def test_asking_takes_no_longer_than_its_limit_however_many_hang(
    monkeypatch: pytest.MonkeyPatch, hanging: int
) -> None:
    key = KEYS[0]

    async def story(members: Members, fleet: Fleet) -> None:
        await follow_all(members)
        fleet.hanging.update(addresses(key)[:hanging])
        began = now_s()
        heard = await members.ask(key)
        assert now_s() - began == pytest.approx(ASK_LIMIT_S)
        silent = [member.silent_since_s is not None for member in heard.values()]
        assert silent == [seat < hanging for seat in SEATS]
        assert fleet.problems == ["timeout"] * hanging

    run(monkeypatch, story)


def test_who_hangs_is_silent_long_before_it_is_taken_for_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A poll waits for news, and must not hide for as long that nobody is there to have any."""

    async def story(members: Members, fleet: Fleet) -> None:
        await follow_all(members)
        fleet.wakes.clear()
        began = VirtualClock().wall() / 1e9
        fleet.hanging.add(address(KEYS[0], 1))
        await asyncio.sleep(2 * POLL_S + 2 * ANSWER_TIMEOUT_S)
        since = members.heard(KEYS[0])[1].silent_since_s
        assert since is not None
        assert 0.0 < since - began <= POLL_S + ANSWER_TIMEOUT_S < SILENT_S
        assert fleet.wakes == [KEYS[0]]
        assert set(fleet.problems) == {"timeout"}

    run(monkeypatch, story)


def test_who_has_never_answered_is_silent_since_it_was_asked_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(members: Members, fleet: Fleet) -> None:
        began = VirtualClock().wall() / 1e9
        fleet.hanging.add(address(KEYS[0], 1))
        await members.follow(KEYS[0], cluster_id(KEYS[0]), pods(KEYS[0]))
        for _ in range(3):
            member = members.heard(KEYS[0])[1]
            assert (member.status, member.answered_s) == (None, 0.0)
            assert member.silent_since_s == pytest.approx(began)
            await asyncio.sleep(30.0)

    run(monkeypatch, story)


def test_who_is_silent_for_half_a_day_is_still_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power of the number of failures would be beyond every number by then."""

    async def story(members: Members, fleet: Fleet) -> None:
        fleet.hanging.add(address(KEYS[0], 1))
        await members.follow(KEYS[0], cluster_id(KEYS[0]), pods(KEYS[0]))
        await asyncio.sleep(12 * 3600.0)
        fleet.hanging.clear()
        await asyncio.sleep(2 * ANSWER_TIMEOUT_S)
        assert members.heard(KEYS[0])[1].silent_since_s is None

    run(monkeypatch, story)


def test_an_outcome_is_waited_for_within_the_time_of_a_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pass that is cut off tells nothing of what its steps came to."""

    async def story(members: Members, fleet: Fleet) -> None:
        asked = pods(KEYS[2])[0]
        assert await members.found(asked, "t") == f"founded by {address(KEYS[2], 0)}"
        assert address(KEYS[2], 0) in await members.transfer(asked, "t", None)
        assert fleet.waits == [ADMIN_WAIT_S] * 2
        assert fleet.open == 0

    run(monkeypatch, story)
    assert 5.0 <= ADMIN_WAIT_S <= WAIT_MAX_S
    assert 2 * ASK_LIMIT_S + ADMIN_WAIT_S + 2 * ANSWER_TIMEOUT_S < PASS_LIMIT_S / 2
