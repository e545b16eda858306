"""Calls to the API server against a scripted one: what is sent, and what each answer means."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from quorate_fake_api.server import Answer, FakeApi, api_of, fake_api, status
from quorate_operator.errors import (
    AlreadyExists,
    Conflict,
    Deferred,
    Gone,
    LeaseLost,
    OperatorError,
    Refused,
    Unavailable,
)
from quorate_operator.kube import kinds
from quorate_operator.kube.answer import LEFT_ALONE_S_MAX
from quorate_operator.kube.api import Api

POD = kinds.POD
CALLS: dict[str, Callable[[Api], Awaitable[object]]] = {
    "get": lambda api: api.get(POD, "n", "p"),
    "list": lambda api: api.list(POD, "n", "a=b"),
    "create": lambda api: api.create(POD, "n", {"metadata": {"name": "p"}}, "m"),
    "update": lambda api: api.update(POD, "n", "p", {"metadata": {"name": "p"}}),
    "apply": lambda api: api.apply(POD, "n", {"metadata": {"name": "p"}}, "m"),
    "merge": lambda api: api.merge(POD, "n", "p", {"metadata": {"uid": "u"}}, "m"),
    "delete": lambda api: api.delete(POD, "n", "p", "u", "7"),
    "evict": lambda api: api.evict(POD, "n", "p", "u", "7"),
}
MUTATING = sorted(set(CALLS) - {"get", "list"})


def run(story: Callable[[FakeApi], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30), fake_api() as fake:
            await story(fake)

    asyncio.run(limited())


def outcome_of(
    call: str,
    *answers: Answer,
    **options: Any,  # noqa: ANN401 - those of api_of
) -> tuple[FakeApi, object]:
    """Return the server and what came of one call: its value or its error."""
    found: list[object] = []
    fakes: list[FakeApi] = []

    async def story(fake: FakeApi) -> None:
        fakes.append(fake)
        fake.script.extend(answers)
        async with api_of(fake.url, **options) as api:
            try:
                found.append(await CALLS[call](api))
            except OperatorError as error:
                found.append(error)

    run(story)
    return fakes[0], found[0]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, Refused),
        (401, Unavailable),
        (403, Refused),
        (404, Gone),
        (405, Refused),
        (408, Unavailable),
        (409, Conflict),
        (410, Conflict),
        (422, Refused),
        (500, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (302, Unavailable),
    ],
)
def test_each_code_has_one_meaning(call: str, code: int, error: type[OperatorError]) -> None:
    _, outcome = outcome_of(call, status(code, message="because of this"))
    assert type(outcome) is error
    assert "because of this" in str(outcome)
    assert "/api/v1/namespaces/n/pods" in str(outcome)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>a proxy</html>"),
        Answer(200, b""),
        Answer(200, b"[]"),
        Answer(200, b"\xff\xfe"),
        Answer(200, b"[" * 100_000),
        Answer(500, b"not JSON"),
        Answer(hang_up=True),
    ],
)
def test_an_answer_that_is_no_object_is_no_success(call: str, answer: Answer) -> None:
    # Three times, as the HTTP library repeats some requests itself when a connection breaks.
    _, outcome = outcome_of(call, answer, answer, answer)
    assert type(outcome) is Unavailable


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, {}, {"Location": f"http://{'a' * 300}/"}),
        Answer(302, {}, {"Location": "ftp://a/"}),
        Answer(302, {}, {"Location": "http://["}),
        Answer(200, b'{"items": [], "metadata": {"continue": "\\ud800"}}'),
        Answer(200, b"no gzip", {"Content-Encoding": "gzip"}),
        Answer(200, {}, {"Content-Encoding": "br"}),
    ],
)
def test_whatever_stands_between_the_server_and_us_is_an_error_of_the_call(answer: Answer) -> None:
    """Another kind of error would end the process: nobody expects one of a call."""
    _, outcome = outcome_of("list", *[answer] * 3)
    assert type(outcome) is Unavailable


def test_a_token_that_cannot_be_read_for_a_moment_costs_one_call(tmp_path: Path) -> None:
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    for path in (token, certificate):
        path.write_text("words")
    place = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    loader = InClusterConfigLoader(str(token), str(certificate), environ=place)

    async def story(fake: FakeApi) -> None:
        fake.objects["/api/v1/namespaces/n/pods"] = {"items": []}
        async with api_of(fake.url) as api:
            settings = api._client.configuration
            loader.load_and_set(settings)
            loader.host = settings.host = fake.url
            for content in (None, "", "new"):
                loader.token_expires_at = datetime.now()  # noqa: DTZ005 - the client's own
                token.unlink(missing_ok=True)
                if content is not None:
                    token.write_text(content)
                if content:
                    assert await api.list(POD, "n") == []
                else:
                    with pytest.raises(Unavailable):
                        await api.list(POD, "n")

    run(story)


@given(st.integers(200, 599), st.binary(max_size=200))
def test_no_answer_raises_anything_else(code: int, body: bytes) -> None:
    if code in (204, 304):
        body = b""
    _, outcome = outcome_of("get", *[Answer(code, body)] * 3, sleep=lambda _: asyncio.sleep(0))
    assert isinstance(outcome, OperatorError | dict)


@pytest.mark.parametrize("call", CALLS)
def test_that_there_is_one_of_the_name_is_told_apart_from_other_conflicts(call: str) -> None:
    _, outcome = outcome_of(call, status(409, "AlreadyExists"))
    assert type(outcome) is AlreadyExists


@pytest.mark.parametrize("call", CALLS)
def test_another_uid_is_a_conflict_however_it_is_told(call: str) -> None:
    """Some kinds answer 409, others that a field is immutable."""
    body = {"message": "no", "details": {"causes": [{"field": "metadata.uid", "reason": "x"}]}}
    _, outcome = outcome_of(call, Answer(422, body))
    assert type(outcome) is Conflict


@pytest.mark.parametrize("call", CALLS)
def test_a_slow_server_ends_a_call_at_its_limit(call: str) -> None:
    _, outcome = outcome_of(call, Answer(delay_s=20.0), limit_s=0.05)
    assert type(outcome) is Unavailable
    assert "no answer within 0.05 s" in str(outcome)


@pytest.mark.parametrize("call", CALLS)
def test_an_absent_server_is_unavailable(call: str) -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        async with api_of(f"http://127.0.0.1:{port}") as api:
            with pytest.raises(Unavailable, match="unreachable"):
                await CALLS[call](api)

    asyncio.run(story())


@pytest.mark.parametrize("call", CALLS)
def test_a_throttled_call_is_made_again_after_the_time_that_was_asked_for(call: str) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    throttled = Answer(429, {}, {"Retry-After": "3"})
    success = Answer(200, {"items": []})
    fake, outcome = outcome_of(call, throttled, throttled, success, sleep=sleep)
    assert not isinstance(outcome, OperatorError)
    assert waits == [3.0, 3.0]
    assert len(fake.requests) == 3
    assert fake.requests[0] == fake.requests[2]


def test_throttling_without_an_end_is_left_to_the_queue() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    throttled = Answer(429, {}, {"Retry-After": "2"})
    fake, outcome = outcome_of("get", *[throttled] * 9, sleep=sleep)
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after_s == 2.0
    assert (len(fake.requests), waits) == (3, [2.0, 2.0])


def test_a_long_wait_is_left_to_the_queue_at_once() -> None:
    fake, outcome = outcome_of("get", Answer(429, {}, {"Retry-After": "60"}))
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after_s == 60.0
    assert len(fake.requests) == 1


@pytest.mark.parametrize("seconds", ["86400", "9" * 400])
def test_no_server_stops_the_operator_for_long(seconds: str) -> None:
    _, outcome = outcome_of("get", Answer(503, {}, {"Retry-After": seconds}))
    assert isinstance(outcome, Unavailable)
    assert outcome.retry_after_s == LEFT_ALONE_S_MAX


def test_a_disruption_budget_defers_and_is_not_asked_again() -> None:
    fake, outcome = outcome_of("evict", status(429, "TooManyRequests", cause="DisruptionBudget"))
    assert type(outcome) is Deferred
    assert len(fake.requests) == 1


def test_two_disruption_budgets_are_a_refusal_though_the_server_calls_it_its_own_error() -> None:
    words = (
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
        "support."
    )
    _, outcome = outcome_of("evict", status(500, "", message=words))
    assert type(outcome) is Refused
    assert words in str(outcome)
    assert "keep the one that has the name of the ClusterService" in str(outcome)


@pytest.mark.parametrize("call", MUTATING)
def test_without_the_lease_nothing_that_changes_is_sent(call: str) -> None:
    def guard() -> None:
        raise LeaseLost("not ours")

    fake, outcome = outcome_of(call, guard=guard)
    assert type(outcome) is LeaseLost
    assert fake.requests == []


@pytest.mark.parametrize("call", MUTATING)
def test_the_lease_is_checked_before_each_attempt(call: str) -> None:
    held = [True]

    def guard() -> None:
        if not held[0]:
            raise LeaseLost("lost meanwhile")

    async def sleep(_: float) -> None:
        held[0] = False

    fake, outcome = outcome_of(call, Answer(429), guard=guard, sleep=sleep)
    assert type(outcome) is LeaseLost
    assert len(fake.requests) == 1


@pytest.mark.parametrize("call", MUTATING)
@pytest.mark.parametrize(
    ("left_s", "told"), [(math.inf, "5000ms"), (60.0, "5000ms"), (2.75, "2750ms")]
)
def test_a_change_takes_no_longer_than_is_left_of_the_lease_also_at_the_server(
    call: str, left_s: float, told: str
) -> None:
    fake, outcome = outcome_of(call, Answer(200), left_s=lambda: left_s, limit_s=5.0)
    assert not isinstance(outcome, OperatorError)
    assert [request.query.get("timeout") for request in fake.requests] == [told]


def test_a_change_with_no_time_left_has_a_limit_all_the_same() -> None:
    """The guard refuses it; a limit of 0 would be none for the server."""

    async def story(fake: FakeApi) -> None:
        for left_s in (0.0, -5.0):
            async with api_of(fake.url, left_s=lambda: left_s) as api:  # noqa: B023 - used here
                assert api._bounds("update", {"a": "b"}) == (0.001, {"a": "b", "timeout": "1ms"})

    run(story)


@pytest.mark.parametrize("call", MUTATING)
def test_each_attempt_of_a_change_has_what_is_left_then(call: str) -> None:
    left = [3.0]

    async def sleep(_: float) -> None:
        left[0] = 1.0

    fake, _ = outcome_of(call, Answer(429), left_s=lambda: left[0], sleep=sleep)
    assert [request.query["timeout"] for request in fake.requests] == ["3000ms", "1000ms"]


@pytest.mark.parametrize("call", MUTATING)
def test_a_change_that_is_not_answered_in_what_is_left_is_given_up(call: str) -> None:
    # The story has half a minute; an answer after a minute, and a limit beyond, would end it.
    slow = Answer(200, delay_s=60.0)
    _, outcome = outcome_of(call, slow, left_s=lambda: 0.1, limit_s=90.0)
    assert type(outcome) is Unavailable
    assert "within 0.1 s" in str(outcome)


@pytest.mark.parametrize("call", ["get", "list"])
def test_reading_has_its_own_limit_and_tells_none(call: str) -> None:
    fake, _ = outcome_of(call, Answer(200, {"items": []}), left_s=lambda: 0.0)
    assert [request.query.get("timeout") for request in fake.requests] == [None]


@pytest.mark.parametrize("call", ["get", "list"])
def test_reading_needs_no_lease(call: str) -> None:
    def guard() -> None:
        raise LeaseLost("not ours")

    _, outcome = outcome_of(call, Answer(200, {"items": []}), guard=guard)
    assert not isinstance(outcome, OperatorError)


def test_writes_name_the_object_they_mean() -> None:
    exact = {"uid": "u", "resourceVersion": "7"}
    fake, _ = outcome_of("delete")
    (deleted,) = fake.requests
    assert isinstance(deleted.body, dict)
    assert deleted.body["preconditions"] == exact
    assert "gracePeriodSeconds" not in deleted.body
    fake, _ = outcome_of("evict")
    (evicted,) = fake.requests
    assert evicted.path.endswith("/pods/p/eviction")
    assert isinstance(evicted.body, dict)
    assert evicted.body["deleteOptions"] == {"preconditions": exact}


@pytest.mark.parametrize(
    ("call", "content_type", "query"),
    [
        ("apply", "application/apply-patch+yaml", {"fieldManager": "m", "force": "true"}),
        ("merge", "application/merge-patch+json", {"fieldManager": "m"}),
        ("create", "application/json", {"fieldManager": "m"}),
    ],
)
def test_writes_carry_their_manager(call: str, content_type: str, query: dict[str, str]) -> None:
    fake, _ = outcome_of(call)
    (request,) = fake.requests
    assert (request.content_type, request.query) == (content_type, {**query, "timeout": "5000ms"})


def test_a_list_is_read_to_its_end() -> None:
    def page(names: list[str], more: str) -> Answer:
        items = [{"metadata": {"name": name}} for name in names]
        return Answer(200, {"items": items, "metadata": {"continue": more}})

    fake, outcome = outcome_of("list", page(["a", "b"], "x"), page(["c"], "y"), page([], ""))
    assert isinstance(outcome, list)
    assert [item["metadata"]["name"] for item in outcome] == ["a", "b", "c"]
    assert [request.query.get("continue") for request in fake.requests] == [None, "x", "y"]
    assert all(request.query["labelSelector"] == "a=b" for request in fake.requests)
    assert all(0 < int(request.query["limit"]) <= 1000 for request in fake.requests), "in pages"


def test_a_list_that_grew_old_between_its_pages_is_started_again_by_the_caller() -> None:
    first = Answer(200, {"items": [], "metadata": {"continue": "x"}})
    _, outcome = outcome_of("list", first, status(410, "Expired"))
    assert type(outcome) is Conflict


def test_each_call_is_counted_once_with_its_resource() -> None:
    seen: list[tuple[str, str, str, str]] = []
    outcome_of("evict", status(503), on_call=lambda *call: seen.append(call))
    outcome_of("get", Answer(delay_s=9.0), limit_s=0.05, on_call=lambda *call: seen.append(call))
    assert seen == [("create", "", "pods/eviction", "503"), ("get", "", "pods", "timeout")]


def test_an_object_that_is_not_there_is_found_as_none() -> None:
    async def story(fake: FakeApi) -> None:
        fake.objects["/api/v1/namespaces/n/pods/here"] = {"metadata": {"name": "here"}}
        async with api_of(fake.url) as api:
            assert await api.find(POD, "n", "gone") is None
            assert await api.find(POD, "n", "here") == {"metadata": {"name": "here"}}

    run(story)
