"""Members are asked over real HTTP; what answers may be anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from quorate.clock import SystemClock
from quorate.control.status import FollowerRow, MemberState, MemberStatus, encode_status
from quorate_operator.errors import Deferred, Unavailable
from quorate_operator.members import BACKOFF_MAX_S, PAUSE_S, Members, PollProblem, _is_news
from quorate_operator.planning.observed import Member, Pod
from quorate_operator.queue import Key
from quorate_reconciliation.world import pod

CLUSTER = "c" * 32
KEY = Key("ns", "bank")
STATUS = MemberStatus(1, "0.1.0", CLUSTER, 0, "d" * 32, 0, "e" * 16, MemberState.FOLLOWER)


def pod_at(ip: str, seat: int = 0, uid: str = "pod-0") -> Pod:
    return replace(pod(seat), uid=uid, ip=ip)


@dataclass
class FakeMember:
    """A control port that does as the test says; answers long polls when told to."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    status: MemberStatus = STATUS
    queries: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    is_over: bool = False
    """The time of a long poll: it is answered without news."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    actions: list[tuple[str, object]] = field(default_factory=list)
    outcome: dict[str, str] = field(
        default_factory=lambda: {"id": "1", "state": "completed", "reason": "done"}
    )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        self.headers.append(dict(request.headers))
        if self.answer is not None:
            return await self.answer(request)
        if request.method == "POST":
            self.actions.append((request.path, await request.json()))
            return web.json_response(self.outcome)
        after = request.query.get("after")
        async with self.changed:
            await self.changed.wait_for(
                lambda: self.is_over or str(self.status.status_version) != after
            )
            self.is_over = False
        return web.Response(body=encode_status(self.status), content_type="application/json")

    async def change(self, status: MemberStatus) -> None:
        async with self.changed:
            self.status = status
            self.changed.notify_all()


@dataclass
class World:
    member: FakeMember
    members: Members
    wakes: list[Key]
    problems: list[str]
    ip: str

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(15):
                while not condition():  # noqa: ASYNC110 - a real socket tells nobody
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"not within 15 s: {what}; heard {self.heard()}") from None

    def heard(self) -> object:
        return self.members.heard(KEY)


def run(story: Callable[[World], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(40), world() as here:
            await story(here)

    asyncio.run(limited())


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    member = FakeMember()
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", member.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    wakes: list[Key] = []
    problems: list[str] = []
    async with asyncio.TaskGroup() as group:
        members = Members(
            group,
            SystemClock(),
            lambda: 0.0,
            wakes.append,
            problems.append,
            port=runner.addresses[0][1],
        )
        try:
            yield World(member, members, wakes, problems, "127.0.0.1")
        finally:
            await members.close()
            await runner.cleanup()


def test_news_wake_the_cluster_at_once_and_silence_does_not() -> None:
    async def story(here: World) -> None:
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.wakes) == 1, "the first answer")
        heard = here.members.heard(KEY)[0]
        assert (heard.status, heard.pod_uid, heard.silent_since_s) == (STATUS, "pod-0", None)
        await here.until(lambda: len(here.member.queries) == 2, "a long poll is held")
        assert here.member.queries[1]["after"] == "1"
        leader = replace(STATUS, status_version=2, state=MemberState.LEADER, role="leader")
        await here.member.change(leader)
        await here.until(lambda: len(here.wakes) == 2, "the news")
        assert here.members.heard(KEY)[0].status == leader
        assert here.problems == []

    run(story)


async def _text(body: str | bytes, code: int = 200) -> web.StreamResponse:
    return web.Response(body=body, status=code)


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(b"x" * 10_000)
    return response


async def _hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


GARBAGE: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    "empty": lambda _: _text(""),
    "html": lambda _: _text("<html>"),
    "list": lambda _: _text("[]"),
    "deep": lambda _: _text("[" * 60_000),
    "bytes": lambda _: _text(b"\xff\x00"),
    "wrong type": lambda _: _text(encode_status(STATUS).replace(b'"seat":0', b'"seat":"0"')),
    "lacks a key": lambda _: _text(b'{"seat":0}'),
    "server error": lambda _: _text("oops", 500),
    "redirect": lambda _: _text("", 302),
    "endless": _endless,
    "hangs up": _hang_up,
    "other cluster": lambda _: _text(encode_status(replace(STATUS, cluster_id="f" * 32))),
    "no cluster": lambda _: _text(encode_status(replace(STATUS, cluster_id=""))),
    "other seat": lambda _: _text(encode_status(replace(STATUS, seat=1))),
}


PROBLEMS = {
    "hangs up": PollProblem.UNREACHABLE,
    "other cluster": PollProblem.WRONG_CLUSTER,
    "no cluster": PollProblem.WRONG_CLUSTER,
    "other seat": PollProblem.WRONG_SEAT,
}
"""What each is called; all others are garbage."""


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_word_of_this_member_is_not_used(kind: str) -> None:
    async def story(here: World) -> None:
        here.member.answer = GARBAGE[kind]
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.problems) >= 2, "asked again after a back-off")
        heard = here.members.heard(KEY)[0]
        assert heard.status is None
        assert heard.silent_since_s is not None
        assert heard.problem == PROBLEMS.get(kind, PollProblem.GARBAGE)
        assert set(here.problems) == {heard.problem}

    run(story)


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_member_that_turns_odd_keeps_its_last_word_and_is_silent_since_then(kind: str) -> None:
    async def story(here: World) -> None:
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.wakes) == 1, "the first answer")
        here.member.answer = GARBAGE[kind]
        await here.member.change(replace(STATUS, status_version=2))
        await here.until(lambda: bool(here.problems), "the oddity is noticed")
        since = here.members.heard(KEY)[0].silent_since_s
        await here.until(lambda: len(here.problems) >= 2, "still odd")
        heard = here.members.heard(KEY)[0]
        assert heard.status is not None
        assert since is not None
        assert heard.silent_since_s == since, "silence begins once"
        here.member.answer = None
        await here.member.change(replace(STATUS, status_version=9))
        await here.until(lambda: here.members.heard(KEY)[0].silent_since_s is None, "well again")
        assert here.members.heard(KEY)[0].problem == ""

    run(story)


def test_nobody_is_asked_without_a_cluster_id_an_address_or_a_controller() -> None:
    async def story(here: World) -> None:
        stray = replace(pod_at(here.ip), controller_uid="")
        for cluster, place in (("", pod_at(here.ip)), (CLUSTER, pod_at("")), (CLUSTER, stray)):
            await here.members.follow(KEY, cluster, {0: place})
            assert here.members.heard(KEY) == {}
            assert await here.members.ask(KEY) == {}
        assert here.member.queries == []

    run(story)


def test_a_new_pod_begins_with_nothing_heard() -> None:
    async def story(here: World) -> None:
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.wakes) == 1, "the first answer")
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip, uid="pod-1")})
        heard = here.members.heard(KEY)[0]
        assert (heard.pod_uid, heard.status) == ("pod-1", None)
        await here.members.follow(KEY, CLUSTER, {})
        assert here.members.heard(KEY) == {}

    run(story)


def test_asking_anew_does_not_wait_for_news() -> None:
    async def story(here: World) -> None:
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.member.queries) == 2, "a long poll is held")
        here.member.status = replace(STATUS, append_position=4096)
        heard = await here.members.ask(KEY)
        assert heard[0].status is not None
        assert heard[0].status.append_position == 4096
        assert "after" not in here.member.queries[-1]

    run(story)


def test_a_member_that_hangs_when_it_is_asked_before_a_disruption_does_not_speak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last word may be of before it hung, and would count for the majority that stays."""
    monkeypatch.setattr("quorate_operator.members.ASK_LIMIT_S", 0.2)

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError("the question was not given up")

    async def story(here: World) -> None:
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.member.queries) == 2, "a long poll is held")
        here.member.answer = hang
        heard = await here.members.ask(KEY)
        assert heard[0].silent_since_s is not None
        assert heard[0].problem == PollProblem.TIMEOUT
        assert here.problems == [PollProblem.TIMEOUT]

    run(story)


def test_a_member_that_was_silent_is_asked_without_waiting_for_news() -> None:
    """Else one that has none was thought silent for the length of a long poll more."""

    async def story(here: World) -> None:
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.member.queries) == 2, "a long poll is held")
        here.member.answer = GARBAGE["hangs up"]
        async with here.member.changed:
            here.member.is_over = True
            here.member.changed.notify_all()
        await here.until(lambda: here.members.heard(KEY)[0].silent_since_s is not None, "silent")
        here.member.answer = None
        await here.until(lambda: here.members.heard(KEY)[0].silent_since_s is None, "it speaks")
        await here.until(lambda: "after" in here.member.queries[-1], "a long poll is held again")

    run(story)


def test_a_member_found_silent_beside_its_poll_is_news_when_the_poll_is_answered() -> None:
    """Whoever looked meanwhile planned with its silence, and must look again when it ends."""

    async def story(here: World) -> None:
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(here.member.queries) == 2, "a long poll is held")
        here.member.answer = GARBAGE["hangs up"]
        heard = await here.members.ask(KEY)
        assert heard[0].silent_since_s is not None
        here.member.answer, known = None, len(here.wakes)
        async with here.member.changed:
            # Its time is up: the same word once more, as a member answers that has no news.
            here.member.is_over = True
            here.member.changed.notify_all()
        await here.until(lambda: here.members.heard(KEY)[0].silent_since_s is None, "it speaks")
        await here.until(lambda: len(here.wakes) > known, "its cluster is looked at again")

    run(story)


def test_what_a_leader_sees_of_a_follower_is_news_though_its_version_stays() -> None:
    behind = replace(STATUS, members=(FollowerRow(1, connected=True, state="catching-up"),))
    further = FollowerRow(1, connected=True, append_position=9, state="catching-up")
    near = FollowerRow(1, connected=True, append_position=9)
    gone = FollowerRow(1, connected=False, append_position=9)
    before = Member(0, "pod-0", behind, 1.0, None)
    assert not _is_news(before, replace(before, status=replace(behind, members=(further,))))
    assert _is_news(before, replace(before, status=replace(behind, members=(near,))))
    assert _is_news(before, replace(before, status=replace(behind, members=(gone,))))
    assert _is_news(before, replace(before, status=replace(behind, caught_up=True)))


def test_whatever_a_member_is_called_otherwise_by_is_news() -> None:
    """Its cluster shows why it is not heard, and plans by who it is and since when."""
    well = Member(0, "pod-0", STATUS, 1.0, None)
    silent = replace(well, silent_since_s=2.0, problem="timeout")
    assert not _is_news(well, replace(well, answered_s=5.0))
    assert not _is_news(silent, replace(silent, answered_s=5.0))
    assert _is_news(well, silent)
    assert _is_news(silent, well)
    assert _is_news(silent, replace(silent, problem="wrong-cluster"))
    assert _is_news(well, replace(well, status=replace(STATUS, status_version=2)))
    assert _is_news(well, replace(well, status=replace(STATUS, start_nonce="f" * 16)))
    seen = replace(well, status=replace(STATUS, members=(FollowerRow(1, connected=True),)))
    assert _is_news(seen, replace(well, status=replace(STATUS, members=())))
    for row in (FollowerRow(2, connected=True), FollowerRow(1, connected=False)):
        assert _is_news(seen, replace(well, status=replace(STATUS, members=(row,))))


def test_the_problem_of_a_member_is_that_of_its_last_answer() -> None:
    async def never(_: float) -> None:
        await asyncio.Event().wait()

    async def story(here: World) -> None:
        here.members._sleep = never
        here.member.answer = GARBAGE["empty"]
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: bool(here.problems), "the poll has asked, and will not again")
        for kind, problem in (*PROBLEMS.items(), ("html", "garbage")):
            here.member.answer = GARBAGE[kind]
            await here.members.ask(KEY)
            assert here.members.heard(KEY)[0].problem == problem

    run(story)


def test_a_member_that_always_has_news_is_asked_at_a_bounded_rate() -> None:
    async def story(here: World) -> None:
        async def news(_: web.Request) -> web.StreamResponse:
            return await _text(
                encode_status(replace(STATUS, status_version=len(here.member.queries)))
            )

        here.member.answer = news
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        loop = asyncio.get_running_loop()
        began = loop.time()
        await here.until(lambda: len(here.member.queries) >= 6, "six answers")
        assert loop.time() - began >= 0.4, "without a pause a member could keep us busy"

    run(story)


def test_who_fails_is_asked_less_often_until_it_answers_again() -> None:
    async def broken(_: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    async def story(here: World) -> None:
        pauses: list[float] = []

        async def sleep(for_s: float) -> None:
            pauses.append(for_s)
            await asyncio.sleep(0)

        here.members._sleep = sleep
        here.member.answer = broken
        await here.members.follow(KEY, CLUSTER, {0: pod_at(here.ip)})
        await here.until(lambda: len(pauses) >= 12, "a dozen failures")
        assert pauses == sorted(pauses), "longer each time"
        assert sum(pauses[:3]) < 2.0, "one that was restarted is heard soon"
        assert pauses[-1] == BACKOFF_MAX_S / 2, "half of it is left to chance, which is none here"
        here.member.answer = None
        await here.until(lambda: pauses[-1] == PAUSE_S, "it answers, and is asked as before")

    run(story)


def test_the_token_goes_to_admin_actions_and_to_no_other_request() -> None:
    async def story(here: World) -> None:
        pod = pod_at(here.ip)
        await here.members.follow(KEY, CLUSTER, {0: pod})
        await here.until(lambda: len(here.wakes) == 1, "the first answer")
        assert all("Authorization" not in headers for headers in here.member.headers)
        assert await here.members.transfer(pod, "a-token", 2) == "done"
        assert await here.members.transfer(pod, "a-token", 0) == "done"
        assert await here.members.transfer(pod, "a-token", None) == "done"
        assert await here.members.found(pod, "a-token") == "done"
        posts = here.member.headers[-4:]
        assert [headers.get("Authorization") for headers in posts] == ["Bearer a-token"] * 4
        assert here.member.actions == [
            ("/admin/transfer", {"to": 2}),
            ("/admin/transfer", {"to": 0}),
            ("/admin/transfer", {"to": "any"}),
            ("/admin/found", {"discard": False}),
        ]

    run(story)


def test_a_refusal_defers_and_anything_else_is_tried_later() -> None:
    async def story(here: World) -> None:
        pod = pod_at(here.ip)
        here.member.outcome = {"id": "1", "state": "failed", "reason": "nobody is caught up"}
        with pytest.raises(Deferred, match="nobody is caught up"):
            await here.members.transfer(pod, "t", None)
        for kind in ("html", "server error", "hangs up"):
            here.member.answer = GARBAGE[kind]
            with pytest.raises(Unavailable):
                await here.members.found(pod, "t")

    run(story)
