"""Which events wake which keys, and that kopf is told to do nothing beside."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kopf._cogs.structs.references import Resource

from quorate_operator.handlers import CHILDREN, Wakes, make_registry, make_settings
from quorate_operator.queue import Key

EVERYBODY = object()


class Woken:
    def __init__(self, remembered_max: int = 100) -> None:
        self.log: list[object] = []
        self.wakes = Wakes(
            lambda key, at_once: self.log.append((key, at_once)),
            lambda: self.log.append(EVERYBODY),
            self.log_namespace,
            remembered_max,
        )

    def log_namespace(self, namespace: str) -> None:
        self.log.append(namespace)

    def take(self) -> list[object]:
        log, self.log = self.log, []
        return log


def event(kind: str | None = "MODIFIED", **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    metadata = {"name": "bank", "namespace": "ns", "uid": "u", "generation": 1}
    return {
        "type": kind,
        "object": {**parts, "metadata": metadata | parts.get("metadata", {})},
    }


KEY = (Key("ns", "bank"), True)


def test_a_status_of_ours_wakes_nobody_and_a_users_change_does() -> None:
    woken = Woken()
    woken.wakes.on_cluster_service(event(None))
    assert woken.take() == [KEY]
    for version in "234":
        woken.wakes.on_cluster_service(
            event(status={"observedGeneration": version}, metadata={"resourceVersion": version})
        )
    assert woken.take() == []
    changes: list[dict[str, Any]] = [
        {"generation": 2},
        {"annotations": {"quorate.io/transfer-leader-to": "any/1"}},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"uid": "made-anew"},
    ]
    present: dict[str, Any] = {}
    for change in changes:
        present |= change
        woken.wakes.on_cluster_service(event(metadata=present))
        assert woken.take() == [KEY], change
    woken.wakes.on_cluster_service(event("DELETED", metadata=present))
    assert woken.take() == [KEY]


def test_a_child_wakes_the_resource_that_its_label_names() -> None:
    woken = Woken()
    woken.wakes.on_child(event(metadata={"name": "x", "labels": {"quorate.io/cluster": "bank"}}))
    assert woken.take() == [(Key("ns", "bank"), False)]
    woken.wakes.on_child(event(metadata={"labels": {}}))
    woken.wakes.on_child(event(metadata={"labels": None}))
    assert woken.take() == []


@pytest.mark.parametrize(
    ("marks", "woken"),
    [
        ({"quorate.io/cluster": "bank"}, [(Key("ns", "bank"), False)]),
        ({"quorate.io/cluster": ""}, ["ns"]),
        ({"other": ""}, []),
        (None, []),
    ],
)
@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED", "DELETED"])
def test_a_config_map_with_the_empty_label_concerns_its_namespace(
    kind: str | None, marks: dict[str, str] | None, woken: list[object]
) -> None:
    seen = Woken()
    seen.wakes.on_config_map(event(kind, metadata={"name": "source", "labels": marks}))
    assert seen.take() == woken


def test_only_a_node_that_changes_its_cordon_wakes_everybody() -> None:
    woken = Woken()
    woken.wakes.on_node(event(None, spec={}))
    woken.take()
    woken.wakes.on_node(event(spec={}, status={"conditions": []}))
    assert woken.take() == []
    woken.wakes.on_node(event(spec={"unschedulable": True}))
    woken.wakes.on_node(event(spec={"unschedulable": True}))
    assert woken.take() == [EVERYBODY]
    woken.wakes.on_node(event(spec=None))
    assert woken.take() == [EVERYBODY]


@given(st.lists(st.integers(0, 30), max_size=60))
def test_forgetting_only_wakes_more(uids: list[int]) -> None:
    small, large = Woken(remembered_max=3), Woken(remembered_max=1000)
    for uid in uids:
        for woken in (small, large):
            woken.wakes.on_cluster_service(event(metadata={"uid": str(uid)}))
    assert len(small.log) >= len(large.log) == len(set(uids))
    assert len(small.wakes._shapes) <= 3


def test_kopf_has_event_handlers_only() -> None:
    """Any other kind makes it write: finalizers, annotations, status."""
    registry = make_registry(Woken().wakes)
    assert len(registry._watching.get_all_handlers()) == 2 + len(CHILDREN)
    for kind in ("_changing", "_spawning", "_indexing", "_webhooks"):
        assert not list(getattr(registry, kind).get_all_handlers()), kind


def test_settings_are_the_ones_that_matter() -> None:
    settings = make_settings()
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.watching.inactivity_timeout == 70
    assert settings.watching.server_timeout == 600
    assert isinstance(settings.watching.server_timeout, int), "the API server takes no fraction"
    assert settings.watching.client_timeout is not None
    assert settings.watching.connect_timeout == 10
    assert settings.networking.request_timeout == 30
    assert settings.watching.chunk_size == 500


@pytest.mark.parametrize(
    ("group", "version", "plural", "selector"),
    [
        ("", "v1", "pods", "quorate.io/cluster"),
        ("", "v1", "persistentvolumeclaims", "quorate.io/cluster"),
        ("", "v1", "configmaps", "quorate.io/cluster"),
        ("apps", "v1", "statefulsets", "quorate.io/cluster"),
        ("", "v1", "nodes", None),
        ("quorate.io", "v1", "clusterservices", None),
    ],
)
def test_children_are_selected_by_the_server(
    group: str, version: str, plural: str, selector: str | None
) -> None:
    resource = Resource(group, version, plural)
    chosen = make_settings().watching.label_selectors.items()
    found = [text for where, text in chosen if where.check(resource)]
    assert found == ([selector] if selector else [])
