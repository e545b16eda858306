"""A child is applied when something that is meant has changed, and never otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate_cluster_services.examples import FULL, SMALL, intent
from quorate_operator import labels
from quorate_operator.resources import Body, children, drift, intended_hash, needs_apply, stamped

BODIES = [
    body
    for wanted in (intent(SMALL), intent(FULL))
    for body in children(wanted, pod_monitors_served=True)
]
Path = tuple[str | int, ...]


def copied(body: Body) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(json.dumps(body)))


def leaves(value: object, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def holder(body: Any, path: Path) -> Any:  # noqa: ANN401 - JSON
    for step in path[:-1]:
        body = body[step]
    return body


def kept(body: Body) -> list[Path]:
    return [path for path in leaves(body) if path[0] not in ("apiVersion", "kind")]


def lists(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield the place of every list of objects."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, item in inner:
        if isinstance(item, dict | list):
            yield from lists(item, (*path, key))
            if isinstance(item, list) and item and isinstance(item[0], dict):
                yield (*path, key)


def with_additions(value: object) -> object:
    """Return a body with what an API server and others add."""
    if isinstance(value, dict):
        return {key: with_additions(item) for key, item in value.items()} | {"addedByOthers": 1}
    if isinstance(value, list):
        added: list[object] = [{"name": "injected", "uid": "9", "topologyKey": "zone"}]
        named = bool(value) and all(
            isinstance(row, dict) and row.keys() & {"name", "uid", "topologyKey"} for row in value
        )
        return [with_additions(row) for row in value] + (added if named else [])
    return value


@pytest.mark.parametrize("body", BODIES)
def test_an_unchanged_child_causes_no_write(body: Body) -> None:
    assert not needs_apply(body, copied(body))
    assert not needs_apply(body, cast("Body", with_additions(copied(body))))


def test_a_missing_child_is_made() -> None:
    assert all(needs_apply(body, None) for body in BODIES)


@pytest.mark.parametrize("body", BODIES)
def test_every_edit_by_hand_is_repaired(body: Body) -> None:
    for path in kept(body):
        live = copied(body)
        holder(live, path)[path[-1]] = "edited"
        assert needs_apply(body, live), f"{path} may be edited by hand"


@pytest.mark.parametrize("body", BODIES)
def test_every_removal_by_hand_is_repaired(body: Body) -> None:
    for path in kept(body):
        live = copied(body)
        value = holder(live, path)[path[-1]]
        del holder(live, path)[path[-1]]
        is_empty = value in ("", [], {})  # a flag that is false says something, and is kept
        assert needs_apply(body, live) != is_empty, f"{path} may be removed by hand"


@pytest.mark.parametrize("body", BODIES)
def test_a_row_of_others_with_a_key_of_ours_causes_no_write(body: Body) -> None:
    """Such as a second mount of a volume, which an apply would not remove: it would never end."""
    for path in lists(body):
        live = copied(body)
        rows = holder(live, path)[path[-1]]
        kept_names = [name for name in ("uid", "name", "topologyKey") if name in rows[0]]
        if not kept_names:
            continue  # by their order: nobody but us has a row there
        added = {kept_names[0]: rows[0][kept_names[0]], "addedByOthers": 1}
        for both in ([*rows, added], [added, *rows]):
            holder(live, path)[path[-1]] = both
            assert not needs_apply(body, live), f"{path} is written again and again"
        holder(live, path)[path[-1]] = [added, *rows[1:]]
        assert needs_apply(body, live), f"of {path} ours is gone"


@pytest.mark.parametrize("body", BODIES)
def test_a_field_that_is_no_longer_meant_is_removed(body: Body) -> None:
    live = stamped(copied(body) | {"formerly": "meant"})
    assert needs_apply(body, live), "the hash of what was meant tells"


def test_rows_without_a_name_count_by_their_order() -> None:
    body = stamped({"spec": {"command": ["quorate", "run"]}})
    for command in (["run", "quorate"], ["quorate", "run", "now"], ["quorate"], []):
        assert needs_apply(body, {**body, "spec": {"command": command}})


def test_rows_with_a_name_count_by_it() -> None:
    body = stamped({"spec": {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}})
    live = {**body, "spec": {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}}
    assert not needs_apply(body, live)
    live["spec"] = {"env": [{"name": "B", "value": "1"}, {"name": "A", "value": "2"}]}
    assert needs_apply(body, live)


@pytest.mark.parametrize(
    ("meant", "found", "same"),
    [
        ("1000m", "1", True),
        ("1Gi", "1024Mi", True),
        ("0.5", "500m", True),
        ("1e3", "1k", True),
        ("1G", "1Gi", False),
        ("1", "2", False),
        ("1", 1, True),
    ],
)
def test_quantities_are_compared_as_numbers(meant: str, found: object, *, same: bool) -> None:
    body = stamped({"resources": {"requests": {"cpu": meant}}})
    assert needs_apply(body, {**body, "resources": {"requests": {"cpu": found}}}) is not same


def test_only_quantities_are_compared_as_numbers() -> None:
    body = stamped({"data": {"value": "1000m"}})
    assert needs_apply(body, {**body, "data": {"value": "1"}})


def test_a_flag_is_no_number() -> None:
    body = stamped({"spec": {"paused": True, "count": 1}})
    assert needs_apply(body, {**body, "spec": {"paused": 1, "count": 1}})
    assert needs_apply(body, {**body, "spec": {"paused": True, "count": True}})


@given(order=st.permutations(["a", "b", "c"]))
def test_the_hash_does_not_depend_on_order_or_stamp(order: list[str]) -> None:
    body: dict[str, object] = {name: name for name in order}
    assert intended_hash(body) == intended_hash(stamped({"a": "a", "b": "b", "c": "c"}))
    annotations = cast("dict[str, Any]", stamped(body))["metadata"]["annotations"]
    assert annotations == {labels.APPLIED_HASH_ANNOTATION: intended_hash(body)}


def test_what_differs_is_named() -> None:
    body = next(body for body in BODIES if body["kind"] == "StatefulSet")
    live = copied(body)
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror.example/orders:1.4.2"
    assert drift(body, live) == "spec.template.spec.containers.member.image"
    assert drift(body, copied(body)) == ""
