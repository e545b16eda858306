"""The operator as a process, against an API server of paper: in which order it begins and ends."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

from quorate_api_server.operator_process import OperatorProcess, operator_process
from quorate_fake_api.server import Answer, FakeApi, Request, fake_api
from quorate_operator.lease import LeaseExit

LEASES = "/apis/coordination.k8s.io/v1/namespaces/system/leases"
LEASE = f"{LEASES}/quorate-operator"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusterservices.quorate.io"
SERVICES = "/apis/quorate.io/v1/clusterservices"


class Server(FakeApi):
    """Keeps one lease with its versions; everything else is as a test says."""

    def __init__(self, holder: str = "") -> None:
        super().__init__()
        self.version = 1
        self.objects |= {"/api": {"versions": []}, "/apis": {"groups": []}, SERVICES: {"items": []}}
        if holder:
            self.objects[LEASE] = {
                "metadata": {"name": "quorate-operator", "resourceVersion": "1"},
                "spec": {"holderIdentity": holder},
            }

    def serve(self) -> None:
        annotations = {"quorate.io/schema-version": "1"}
        self.objects[DEFINITION] = {"metadata": {"annotations": annotations}}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith(LEASES) and request.method in ("POST", "PUT"):
            body = await request.json()
            if body["metadata"].get("resourceVersion", "1") != str(self.version):
                self.script.append(Answer(409))
            else:
                self.version += 1
                body["metadata"]["resourceVersion"] = str(self.version)
                self.objects[LEASE] = body
                self.script.append(Answer(200, body))
        return await super().handle(request)

    def holder(self) -> str:
        lease = cast("dict[str, dict[str, str]]", self.objects.get(LEASE, {"spec": {}}))
        return lease["spec"].get("holderIdentity", "")

    def others(self) -> list[Request]:
        """Return what was asked beside the lease."""
        return [request for request in self.requests if not request.path.startswith(LEASES)]


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(45):
            while not condition():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within 45 s: {what}") from None


def run(
    tmp_path: Path,
    server: Server,
    story: Callable[[OperatorProcess], Awaitable[None]],
) -> str:
    """Run a story with an operator; return its log."""
    log = tmp_path / "operator.log"

    async def whole() -> None:
        async with fake_api(server) as fake:
            content = {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": fake.url}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
            (tmp_path / "kubeconfig").write_text(json.dumps(content))
            with operator_process(tmp_path / "kubeconfig", log, namespace="system") as process:
                await story(process)

    asyncio.run(whole())
    return log.read_text()


async def ended(process: OperatorProcess) -> int:
    return await asyncio.to_thread(process.process.wait, 40)


def test_nothing_but_the_lease_is_touched_before_it_is_held_and_it_is_given_up_at_the_end(
    tmp_path: Path,
) -> None:
    server = Server(holder="another")

    async def story(process: OperatorProcess) -> None:
        await until(lambda: len(server.requests) >= 3, "it waits for the lease")
        assert await asyncio.to_thread(process.page, "/readyz") == "ready\n", "waiting is no fault"
        assert server.others() == []
        cast("dict[str, dict[str, str]]", server.objects[LEASE])["spec"]["holderIdentity"] = ""
        await until(lambda: bool(server.others()), "it goes on")
        assert server.holder().startswith("local_")
        version = server.version
        await until(lambda: server.version >= version + 3, "it renews the lease")
        process.process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
        assert server.holder() == ""

    run(tmp_path, server, story)


def test_no_resource_is_looked_at_before_the_definition_is_served(tmp_path: Path) -> None:
    server = Server()

    async def story(process: OperatorProcess) -> None:
        await until(lambda: len(server.others()) >= 2, "it waits for the definition")
        assert {request.path for request in server.others()} == {DEFINITION}
        process.process.send_signal(signal.SIGINT)
        assert await ended(process) == 0
        assert server.holder() == ""

    run(tmp_path, server, story)


@pytest.mark.parametrize("how", ["taken", "away"])
def test_a_process_that_loses_the_lease_ends_with_the_code_that_says_so(
    tmp_path: Path, how: str
) -> None:
    server = Server()

    async def story(process: OperatorProcess) -> None:
        await until(lambda: server.holder() != "", "it holds the lease")
        if how == "taken":
            lease = cast("dict[str, dict[str, str]]", server.objects[LEASE])
            server.version += 1
            lease["metadata"]["resourceVersion"] = str(server.version)
            lease["spec"]["holderIdentity"] = "thief"
        else:
            server.script.extend([Answer(503)] * 1000)
        assert await ended(process) == LeaseExit.LOST
        assert how != "taken" or server.holder() == "thief"

    run(tmp_path, server, story)
