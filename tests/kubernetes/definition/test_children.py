"""What the builders make, applied to a real API server: taken as it is, and then left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from quorate_cluster_services.examples import CLUSTER_ID, CODE, FULL, SMALL
from quorate_operator import labels
from quorate_operator.bodies import read_resource
from quorate_operator.resources import Body, Intent, auth_secret, children, needs_apply
from quorate_rest.cluster_services import ClusterServices
from quorate_rest.rest import Json

COLLECTIONS = {
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Service": ("/api/v1", "services"),
    "Secret": ("/api/v1", "secrets"),
    "Pod": ("/api/v1", "pods"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
}
SPECS = {"small": SMALL, "full": FULL, "one": SMALL | {"replicas": 1}}


def path_of(body: Any, namespace: str, *, named: bool = True) -> str:  # noqa: ANN401
    group, plural = COLLECTIONS[body["kind"]]
    collection = f"{group}/namespaces/{namespace}/{plural}"
    return f"{collection}/{body['metadata']['name']}" if named else collection


def intent_of(resources: ClusterServices, spec: object) -> Intent:
    read = read_resource(resources.create(spec))
    assert read.spec is not None
    code = CODE if read.spec.service.code_config_map else None
    return Intent(read.name, read.namespace, read.uid, read.spec, CLUSTER_ID, code, "here")


def applied(resources: ClusterServices, intent: Intent) -> Iterator[tuple[Body, Json]]:
    """Apply every child; yield it with what the API server made of it."""
    for body in children(intent, pod_monitors_served=False):
        path = path_of(body, intent.namespace)
        answer = resources.rest.apply(path, body, labels.FIELD_MANAGER)
        assert answer.is_success, answer.message
        assert not answer.warnings, answer.warnings
        yield body, resources.rest.get(path).body


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_an_applied_child_needs_no_second_apply(resources: ClusterServices, spec: Json) -> None:
    intent = intent_of(resources, spec)
    for body, live in list(applied(resources, intent)):
        assert not needs_apply(body, live), f"{body['kind']} would be written for ever"


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_applying_again_changes_nothing(resources: ClusterServices, spec: Json) -> None:
    intent = intent_of(resources, spec)
    first = [live["metadata"]["resourceVersion"] for _, live in list(applied(resources, intent))]
    again = [live["metadata"]["resourceVersion"] for _, live in list(applied(resources, intent))]
    assert first == again


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("StatefulSet", {"spec": {"replicas": 1}}),
        (
            "StatefulSet",
            {"spec": {"template": {"metadata": {"annotations": {"prometheus.io/port": "1"}}}}},
        ),
        ("StatefulSet", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}),
        ("StatefulSet", {"metadata": {"annotations": {labels.CLUSTER_ID_ANNOTATION: "other"}}}),
        ("PodDisruptionBudget", {"spec": {"maxUnavailable": 2}}),
        ("Service", {"spec": {"selector": {"quorate.io/cluster": "other"}}}),
        ("Service", {"metadata": {"ownerReferences": None}}),
        ("ServiceAccount", {"automountServiceAccountToken": True}),
    ],
)
def test_an_edit_by_hand_is_seen_and_repaired(
    resources: ClusterServices, kind: str, patch: Json
) -> None:
    intent = intent_of(resources, SMALL)
    body = next(found for found, _ in list(applied(resources, intent)) if found["kind"] == kind)
    path = path_of(body, intent.namespace)
    edited = resources.rest.merge(path, patch)
    assert edited.is_success, edited.message
    assert needs_apply(body, edited.body)
    list(applied(resources, intent))
    assert not needs_apply(body, resources.rest.get(path).body)


def test_a_config_map_with_configuration_cannot_be_edited(resources: ClusterServices) -> None:
    intent = intent_of(resources, FULL)
    for body, live in list(applied(resources, intent)):
        if body["kind"] == "ConfigMap":
            answer = resources.rest.merge(
                path_of(live | body, intent.namespace), {"data": {"a": "b"}}
            )
            assert answer.code == 422


@pytest.mark.parametrize("spec", [SMALL, FULL], ids=["small", "full"])
def test_the_pod_is_taken_under_the_restricted_standard(
    resources: ClusterServices, spec: Json
) -> None:
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "high"},
        "value": 1000,
    }
    resources.rest.create("/apis/scheduling.k8s.io/v1/priorityclasses", priority)
    intent = intent_of(resources, spec)
    stateful_set = next(
        live for body, live in list(applied(resources, intent)) if body["kind"] == "StatefulSet"
    )
    template = stateful_set["spec"]["template"]
    claim = {"name": "log", "persistentVolumeClaim": {"claimName": "log-orders-0"}}
    template["spec"]["volumes"].append(claim)
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"]["name"] = "orders-0"
    answer = resources.rest.create(path_of(pod, intent.namespace, named=False), pod)
    assert answer.is_success, answer.message
    assert not answer.warnings, answer.warnings


def test_a_change_of_everything_that_may_change_can_be_applied(resources: ClusterServices) -> None:
    """No field of a builder that follows from the spec is one that Kubernetes refuses to change."""
    intent = intent_of(resources, FULL)
    list(applied(resources, intent))
    changed = {
        "image": "other",
        "service": {"class": "a:B", "codeFrom": None},
        "config": "",
        "consensus": {"electionTimeout": "5s", "heartbeat": "50ms"},
        "update": {"handoverTimeout": "30s"},
        "scheduling": {"tolerations": None, "nodeSelector": None, "spread": "Preferred"},
        "resources": {"requests": {"cpu": "2m"}, "limits": {"cpu": None}},
    }
    answer = resources.rest.merge(f"{resources.path}/orders", {"spec": changed})
    assert answer.is_success, answer.message
    read = read_resource(answer.body)
    assert read.spec is not None
    after = Intent(read.name, read.namespace, read.uid, read.spec, CLUSTER_ID, None, "here")
    for body, live in list(applied(resources, after)):
        assert not needs_apply(body, live)
    live = resources.rest.get(
        f"/apis/apps/v1/namespaces/{intent.namespace}/statefulsets/orders"
    ).body
    pod = live["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod, "what is no longer meant is removed"
    assert "tolerations" not in pod
    assert "cpu" not in pod["containers"][0]["resources"]["limits"]


@pytest.mark.parametrize("spec", [SMALL, FULL], ids=["small", "full"])
def test_the_secret_is_made_once(resources: ClusterServices, spec: Json) -> None:
    intent = intent_of(resources, spec)
    body = auth_secret(intent, b"x" * 64)
    path = path_of(body, intent.namespace, named=False)
    assert resources.rest.create(path, body).is_success
    assert resources.rest.create(path, auth_secret(intent, b"y" * 64)).code == 409
    live = resources.rest.get(path_of(body, intent.namespace)).body
    assert live["data"] == body["data"], "the one that came second changed nothing"
    assert "immutable" not in live, "kubelets look again at it: a deleted one is made anew"
