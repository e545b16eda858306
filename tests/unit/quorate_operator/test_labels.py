"""The operator's names of pods and claims are those that the StatefulSet controller gives them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from quorate_cluster_services.examples import FULL, SMALL, intent
from quorate_operator import labels
from quorate_operator.resources import children


@pytest.mark.parametrize("spec", [SMALL, FULL], ids=["small", "full"])
def test_pods_and_claims_are_looked_for_under_the_names_that_they_get(
    spec: dict[str, object],
) -> None:
    wanted = intent(spec)
    (found,) = (
        cast("dict[str, Any]", body)
        for body in children(wanted, pod_monitors_served=True)
        if body["kind"] == "StatefulSet"
    )
    name = found["metadata"]["name"]
    assert name == labels.stateful_set_name(wanted.name)
    (template,) = found["spec"]["volumeClaimTemplates"]
    first = found["spec"].get("ordinals", {}).get("start", 0)
    for seat in range(first, first + found["spec"]["replicas"]):
        pod = f"{name}-{seat}"
        assert labels.pod_name(wanted.name, seat) == pod
        assert labels.claim_name(wanted.name, seat) == f"{template['metadata']['name']}-{pod}"
