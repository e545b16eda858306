"""What the members say of themselves: one long poll each, so that news arrive within a second.

A member is asked under the address that its pod has in the API server, and what answers there
is believed only if it names the cluster and the seat that were asked for: an address may have
passed to another pod. Its word is one of several facts for the plan; nothing here decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from quorate.clock import Clock
from quorate.config import CONTROL_PORT
from quorate.consensus.types import Seat
from quorate.control.client import ControlClient
from quorate.control.status import MemberStatus
from quorate.errors import AdminRejected, NotConnected, QuorateError, RemoteProtocolError
from quorate_operator.backoff import grown_s, spread_s
from quorate_operator.errors import Deferred, Unavailable
from quorate_operator.planning.observed import Member, Pod
from quorate_operator.queue import Key

POLL_S = 10
"""Length of a long poll. A member that stopped is noticed as late as this and a little more."""
ASK_LIMIT_S = 3.0
"""Of a question before a disruption, which does not wait for news."""
ADMIN_WAIT_S = 10
"""For the outcome of an admin action; the operator looks again anyway."""
PAUSE_S = 0.1
"""Between an answer and the next question, so that a member which always has news costs little."""
BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 5.0
_S = 1e-9


class PollProblem(StrEnum):
    """Why an answer was not used; also the label of the metric."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    GARBAGE = "garbage"
    WRONG_CLUSTER = "wrong-cluster"
    WRONG_SEAT = "wrong-seat"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member is asked, and who should answer there."""

    seat: int
    pod_uid: str
    ip: str
    cluster_id: str


@dataclass(slots=True)
class _Following:
    """One cluster: its connections, and one poll for each member."""

    client: ControlClient
    polls: dict[int, _Poll] = field(default_factory=dict)


@dataclass(slots=True)
class _Poll:
    place: Place
    task: asyncio.Task[None]
    heard: Member


class Members:
    """Follows the members of every cluster; used from one loop."""

    def __init__(  # noqa: PLR0913 - what it needs of the world
        self,
        group: asyncio.TaskGroup,
        clock: Clock,
        chance: Callable[[], float],
        wake: Callable[[Key], None],
        on_problem: Callable[[str], None] = lambda _: None,
        *,
        port: int = CONTROL_PORT,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Follow nobody yet.

        Args:
            group: Runs the polls.
            clock: For when a member was heard.
            chance: Jitter, from 0 to 1.
            wake: Called with a cluster whose members have news.
            on_problem: Called with the reason for each answer that was not used.
            port: The members' control port.
            sleep: Waits between polls that fail.

        """
        self._clock = clock
        self._chance = chance
        self._wake = wake
        self._on_problem = on_problem
        self._port = port
        self._sleep = sleep
        self._group = group
        self._following: dict[Key, _Following] = {}

    async def close(self) -> None:
        """End every poll and close every connection."""
        for key in list(self._following):
            await self.forget(key)

    async def follow(self, key: Key, cluster_id: str, pods: Mapping[int, Pod]) -> None:
        """Follow the members in these pods, and only those; without a cluster id, nobody."""
        places = _places(cluster_id, pods)
        following = self._following.get(key)
        if following is None:
            if not places:
                return
            client = await ControlClient().__aenter__()
            following = self._following[key] = _Following(client)
        for seat, poll in list(following.polls.items()):
            if places.get(seat) != poll.place:
                del following.polls[seat]
                poll.task.cancel()
        for seat, place in places.items():
            if seat not in following.polls:
                following.polls[seat] = self._start(key, following.client, place)

    async def forget(self, key: Key) -> None:
        """Follow nobody of this cluster any more."""
        following = self._following.pop(key, None)
        if following is None:
            return
        for poll in following.polls.values():
            poll.task.cancel()
        await following.client.__aexit__(None, None, None)

    def heard(self, key: Key) -> dict[int, Member]:
        """Return what each member that is followed last said."""
        following = self._following.get(key)
        return {} if following is None else {s: p.heard for s, p in following.polls.items()}

    async def ask(self, key: Key) -> dict[int, Member]:
        """Ask every member that is followed now, instead of believing what it last said.

        Blocking: at most ``ASK_LIMIT_S``.
        """
        following = self._following.get(key)
        if following is None:
            return {}
        async with asyncio.TaskGroup() as group:
            for seat, poll in following.polls.items():
                group.create_task(
                    self._ask_once(following.client, poll), name=f"ask {key.name}-{seat}"
                )
        return self.heard(key)

    async def found(self, pod: Pod, token: str) -> str:
        """Ask this member to found its cluster; return what it says.

        Raises:
            Deferred: It refuses now, or has no outcome yet.
            Unavailable: It did not answer, or not as a member would.

        Blocking: up to ``ADMIN_WAIT_S`` and the limits of an answer.

        """
        async with ControlClient(token) as client:
            return await _translated(client.found(self._address(pod.ip), wait_s=ADMIN_WAIT_S))

    async def transfer(self, pod: Pod, token: str, to: int | None) -> str:
        """Ask this leader to hand over, to the best voter if ``to`` is None.

        Raises and blocking: as ``found``.
        """
        async with ControlClient(token) as client:
            address = self._address(pod.ip)
            seat = None if to is None else Seat(to)
            return await _translated(client.transfer(address, seat, wait_s=ADMIN_WAIT_S))

    def _start(self, key: Key, client: ControlClient, place: Place) -> _Poll:
        heard = Member(place.seat, place.pod_uid, None, 0.0, self._clock.wall() * _S)
        name = f"poll {key.namespace}/{key.name}-{place.seat}"

        async def run() -> None:
            await self._poll(key, client, poll)

        work = run()
        poll = _Poll(place, self._group.create_task(work, name=name), heard)
        return poll

    async def _poll(self, key: Key, client: ControlClient, poll: _Poll) -> None:
        failures = 0
        while True:
            known = poll.heard.status if poll.heard.silent_since_s is None else None
            after = None if known is None else known.status_version
            before = await self._hear(client, poll, after=after)
            if _is_news(before, poll.heard):
                self._wake(key)
            failures = 0 if poll.heard.silent_since_s is None else failures + 1
            await self._sleep(self._pause_s(failures))

    def _pause_s(self, failures: int) -> float:
        if not failures:
            return PAUSE_S
        return spread_s(grown_s(BACKOFF_FIRST_S, failures - 1, BACKOFF_MAX_S), self._chance())

    async def _ask_once(self, client: ControlClient, poll: _Poll) -> None:
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                await self._hear(client, poll, after=None)
        except TimeoutError:
            self._note(poll, PollProblem.TIMEOUT)

    async def _hear(self, client: ControlClient, poll: _Poll, after: int | None) -> Member:
        """Ask once and keep what came of it; return what was known until the answer came.

        Not what was known at the question: a member that is asked beside its poll may have been
        found silent since, and that it speaks is then news.
        """
        address = self._address(poll.place.ip)
        try:
            status = await client.status(address, after=after, wait_s=POLL_S)
        except NotConnected as error:
            is_late = isinstance(error.__cause__, TimeoutError)
            return self._note(poll, PollProblem.TIMEOUT if is_late else PollProblem.UNREACHABLE)
        except RemoteProtocolError:
            return self._note(poll, PollProblem.GARBAGE)
        problem = _misfit(poll.place, status)
        if problem is not None:
            return self._note(poll, problem)
        before, now_s = poll.heard, self._clock.wall() * _S
        poll.heard = Member(poll.place.seat, poll.place.pod_uid, status, now_s, None)
        return before

    def _note(self, poll: _Poll, problem: PollProblem) -> Member:
        """Keep that there was no usable answer; silence lasts since its first one.

        Return what was known before.
        """
        self._on_problem(problem)
        before = poll.heard
        since = before.silent_since_s
        if since is None:
            since = self._clock.wall() * _S
        poll.heard = replace(before, silent_since_s=since, problem=problem)
        return before

    def _address(self, ip: str) -> str:
        return f"[{ip}]:{self._port}" if ":" in ip else f"{ip}:{self._port}"


def _places(cluster_id: str, pods: Mapping[int, Pod]) -> dict[int, Place]:
    if not cluster_id:
        return {}
    return {
        seat: Place(seat, pod.uid, pod.ip, cluster_id)
        for seat, pod in pods.items()
        if pod.ip and pod.controller_uid
    }


def _misfit(place: Place, status: MemberStatus) -> PollProblem | None:
    if status.cluster_id != place.cluster_id:
        return PollProblem.WRONG_CLUSTER
    if status.seat != place.seat:
        return PollProblem.WRONG_SEAT
    return None


def _is_news(before: Member, now: Member) -> bool:
    """Return whether a plan could come out differently; positions alone are no news."""
    if before.problem != now.problem or (before.silent_since_s is None) != (
        now.silent_since_s is None
    ):
        return True
    if before.status is None or now.status is None:
        return before.status is not now.status
    return _telling(before.status) != _telling(now.status)


def _telling(status: MemberStatus) -> tuple[object, ...]:
    """Return what a plan could come out differently by; the version does not rise for all of it."""
    rows = tuple((row.seat, row.connected, row.state) for row in status.members)
    return (status.status_version, status.start_nonce, status.caught_up, rows)


async def _translated(asking: Awaitable[str]) -> str:
    try:
        return await asking
    except AdminRejected as error:
        raise Deferred(str(error)) from error
    except QuorateError as error:
        raise Unavailable(str(error)) from error
