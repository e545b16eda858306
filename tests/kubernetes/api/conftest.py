"""A real API server for these tests, with the definition and the operator's rights in it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from quorate_api_server.bed import USER, USER_TOKEN, Bed, body_of, install
from quorate_api_server.server import api_server, write_kubeconfig
from quorate_kubernetes import tools
from quorate_operator.kube import kinds

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    directory = tmp_path_factory.mktemp("api-server")
    users = f'{USER_TOKEN},{USER},2,""\n'
    with api_server(tools.built(), directory, users=users) as server:
        kubeconfig = directory / "operator.kubeconfig"
        write_kubeconfig(kubeconfig, server.url, USER_TOKEN)
        made = Bed(server, kubeconfig)
        asyncio.run(install(made))
        yield made


@pytest.fixture
def namespace(bed: Bed) -> str:
    """A namespace of the test's own."""
    name = f"test-{next(_numbers)}"

    async def make() -> None:
        async with bed.admin() as admin:
            await admin.create(kinds.NAMESPACE, None, body_of(kinds.NAMESPACE, name), "test")

    asyncio.run(make())
    return name
