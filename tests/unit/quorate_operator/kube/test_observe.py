"""One look at a resource against an API server of paper."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from quorate.clock import SystemClock
from quorate_cluster_services.examples import FULL, SMALL, intent, stored
from quorate_fake_api.server import FakeApi, api_of, fake_api, status
from quorate_operator.errors import Gone, OperatorError, Unavailable
from quorate_operator.kube import kinds
from quorate_operator.kube.observe import SERVED_S, Absent, Observer
from quorate_operator.lenient import mapping, metadata, text
from quorate_operator.planning.observed import Observed, Source
from quorate_operator.resources import auth_secret, children

BASE = "/api/v1/namespaces/ns"
MONITORS = "/apis/monitoring.coreos.com/v1"
MONITORED = f"{MONITORS}/namespaces/ns/podmonitors"
RESOURCE = "/apis/quorate.io/v1/namespaces/ns/clusterservices/bank"


def named(name: str, **metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"metadata": {"name": name, "uid": f"uid-{name}", "namespace": "ns", **metadata}}


def items(*bodies: Mapping[str, object]) -> dict[str, object]:
    return {"items": list(bodies), "metadata": {}}


def served(*plurals: str) -> dict[str, object]:
    return {"kind": "APIResourceList", "resources": [{"name": plural} for plural in plurals]}


def world(**resource: Any) -> dict[str, object]:  # noqa: ANN401 - JSON
    empty = ("pods", "persistentvolumeclaims", "services", "configmaps", "serviceaccounts")
    return {
        RESOURCE: {**named("bank"), **resource},
        "/api/v1/namespaces/ns": named("ns"),
        **{f"{BASE}/{plural}": items() for plural in empty},
        "/apis/policy/v1/namespaces/ns/poddisruptionbudgets": items(),
    }


def look(objects: dict[str, object], fake_out: list[FakeApi] | None = None) -> object:
    async def story() -> object:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            fake.objects.update(objects)
            if fake_out is not None:
                fake_out.append(fake)
            try:
                return await Observer(api, SystemClock(), "here").observe("ns", "bank")
            except OperatorError as error:
                return error

    return asyncio.run(story())


def seen(objects: dict[str, object]) -> Observed:
    found = look(objects)
    assert isinstance(found, Observed), found
    return found


@pytest.mark.parametrize(
    "change",
    [
        {RESOURCE: None},
        {RESOURCE: named("bank", deletionTimestamp="2026-01-01T00:00:00Z")},
        {"/api/v1/namespaces/ns": named("ns", deletionTimestamp="2026-01-01T00:00:00Z")},
        {"/api/v1/namespaces/ns": None},
    ],
)
def test_what_is_gone_or_ends_is_absent(change: dict[str, object]) -> None:
    objects = {**world(), **change}
    assert isinstance(
        look({path: body for path, body in objects.items() if body is not None}), Absent
    )


def test_what_is_deleted_and_held_by_a_finalizer_is_looked_at_until_its_namespace_ends() -> None:
    ends = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    held = {RESOURCE: named("bank", **ends, finalizers=["example.org/hold"])}
    assert seen({**world(), **held}).resource.held_by == ("example.org/hold",)
    empty = {RESOURCE: named("bank", **ends, finalizers=[])}
    assert isinstance(look({**world(), **empty}), Absent)
    ending = {**world(), **held, "/api/v1/namespaces/ns": named("ns", **ends)}
    assert isinstance(look(ending), Absent)
    kept = {RESOURCE: named("bank", finalizers=["example.org/hold"])}
    assert seen({**world(), **kept}).resource.held_by == (), "it is not being deleted"


def test_nothing_is_written_by_looking() -> None:
    fakes: list[FakeApi] = []
    look(world(), fakes)
    assert {request.method for request in fakes[0].requests} == {"GET"}


def test_pods_and_claims_are_found_by_their_names_before_there_is_an_identity() -> None:
    objects = world()
    objects[f"{BASE}/pods"] = items(named("bank-0"), named("bank-10"), named("bank-x"), named("o"))
    objects[f"{BASE}/persistentvolumeclaims"] = items(named("log-bank-2"), named("log-other-2"))
    fakes: list[FakeApi] = []
    found = look(objects, fakes)
    assert isinstance(found, Observed)
    assert sorted(found.pods) == [0, 10]
    assert sorted(found.claims) == [2]
    selectors = {
        request.path: request.query.get("labelSelector")
        for request in fakes[0].requests
        if request.path.endswith(("/pods", "/persistentvolumeclaims"))
    }
    assert set(selectors.values()) == {None}, "an unlabelled volume of that name counts too"


def test_with_an_identity_the_label_decides() -> None:
    fakes: list[FakeApi] = []
    look(world(status={"clusterId": "c" * 32}), fakes)
    asked = [r.query.get("labelSelector") for r in fakes[0].requests if r.path.endswith("/pods")]
    assert asked == ["quorate.io/cluster=bank"]


def test_a_seat_that_the_label_does_not_find_is_looked_up_by_its_name() -> None:
    objects = world(status={"clusterId": "c" * 32}, spec=stored(SMALL))
    objects[f"{BASE}/pods"] = items(named("bank-0"), named("bank-2"))
    objects[f"{BASE}/pods?metadata.name=bank-1"] = items(named("bank-1"))
    objects[f"{BASE}/persistentvolumeclaims?metadata.name=log-bank-0"] = items(named("log-bank-0"))
    found = seen(objects)
    assert sorted(found.pods) == [0, 1, 2]
    assert sorted(found.claims) == [0]


def test_a_cluster_with_its_labels_is_listed_once() -> None:
    fakes: list[FakeApi] = []
    objects = world(status={"clusterId": "c" * 32}, spec=stored(SMALL))
    for plural, prefix in (("pods", "bank"), ("persistentvolumeclaims", "log-bank")):
        objects[f"{BASE}/{plural}"] = items(*(named(f"{prefix}-{seat}") for seat in range(3)))
    look(objects, fakes)
    assert not [request for request in fakes[0].requests if "fieldSelector" in request.query]


@pytest.mark.parametrize(
    ("marks", "is_labelled"), [({}, False), ({"quorate.io/cluster": ""}, True), (None, False)]
)
def test_the_source_of_the_code_is_read_with_its_label(
    marks: dict[str, str] | None, is_labelled: bool
) -> None:
    objects = world(status={"clusterId": "c" * 32}, spec=stored(FULL))
    source = {**named("orders-code", labels=marks), "data": {"orders.py": "x"}}
    objects[f"{BASE}/configmaps/orders-code"] = source
    found = seen(objects)
    assert found.code == {"orders.py": "x"}
    assert found.source == Source("orders-code", "uid-orders-code", is_labelled)


def test_a_source_that_is_not_there_is_none() -> None:
    found = seen(world(status={"clusterId": "c" * 32}, spec=stored(FULL)))
    assert (found.code, found.source) == (None, None)


def test_children_are_found_by_label_or_by_the_names_that_we_would_use() -> None:
    objects = world()
    objects[f"{BASE}/services"] = items(named("bank"), named("bank-old"))
    objects[f"{BASE}/services/bank-leader"] = named("bank-leader")
    objects[f"{BASE}/secrets/bank-auth"] = named("bank-auth")
    objects[f"{BASE}/configmaps"] = items(
        named("bank-config-1"), named("bank-code-2"), named("my-source")
    )
    found = seen(objects)
    assert sorted((child.kind, child.name) for child in found.children) == [
        ("ConfigMap", "bank-code-2"),
        ("ConfigMap", "bank-config-1"),
        ("Secret", "bank-auth"),
        ("Service", "bank"),
        ("Service", "bank-leader"),
        ("Service", "bank-old"),
    ], "a ConfigMap that a user labelled is no child"


def test_whatever_has_a_name_that_we_would_use_is_seen_labelled_or_not() -> None:
    """An object of somebody else that is not seen would be applied over, and taken from him."""
    wanted = [
        *children(intent(SMALL, name="bank", namespace="ns"), pod_monitors_served=True),
        auth_secret(intent(SMALL, name="bank", namespace="ns"), bytes(64)),
    ]
    objects = {**world(), MONITORS: served("podmonitors"), MONITORED: items()}
    names = set()
    for body in wanted:
        kind, name = kinds.BY_NAME[text(body["kind"])], text(metadata(body)["name"])
        if kind is kinds.CONFIG_MAP:
            continue  # named by the hash of what it holds, which nobody else would choose
        names.add((kind.name, name))
        objects[kind.path("ns", name)] = named(name)
    found = seen(objects)
    assert found.stateful_set is not None
    shown = {(child.kind, child.name) for child in (*found.children, found.stateful_set)}
    assert shown == names


def test_children_are_listed_by_the_label_of_this_very_resource() -> None:
    fakes: list[FakeApi] = []
    objects = world(status={"clusterId": "c" * 32})
    look({**objects, MONITORS: served("podmonitors"), MONITORED: items()}, fakes)
    lists = [r for r in fakes[0].requests if "items" in mapping(objects.get(r.path))]
    assert len(lists) == 6
    assert {r.query.get("labelSelector") for r in lists} == {"quorate.io/cluster=bank"}


def test_the_nodes_of_the_pods_are_asked_whether_they_are_cordoned() -> None:
    objects = world()
    pods = [{**named(f"bank-{seat}"), "spec": {"nodeName": f"n{seat}"}} for seat in range(3)]
    objects[f"{BASE}/pods"] = items(*pods)
    objects["/api/v1/nodes/n0"] = {**named("n0"), "spec": {"unschedulable": True}}
    objects["/api/v1/nodes/n1"] = {**named("n1"), "spec": {}}
    assert seen(objects).cordoned == {"n0"}


def test_a_pod_that_is_on_no_node_yet_asks_for_none() -> None:
    objects, fakes = world(), list[FakeApi]()
    objects[f"{BASE}/pods"] = items(named("bank-0"), {**named("bank-1"), "spec": {"nodeName": ""}})
    look(objects, fakes)
    assert not [r.path for r in fakes[0].requests if r.path.startswith("/api/v1/nodes")]


def test_a_plan_is_told_for_whom_and_where_it_is_made() -> None:
    """Without the installation another one could not tell that a StatefulSet is not its own."""

    async def story() -> object:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            fake.objects.update(world())
            return await Observer(api, SystemClock(), "here", "example.org").observe("ns", "bank")

    found = asyncio.run(story())
    assert isinstance(found, Observed)
    assert (found.installation, found.cluster_domain) == ("here", "example.org")


def test_two_looks_never_share_their_entropy() -> None:
    first, second = seen(world()), seen(world())
    assert len(first.entropy) == 64
    assert first.entropy != second.entropy
    assert repr(first.entropy) not in repr(first), "it becomes secrets: not for logs"


def test_a_kind_that_is_not_served_any_more_is_asked_about_at_the_next_look() -> None:
    async def story() -> object:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            fake.objects.update(world())
            fake.objects.update({MONITORS: served("podmonitors"), MONITORED: items(named("bank"))})
            observer = Observer(api, SystemClock(), "here")
            assert isinstance(await observer.observe("ns", "bank"), Observed)
            del fake.objects[MONITORS], fake.objects[MONITORED]
            with pytest.raises(Gone):
                await observer.observe("ns", "bank")
            return await observer.observe("ns", "bank")

    found = asyncio.run(story())
    assert isinstance(found, Observed)
    assert not found.pod_monitors_served


class Hand(SystemClock):
    """A clock that is moved by hand."""

    now_s = 1000.0

    def boottime(self) -> int:
        return int(self.now_s * 1e9)


def test_pod_monitors_that_come_to_be_served_are_found_within_minutes() -> None:
    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            clock = Hand()
            observer = Observer(api, clock, "here")
            fake.objects.update(world())
            for is_served in (False, True):
                found = await observer.observe("ns", "bank")
                assert isinstance(found, Observed)
                assert found.pod_monitors_served == is_served
                clock.now_s += SERVED_S + 1
                fake.objects.update({MONITORS: served("podmonitors"), MONITORED: items()})

    asyncio.run(story())


def test_a_kind_that_is_not_served_is_neither_read_nor_asked_about_at_each_look() -> None:
    async def story() -> None:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            clock = Hand()
            observer = Observer(api, clock, "here")
            fake.objects.update(world())
            for _ in range(3):
                found = await observer.observe("ns", "bank")
                assert isinstance(found, Observed), found
                assert not found.pod_monitors_served
                clock.now_s += SERVED_S / 4
            paths = [request.path for request in fake.requests]
            assert [path for path in paths if path.startswith(MONITORS)] == [MONITORS]

    asyncio.run(story())


def test_a_group_that_is_served_for_other_kinds_alone_has_no_pod_monitors() -> None:
    """Some charts bring the definition of ServiceMonitors and no other."""
    found = seen({**world(), MONITORS: served("servicemonitors", "servicemonitors/status")})
    assert not found.pod_monitors_served


def test_pod_monitors_are_children_where_they_are_served() -> None:
    objects = {**world(), MONITORS: served("servicemonitors", "podmonitors")}
    objects[MONITORED] = items(named("bank"))
    found = seen(objects)
    assert found.pod_monitors_served
    assert [(child.kind, child.name) for child in found.children] == [("PodMonitor", "bank")]


@pytest.mark.parametrize("place", range(1, 12))
def test_a_look_that_fails_anywhere_is_one_error(place: int) -> None:
    async def story() -> object:
        async with asyncio.timeout(20), fake_api() as fake, api_of(fake.url) as api:
            fake.objects.update(world())
            answers = 0

            class Failing:
                def __bool__(self) -> bool:
                    nonlocal answers
                    answers += 1
                    return answers == place

                def popleft(self) -> object:
                    return status(500)

            fake.script = Failing()  # type: ignore[assignment]
            try:
                return await Observer(api, SystemClock(), "here").observe("ns", "bank")
            except OperatorError as error:
                return error

    assert type(asyncio.run(story())) is Unavailable
