"""Each step as the one request that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest

from quorate_fake_api.server import Answer, Request, api_of, fake_api, status
from quorate_operator.errors import Conflict, Deferred, Gone, OperatorError
from quorate_operator.kube.act import Actor, ObjectStep
from quorate_operator.model import ClusterStatus
from quorate_operator.planning.actions import (
    ApplyChild,
    CreateChild,
    DeleteChild,
    DeletePod,
    EvictPod,
    LabelPod,
    LabelSource,
    PatchClaim,
    WriteIdentity,
)
from quorate_operator.planning.observed import Resource
from quorate_operator.reasons import Reason

RESOURCE = Resource("bank", "ns", "u", "5", 1, None, ClusterStatus(cluster_id="c" * 32, epoch=2))
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bank", "labels": {}}}
STEPS: dict[str, ObjectStep] = {
    "identity": WriteIdentity("u", "5", "c" * 32, 3, founded=False),
    "create": CreateChild({"kind": "Secret", "metadata": {"name": "bank-auth"}}),
    "apply": ApplyChild(SERVICE, "s"),
    "delete": DeleteChild("ConfigMap", "bank-config-1", "m"),
    "claim": PatchClaim("log-bank-0", "v", "8", {"metadata": {"annotations": {"a": "b"}}}),
    "label": LabelPod("bank-0", "p", {"quorate.io/role": None}, {"quorate.io/term": "3"}),
    "evict": EvictPod(0, "bank-0", "p", "9", Reason.UPDATING),
    "kill": DeletePod(0, "bank-0", "p", "9", Reason.MEMBER_BROKEN),
}


def acted(
    step: ObjectStep, *failures: int, reason: str = "", cause: str = ""
) -> tuple[list[Request], object]:
    async def story() -> tuple[list[Request], object]:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            fake.script.extend(status(code, reason, cause=cause) for code in failures)
            try:
                await Actor(api).act(RESOURCE, step)
            except OperatorError as error:
                return fake.requests, error
            return fake.requests, None

    return asyncio.run(story())


def metadata(request: Request) -> Mapping[str, object]:
    return cast("Mapping[str, object]", cast("Mapping[str, object]", request.body)["metadata"])


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [
        (
            "identity",
            "PATCH",
            "/apis/quorate.io/v1/namespaces/ns/clusterservices/bank/status",
        ),
        ("create", "POST", "/api/v1/namespaces/ns/secrets"),
        ("apply", "PATCH", "/api/v1/namespaces/ns/services/bank"),
        ("delete", "DELETE", "/api/v1/namespaces/ns/configmaps/bank-config-1"),
        ("claim", "PATCH", "/api/v1/namespaces/ns/persistentvolumeclaims/log-bank-0"),
        ("label", "PATCH", "/api/v1/namespaces/ns/pods/bank-0"),
        ("evict", "POST", "/api/v1/namespaces/ns/pods/bank-0/eviction"),
        ("kill", "DELETE", "/api/v1/namespaces/ns/pods/bank-0"),
    ],
)
def test_each_step_is_one_request(name: str, method: str, path: str) -> None:
    requests, error = acted(STEPS[name])
    assert error is None
    assert [(request.method, request.path) for request in requests] == [(method, path)]


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("delete", {"uid": "m"}),
        ("evict", {"uid": "p", "resourceVersion": "9"}),
        ("kill", {"uid": "p", "resourceVersion": "9"}),
    ],
)
def test_what_goes_is_the_object_that_the_plan_saw_and_in_that_state(
    name: str, exact: dict[str, str]
) -> None:
    """A pod that has begun to serve since then is another matter, and so is a new one."""
    (request,), _ = acted(STEPS[name])
    body = cast("Mapping[str, object]", request.body)
    options = cast("Mapping[str, object]", body.get("deleteOptions", body))
    assert options["preconditions"] == exact


@pytest.mark.parametrize(
    ("name", "uid", "version"),
    [
        ("identity", "u", "5"),
        ("apply", "s", None),
        ("claim", "v", "8"),
        ("label", "p", None),
    ],
)
def test_a_change_names_the_object_that_the_plan_saw(
    name: str, uid: str, version: str | None
) -> None:
    """Without it, a change for one object could reach another of its name, or make one."""
    (request,), _ = acted(STEPS[name])
    assert metadata(request)["uid"] == uid
    assert metadata(request).get("resourceVersion") == version


def test_identity_and_status_have_managers_of_their_own() -> None:
    (identity,), _ = acted(STEPS["identity"])
    assert identity.query["fieldManager"] == "quorate-identity"
    assert cast("Mapping[str, object]", identity.body)["status"] == {
        "clusterId": "c" * 32,
        "epoch": 3,
        "founded": False,
    }


def test_a_new_object_is_applied_without_a_uid() -> None:
    (request,), _ = acted(ApplyChild(SERVICE, ""))
    assert "uid" not in metadata(request)
    assert request.query.items() >= {"fieldManager": "quorate-operator", "force": "true"}.items()


def test_labels_are_removed_by_null_and_nothing_else_is_touched() -> None:
    (request,), _ = acted(STEPS["label"])
    assert request.body == {
        "metadata": {
            "uid": "p",
            "labels": {"quorate.io/role": None},
            "annotations": {"quorate.io/term": "3"},
        }
    }
    assert request.content_type == "application/merge-patch+json"


def test_what_exists_already_is_left_as_it_is() -> None:
    requests, error = acted(STEPS["create"], 409, reason="AlreadyExists")
    assert error is None
    assert len(requests) == 1, "and not replaced"


def test_what_a_conflict_keeps_from_being_made_was_not_made() -> None:
    """As that of a quota, which is just counted anew. Pods would wait for their Secret."""
    requests, error = acted(STEPS["create"], 409, reason="Conflict")
    assert type(error) is Conflict
    assert len(requests) == 1


@pytest.mark.parametrize("name", sorted(set(STEPS) - {"create"}))
@pytest.mark.parametrize(("code", "error"), [(409, Conflict), (404, Gone)])
def test_another_object_in_its_place_is_an_error_and_nothing_is_tried_again(
    name: str, code: int, error: type[OperatorError]
) -> None:
    requests, found = acted(STEPS[name], code)
    assert type(found) is error
    assert len(requests) == 1


def test_a_budget_defers_an_eviction() -> None:
    _, error = acted(STEPS["evict"], 429, cause="DisruptionBudget")
    assert type(error) is Deferred


def reported(status: ClusterStatus) -> tuple[bool, list[Request]]:
    async def story() -> tuple[bool, list[Request]]:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            return await Actor(api).report(RESOURCE, status), fake.requests

    return asyncio.run(story())


def test_status_is_written_when_it_differs_and_never_holds_the_identity() -> None:
    written, (request,) = reported(
        ClusterStatus(observed_generation=1, cluster_id="c" * 32, epoch=2, founded=True)
    )
    assert written
    wanted = {"fieldManager": "quorate-operator-status", "force": "true"}
    assert request.query.items() >= wanted.items()
    assert request.path.endswith("/clusterservices/bank/status")
    body = cast("Mapping[str, Mapping[str, object]]", request.body)
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == ("u", "5")
    assert not {"clusterId", "epoch", "founded"} & set(body["status"])


def test_an_unchanged_status_is_not_written_nor_one_that_differs_in_identity_only() -> None:
    assert reported(RESOURCE.status) == (False, [])
    assert reported(ClusterStatus(cluster_id="d" * 32, epoch=9, founded=True)) == (False, [])


def test_a_source_is_labelled_by_a_merge_patch_of_that_very_object() -> None:
    async def story() -> Request:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            await Actor(api).label_source(RESOURCE, LabelSource("orders-code", "m"))
            (request,) = fake.requests
            return request

    request = asyncio.run(story())
    assert (request.method, request.path) == (
        "PATCH",
        "/api/v1/namespaces/ns/configmaps/orders-code",
    )
    assert request.content_type == "application/merge-patch+json"
    assert request.body == {"metadata": {"uid": "m", "labels": {"quorate.io/cluster": ""}}}


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"spec": {"type": "ClusterIP", "ports": [], "clusterIP": "10.0.0.7"}}, ""),
        ({"spec": {"type": "NodePort", "ports": []}}, "spec.type of Service bank is changed"),
        ({}, "spec of Service bank is changed"),
    ],
)
def test_a_child_that_is_changed_as_it_is_written_is_told(
    stored: dict[str, object], words: str
) -> None:
    """Else it would be written for ever, and nobody knew why."""
    body = {**SERVICE, "spec": {"type": "ClusterIP", "ports": []}}

    async def story() -> str:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            fake.script.append(Answer(200, {**SERVICE, **stored}))
            return await Actor(api).act(RESOURCE, ApplyChild(body, "s"))

    said = asyncio.run(story())
    assert said.startswith(words)
    assert bool(said) == bool(words)
