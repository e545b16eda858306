"""An API server without nodes that serves the definition, and a name for each test's resource."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from quorate_api_server.server import TOKEN, api_server
from quorate_kubernetes import tools
from quorate_operator.schema.definition import definition
from quorate_rest.cluster_services import ClusterServices
from quorate_rest.rest import Rest

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVED_LIMIT_S = 60.0
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rest]:
    with api_server(tools.built(), tmp_path_factory.mktemp("definition")) as server:
        found = Rest(server.url, TOKEN)
        answer = found.create(DEFINITIONS, definition())
        assert answer.is_success, answer.message
        deadline = time.monotonic() + SERVED_LIMIT_S
        while not found.get("/apis/quorate.io/v1/clusterservices").is_success:
            assert time.monotonic() < deadline, found.get(DEFINITIONS).body
            time.sleep(0.1)
        yield found


@pytest.fixture
def resources(rest: Rest) -> ClusterServices:
    """A namespace of the test's own, under the restricted standard for pods."""
    name = f"definition-{next(_numbers)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    answer = rest.create("/api/v1/namespaces", body)
    assert answer.is_success, answer.message
    return ClusterServices(rest, name)
