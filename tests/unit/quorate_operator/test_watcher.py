"""kopf in its thread: it reaches the API server, stops when asked to, and its end is noticed."""

from __future__ import annotations

import asyncio
import getpass
import json
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from quorate_fake_api.server import Answer, FakeApi, fake_api
from quorate_operator.handlers import Wakes, Watcher
from quorate_operator.queue import Key


@pytest.fixture
def kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def write(path: Path, url: str) -> None:
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(json.dumps(content))


async def until_asked(fake: FakeApi, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20):
        while not fake.requests and not task.done():  # noqa: ASYNC110 - another thread asks
            await asyncio.sleep(0.01)


def no_such_user() -> str:
    raise KeyError("getpwuid(): uid not found: 65532")


def test_a_user_that_is_a_number_only_does_not_keep_it_from_watching(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image runs as such a user, and kopf would look up its name."""
    monkeypatch.setattr(getpass, "getuser", no_such_user)

    async def story() -> None:
        async with fake_api() as fake:
            write(kubeconfig, fake.url)
            fake.objects |= {"/api": {"versions": []}, "/apis": {"groups": []}}
            watcher = Watcher(Wakes(lambda *_: None, lambda: None, lambda _: None))
            task = asyncio.get_running_loop().create_task(watcher.run())
            await until_asked(fake, task)
            assert fake.requests, "kopf ended before its first request"
            task.cancel()
            async with asyncio.timeout(20):
                await asyncio.wait([task])
            assert task.cancelled(), "it ends when it is asked to, and not by an error"

    asyncio.run(story())


KINDS = {
    "/api/v1": {
        "namespaces": "Namespace",  # kopf waits for it to be served, and looks no further
        "nodes": "Node",
        "pods": "Pod",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "configmaps": "ConfigMap",
    },
    "/apis/apps/v1": {"statefulsets": "StatefulSet"},
    "/apis/quorate.io/v1": {"clusterservices": "ClusterService"},
}


class Cluster(FakeApi):
    """Says what it serves, and lists one object of each kind; a watch has no news."""

    def __init__(self) -> None:
        super().__init__()
        self.objects |= {"/api": {"versions": ["v1"]}, "/apis": {"groups": []}}
        for place, plurals in KINDS.items():
            _, _, *group, version = place.split("/")
            if group:
                served = {"version": version, "groupVersion": f"{group[0]}/{version}"}
                row = {"name": group[0], "versions": [served], "preferredVersion": served}
                cast("dict[str, list[object]]", self.objects["/apis"])["groups"].append(row)
            self.objects[place] = {
                "resources": [
                    {
                        "name": plural,
                        "singularName": kind.lower(),
                        "kind": kind,
                        "namespaced": plural not in ("nodes", "namespaces"),
                        "verbs": ["list", "watch", "get"],
                    }
                    for plural, kind in plurals.items()
                ]
            }
            for plural in plurals:
                metadata = {
                    "name": f"one-of-{plural}",
                    "namespace": "elsewhere",
                    "uid": plural,
                    "labels": {"quorate.io/cluster": "" if plural == "configmaps" else plural},
                }
                version_of = {"metadata": {"resourceVersion": "1"}}
                self.objects[f"{place}/{plural}"] = {
                    "items": [{"metadata": metadata}],
                    **version_of,
                }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            self.script.append(Answer(delay_s=60.0))
        return await super().handle(request)


def test_what_is_there_wakes_whom_it_concerns_in_every_namespace(kubeconfig: Path) -> None:
    """Over kopf and HTTP: its settings, its handlers and what they decide, together."""
    log: list[object] = []
    wanted = {
        (Key("elsewhere", "one-of-clusterservices"), True),
        (Key("elsewhere", "pods"), False),
        (Key("elsewhere", "persistentvolumeclaims"), False),
        (Key("elsewhere", "statefulsets"), False),
        "elsewhere",
        "everybody",
    }

    async def story() -> None:
        async with fake_api(Cluster()) as fake:
            write(kubeconfig, fake.url)
            wakes = Wakes(
                lambda *woken: log.append(woken), lambda: log.append("everybody"), log.append
            )
            task = asyncio.get_running_loop().create_task(Watcher(wakes).run())
            try:
                async with asyncio.timeout(30):
                    while set(log) != wanted and not task.done():  # noqa: ASYNC110 - another thread
                        await asyncio.sleep(0.01)
            finally:
                task.cancel()
                await asyncio.wait([task])
            lists = {
                request.path: request.query.get("labelSelector")
                for request in fake.requests
                if request.path.rpartition("/")[0] in KINDS
            }
        assert set(log) == wanted
        everything = {"/api/v1/nodes", "/apis/quorate.io/v1/clusterservices"}
        assert {path for path, selector in lists.items() if selector is None} == everything
        assert {request.method for request in fake.requests} == {"GET"}, "nothing is written"

    asyncio.run(story())


def test_kopf_that_ends_by_itself_is_an_error(kubeconfig: Path) -> None:
    """A server that does not say what it serves ends it; that must not look like a quiet one."""

    async def story() -> None:
        async with asyncio.timeout(60), fake_api() as fake:
            write(kubeconfig, fake.url)
            await Watcher(Wakes(lambda *_: None, lambda: None, lambda _: None)).run()

    with pytest.raises(RuntimeError, match="kopf has ended by itself"):
        asyncio.run(story())
