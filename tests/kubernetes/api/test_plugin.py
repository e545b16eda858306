"""``kubectl quorate`` with the real kubectl, against a real API server."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from quorate_api_server.bed import Bed, cluster_service
from quorate_kubernetes import tools
from quorate_operator.bodies import read_resource
from quorate_operator.kube import kinds
from quorate_operator.kube.act import Actor
from quorate_operator.kube.api import Api
from quorate_operator.model import ClusterStatus, TransferRow
from quorate_operator.plugin.main import main

POLL_S = 0.05


@pytest.fixture(autouse=True)
def real_kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tools.built()}:{os.environ['PATH']}")


def options(bed: Bed, namespace: str) -> list[str]:
    return ["--kubeconfig", str(bed.server.kubeconfig), "-n", namespace]


async def decide(admin: Api, namespace: str) -> str:
    """Do what the operator does with a request: wait for one and write what became of it."""
    while True:
        resource = read_resource(await admin.get(kinds.CLUSTER_SERVICE, namespace, "bank"))
        request = resource.transfer_request
        if request:
            break
        await asyncio.sleep(POLL_S)
    row = TransferRow(request, "Done", 2, "", "2026-11-28T08:00:00Z")
    await Actor(admin).report(resource, ClusterStatus(last_transfer=row))
    return request


def test_a_transfer_waits_for_the_answer_to_its_own_request(
    bed: Bed, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(admin: Api, _: Api) -> None:
        body = cluster_service("bank", namespace)
        await admin.create(kinds.CLUSTER_SERVICE, namespace, body, "t")
        words = ["transfer", "bank", "--to", "bank-2", "-o", "json", *options(bed, namespace)]
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(asyncio.to_thread(main, words), name="plugin")
            decided = group.create_task(decide(admin, namespace), name="operator")
        shown = json.loads(capsys.readouterr().out)
        assert (asked.result(), shown["request"]) == (0, decided.result())
        assert shown["request"].startswith("bank-2/")
        # The same question again: the answer to the one before does not count.
        assert await asyncio.to_thread(main, [*words, "--timeout", "1"]) == 1
        assert "is not decided yet" in capsys.readouterr().err

    bed.run(story)


def test_a_cluster_without_pods_is_shown_and_one_that_is_missing_is_told(
    bed: Bed, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(admin: Api, _: Api) -> None:
        body = cluster_service("bank", namespace)
        await admin.create(kinds.CLUSTER_SERVICE, namespace, body, "t")

    bed.run(story)
    assert main(["status", "bank", *options(bed, namespace)]) == 1
    assert capsys.readouterr().out.startswith(f"{namespace}/bank: -\n")
    assert main(["members", "safe", *options(bed, namespace)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert '"safe" not found' in line
