"""Events are told once in ten minutes, whoever tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest

from quorate_fake_api.server import FakeApi, api_of, fake_api, status
from quorate_operator.errors import OperatorError
from quorate_operator.kube.events import REPEAT_S, TOLD_MAX, Herald
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import Note
from quorate_operator.planning.observed import Resource
from quorate_operator.reasons import Reason

RESOURCE = Resource("bank", "ns", "u", "5", 1, None, ClusterStatus())
NOTE = Note(Reason.LEADER_CHANGED, "bank-1 leads term 4")


class Clock:
    now_s = 1_800_000_000.0

    def wall(self) -> int:
        return int(self.now_s * 1e9)

    monotonic = boottime = wall


def names(fake: FakeApi) -> list[object]:
    bodies = [cast("Mapping[str, Mapping[str, object]]", r.body) for r in fake.requests]
    return [body["metadata"]["name"] for body in bodies]


def test_an_event_names_its_resource_and_its_reason() -> None:
    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            await Herald(api, Clock(), "pod-1").tell(RESOURCE, NOTE)
            (request,) = fake.requests
            body = cast("Mapping[str, Mapping[str, object]]", request.body)
            assert request.path == "/apis/events.k8s.io/v1/namespaces/ns/events"
            assert body["regarding"]["uid"] == "u"
            assert (body["reason"], body["type"]) == ("LeaderChanged", "Normal")
            assert body["note"] == NOTE.message

    asyncio.run(story())


def test_however_long_its_words_the_api_server_takes_an_event() -> None:
    """It refuses a note of more than 1024 characters, and a reporter of more than 128."""

    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            await Herald(api, Clock(), "p" * 500).tell(RESOURCE, Note(NOTE.reason, "words " * 500))
            body = cast("Mapping[str, str]", fake.requests[0].body)
            assert len(body["note"]) <= 1024
            assert len(body["reportingInstance"]) <= 128

    asyncio.run(story())


def test_a_repetition_is_told_again_only_after_a_while() -> None:
    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            clock = Clock()
            herald = Herald(api, clock, "pod-1")
            for _ in range(5):
                await herald.tell(RESOURCE, NOTE)
            await herald.tell(RESOURCE, Note(NOTE.reason, "bank-2 leads term 5"))
            assert len(fake.requests) == 2
            clock.now_s += REPEAT_S
            await herald.tell(RESOURCE, NOTE)
            assert len(set(names(fake))) == 3

    asyncio.run(story())


OTHERS = {
    "another resource": (replace(RESOURCE, namespace="other", uid="u2"), NOTE),
    "made anew": (replace(RESOURCE, uid="u3"), NOTE),
    "another reason": (RESOURCE, replace(NOTE, reason=Reason.TRANSFER_DONE)),
    "other words": (RESOURCE, replace(NOTE, message="bank-2 leads term 5")),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_differs_in_anything_is_another_event(other: str) -> None:
    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            herald, (resource, note) = Herald(api, Clock(), "pod-1"), OTHERS[other]
            await herald.tell(RESOURCE, NOTE)
            await herald.tell(resource, note)
            assert len(set(names(fake))) == 2
            body = cast("Mapping[str, Mapping[str, object]]", fake.requests[1].body)
            assert body["metadata"]["namespace"] == resource.namespace
            assert f"/namespaces/{resource.namespace}/" in fake.requests[1].path

    asyncio.run(story())


def test_what_somebody_should_see_is_a_warning() -> None:
    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            for warning in (True, False):
                await Herald(api, Clock(), "p").tell(RESOURCE, replace(NOTE, warning=warning))
            bodies = [cast("Mapping[str, object]", request.body) for request in fake.requests]
            assert [body["type"] for body in bodies] == ["Warning", "Normal"]

    asyncio.run(story())


def test_what_lasts_for_hours_is_told_once_in_each_while() -> None:
    """And what was told last is forgotten last: a storm of others does not bring it back."""

    async def story() -> None:
        async with asyncio.timeout(60), fake_api() as fake, api_of(fake.url) as api:
            clock = Clock()
            herald = Herald(api, clock, "pod-1")
            for _ in range(60):
                await herald.tell(RESOURCE, NOTE)
                clock.now_s += REPEAT_S / 10
            assert len(fake.requests) == 6
            herald._told_at.update({str(n): 0 for n in range(TOLD_MAX - 1)})
            await herald.tell(RESOURCE, NOTE)
            await herald.tell(RESOURCE, replace(NOTE, message="another"))
            await herald.tell(RESOURCE, NOTE)
            assert len(fake.requests) == 8

    asyncio.run(story())


@pytest.mark.parametrize(("passed_s", "count"), [(2, 1), (REPEAT_S - 1, 1), (REPEAT_S, 2), (-5, 2)])
def test_a_while_begins_where_the_event_was_told(passed_s: int, count: int) -> None:
    """Not with a period of the clock: a second before its end it would be over at once."""

    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            clock = Clock()
            clock.now_s = 1_800_000_000.0 // REPEAT_S * REPEAT_S + REPEAT_S - 1
            herald = Herald(api, clock, "pod-1")
            await herald.tell(RESOURCE, NOTE)
            clock.now_s += passed_s
            await herald.tell(RESOURCE, NOTE)
            assert len(fake.requests) == count

    asyncio.run(story())


def test_two_processes_tell_one_event() -> None:
    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            await Herald(api, Clock(), "pod-1").tell(RESOURCE, NOTE)
            fake.script.append(status(409, "AlreadyExists"))
            await Herald(api, Clock(), "pod-2").tell(RESOURCE, NOTE)
            first, second = names(fake)
            assert first == second

    asyncio.run(story())


@pytest.mark.parametrize("code", [500, 409, 403])
def test_an_event_that_was_not_told_is_told_the_next_time(code: int) -> None:
    """Such as one that a quota conflicts with: there is no event of this name by that."""

    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            herald = Herald(api, Clock(), "pod-1")
            fake.script.append(status(code))
            with pytest.raises(OperatorError):
                await herald.tell(RESOURCE, NOTE)
            await herald.tell(RESOURCE, NOTE)
            assert len(fake.requests) == 2

    asyncio.run(story())


def test_what_was_told_is_remembered_up_to_a_bound() -> None:
    async def story() -> None:
        async with asyncio.timeout(60), fake_api() as fake, api_of(fake.url) as api:
            herald = Herald(api, Clock(), "pod-1")
            herald._told_at.update({str(n): 0 for n in range(TOLD_MAX)})
            await herald.tell(RESOURCE, NOTE)
            assert len(herald._told_at) == TOLD_MAX
            assert "0" not in herald._told_at

    asyncio.run(story())
