"""Defaults and bounds of every field, as a real API server sees them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from quorate_cluster_services.examples import FULL, SMALL, stored
from quorate_operator.bodies import read_resource, read_spec
from quorate_operator.schema.fields import Field, Flag, Group, Quantity, Rows, Text, Whole, Words
from quorate_operator.schema.page import leaves
from quorate_operator.schema.spec import SPEC
from quorate_rest.cluster_services import ClusterServices
from quorate_rest.rest import TABLE, Rest

MANIFESTS = sorted((Path(__file__).parents[3] / "docs/how-to/manifests").glob("*.yaml"))
LEAVES = dict(leaves(SPEC, ""))
TOLERATION = "scheduling.tolerations[]"


def put(path: str, value: object) -> dict[str, Any]:
    """Return the full spec with another value at a path; a list's first row stands for all."""
    body = deepcopy(FULL)
    place: Any = body
    *groups, name = path.split(".")
    for group in groups:
        place = place[group.removesuffix("[]")]
        place = place[0] if group.endswith("[]") else place
    place[name.removesuffix("[]")] = value
    return body


def beyond(field: Field) -> Iterator[object]:
    """Yield values that a field's type and bounds do not allow."""
    yield {"an": {"object": "of its own"}}
    match field:
        case Text():
            yield from texts_beyond(field)
        case Quantity():
            yield from ("-1", "1x", "", "1" * 33, 1.5)
        case Whole():
            yield from (field.minimum - 1, field.maximum + 1, 1.5, "1")
        case Flag():
            yield from ("true", 1)
        case Words():
            yield {f"k{number}": "v" for number in range(field.count_max + 1)}
            yield {"k": "v" * 64}
        case Rows():
            yield [{"operator": "Exists"}] * (field.count_max + 1)
            yield {}
        case Group():
            pass


def texts_beyond(field: Text) -> Iterator[object]:
    yield 7
    if field.choices:
        yield from ("other", "")
        return
    yield "x" * (field.length_max + 1)
    if field.length_min:
        yield ""
    if field.pattern:
        # Every pattern but that of free text refuses these, or at least the zero byte.
        yield from ("\0",) if "\\x00" in field.pattern else ("a b", "\n", " ")


BEYOND = [
    pytest.param(path, value, id=f"{path}-{number}")
    for path, field in LEAVES.items()
    for number, value in enumerate(beyond(field))
]


@pytest.mark.parametrize(("path", "value"), BEYOND)
def test_a_value_beyond_its_bounds_is_refused(
    resources: ClusterServices, path: str, value: object
) -> None:
    answer = resources.try_to_create(put(path, value))
    assert answer.code == 422, f"{path}: {str(value)[:80]!r} was let in"
    assert path.split("[", maxsplit=1)[0] in answer.message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("config", "ü" * 65_536),
        ("image", "x" * 512),
        ("service.class", "a.b_c:D.E"),
        ("service.codeFrom.configMap", "a" * 253),
        ("storage.size", "1Gi"),
        ("storage.size", "1.5Ti"),
        ("consensus.electionTimeout", "60000ms"),
        ("update.handoverTimeout", "10m"),
        ("update.progressDeadline", "24h"),
        ("resources.limits.cpu", 3),
        ("resources.limits.cpu", "2500m"),
        ("resources.requests.memory", "1e9"),
        ("scheduling.nodeSelector", {f"k{number}": "" for number in range(32)}),
        (TOLERATION, [{"operator": "Exists"}] * 32),
        (TOLERATION, [{"key": "example.org/a", "value": ""}]),
        ("replicas", 9),
        ("replicas", 1),
    ],
)
def test_a_value_within_its_bounds_is_taken(
    resources: ClusterServices, path: str, value: object
) -> None:
    answer = resources.try_to_create(put(path, value))
    assert answer.is_success, answer.message
    assert read_spec(answer.body["spec"])


@pytest.mark.parametrize("body", [SMALL, FULL])
def test_defaults_are_stored_as_the_schema_says(
    resources: ClusterServices, body: dict[str, Any]
) -> None:
    made = resources.create(body)
    assert made["spec"] == stored(body)
    assert read_resource(made).problems == ()


@pytest.mark.parametrize(
    "part",
    [
        {"storage": {}},
        {"storage": {"className": "fast"}},
        {"consensus": {"heartbeat": "20ms"}},
        {"update": {"handoverTimeout": "9s"}},
        {"scheduling": {"nodeSelector": {"a": "b"}}},
        {"resources": {"requests": {"memory": "64Mi"}}},
        {"resources": {"limits": {}}},
        {"tls": {}},
        {"deletion": {}},
    ],
)
def test_a_part_is_filled_up(resources: ClusterServices, part: dict[str, Any]) -> None:
    answer = resources.try_to_create(SMALL | part)
    assert answer.is_success, answer.message
    assert answer.body["spec"] == stored(SMALL | part)


@pytest.mark.parametrize("missing", ["image", "service", "class"])
def test_what_has_no_default_must_be_written(resources: ClusterServices, missing: str) -> None:
    body = deepcopy(SMALL)
    (body if missing in body else body["service"]).pop(missing)  # type: ignore[attr-defined]
    answer = resources.try_to_create(body)
    assert answer.code == 422
    assert f"{missing}: Required value" in answer.message
    assert resources.try_to_create(None).code == 422


@pytest.mark.parametrize(
    ("place", "unknown"),
    [("spec", {"replica": 3}), ("spec.storage", {"storage": {"sise": "1Gi"}})],
)
def test_an_unknown_field_is_refused_or_dropped_as_its_user_asks(
    resources: ClusterServices,
    place: str,
    unknown: dict[str, Any],
) -> None:
    strict = resources.try_to_create(SMALL | unknown, options="&fieldValidation=Strict")
    assert strict.code == 400
    assert f'unknown field "{place}.' in strict.message
    lenient = resources.try_to_create(SMALL | unknown, options="&fieldValidation=Warn")
    assert lenient.is_success
    assert lenient.warnings
    assert lenient.body["spec"] == stored(SMALL)


def test_the_columns_show_what_matters(resources: ClusterServices) -> None:
    resources.create()
    condition = {"reason": "Stable", "lastTransitionTime": "2026-11-28T08:00:00Z"}
    status = {
        "state": "Updating",
        "version": "0.1.0",
        "leader": {"member": 1, "pod": "orders-1", "term": 7, "since": "2026-11-28T08:00:00Z"},
        "conditions": [
            {"type": "Ready", "status": "False", **condition},
            {"type": "Quorate", "status": "True", **condition},
        ],
    }
    assert resources.edit_status(status).is_success
    table = resources.rest.get(resources.path, TABLE).body
    shown = [column["name"] for column in table["columnDefinitions"]]
    assert shown == ["Name", "Ready", "Leader", "Quorate", "Status", "Age", "Term", "Version"]
    cells = table["rows"][0]["cells"]
    assert cells[:5] == ["orders", "False", "orders-1", "True", "Updating"]
    assert cells[6:] == [7, "0.1.0"]


def test_the_definition_is_structural_and_served(rest: Rest) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusterservices.quorate.io"
    conditions = rest.get(path).body["status"]["conditions"]
    assert {row["type"]: row["status"] for row in conditions} == {
        "NamesAccepted": "True",
        "Established": "True",
    }, "NonStructuralSchema would be a third one"
    names = rest.get("/apis/quorate.io/v1").body["resources"][0]
    assert (names["shortNames"], names["categories"]) == (["csvc"], ["quorate"])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_an_example_is_taken_with_every_field_known(
    resources: ClusterServices, manifest: Path
) -> None:
    *_, body = yaml.safe_load_all(manifest.read_text())
    answer = resources.try_to_create(body["spec"], options="&fieldValidation=Strict")
    assert answer.is_success, answer.message
    assert not answer.warnings
