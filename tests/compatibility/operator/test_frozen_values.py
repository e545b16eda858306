"""What no later release of the operator may change for a resource that exists.

Another input hash for the same spec would restart every cluster when the operator is upgraded; a
StatefulSet whose immutable fields differ could not be applied any more. A folder is added with
each release and never edited; its specs are complete, as the API server stored them then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quorate_cluster_services.examples import CLUSTER_ID, UID, stored
from quorate_operator.bodies import read_spec
from quorate_operator.resources import Intent, children, frozen_part, input_hash

RELEASES = sorted(Path(__file__).parent.glob("release-*"))
CASES = [
    pytest.param(case, id=f"{release.name}-{case['about']}")
    for release in RELEASES
    for case in json.loads((release / "cases.json").read_text())
]


def test_there_are_cases() -> None:
    assert RELEASES
    assert CASES


@pytest.mark.parametrize("case", CASES)
def test_the_input_hash_stays(case: dict[str, Any]) -> None:
    # Fields that were added since have their defaults, as after the API server read it again.
    spec = read_spec(stored(case["spec"]))
    assert input_hash(spec, case["code"]) == case["inputHash"]


@pytest.mark.parametrize("case", CASES)
def test_the_immutable_fields_stay(case: dict[str, Any]) -> None:
    spec = read_spec(stored(case["spec"]))
    intent = Intent("orders", "shop", UID, spec, CLUSTER_ID, case["code"], "any/installation")
    (stateful_set,) = (
        dict(body)
        for body in children(intent, pod_monitors_served=False)
        if body["kind"] == "StatefulSet"
    )
    assert frozen_part(stateful_set) == case["frozen"]


def test_the_defaults_of_the_first_release_stay() -> None:
    (small,) = (case.values[0] for case in CASES if case.id == "release-1-small")
    assert isinstance(small, dict)
    required = {name: small["spec"][name] for name in ("image", "service")}
    frozen = small["spec"].items()
    assert dict(stored(required).items()) | dict(frozen) == stored(required)
