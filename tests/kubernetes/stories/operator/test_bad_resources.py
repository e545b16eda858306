"""Resources that cannot work are refused, each with a message that says what to do."""

from typing import Any

import pytest

from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.failures import BedFailure
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.waiting import wait_until

REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"replicas": 2}, "supported values: \\S*1.*3.*5"),
    ({"image": ""}, "spec.image"),
    ({"imagee": "x"}, "imagee"),
    ({"storage": {"size": "100Mi"}}, "must be at least 1Gi: .*leave it out for 10Gi"),
    (
        {"consensus": {"electionTimeout": "100ms", "heartbeat": "50ms"}},
        "must be at least five times spec.consensus.heartbeat.*raise the one or lower the other",
    ),
    ({"resources": {"limits": {"memory": "128Mi"}}}, "lower the request or raise the limit"),
)


def test_bad_resources_are_refused_by_the_api_server(resource: ClusterService) -> None:
    good = dict(resource.spec)
    for changes, words in REFUSED:
        resource.spec = good | changes
        with pytest.raises(BedFailure, match=f"(?is){words}"):
            resource.apply()


def test_what_cannot_be_changed_is_refused_and_the_cluster_goes_on(
    kubectl: Kubectl, resource: ClusterService
) -> None:
    resource.apply()
    message = resource.wait_condition("Reconciled", status="False", reason="CodeMissing")
    assert "ConfigMap journal-code" in message
    assert "make it, or name another in spec.service.codeFrom" in message
    assert not resource.bodies()

    resource.apply_code()

    resource.wait_settled()
    good = dict(resource.spec)
    for changes, words in (
        ({"replicas": 5}, "make a new ClusterService with the number that you want"),
        ({"storage": {"size": "2Gi"}}, "make a new ClusterService with the storage"),
    ):
        resource.spec = good | changes
        with pytest.raises(BedFailure, match=words):
            resource.apply()

    kubectl.run("delete", "configmap", "journal-code")

    resource.spec = good
    wait_until(
        "the operator has noticed that the code is gone",
        lambda: resource.condition("Reconciled").get("reason") == "CodeMissing",
        90,
    )
    assert resource.condition("Ready")["status"] == "True"
