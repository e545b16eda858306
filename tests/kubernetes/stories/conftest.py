"""One cluster for the whole run, one namespace for each story, and evidence when one fails."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
from collections.abc import Iterator

import pytest

from quorate_kubernetes import evidence, network
from quorate_kubernetes.cluster import Cluster, down, reserved
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.layout import REPORTS
from quorate_kubernetes.members import Members

STORY_TIMEOUT_S = 600
"""A deadline for a machine under load, not an expectation: most stories take half a minute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(STORY_TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    item.stash.setdefault(evidence.FAILED, False)
    item.stash[evidence.FAILED] |= report.failed
    item.session.stash.setdefault(evidence.FAILED, False)
    item.session.stash[evidence.FAILED] |= report.failed
    return report


@pytest.fixture(scope="session")
def running_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    # As Ctrl-C, so that a run which is told to end leaves nothing behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if os.environ.get("QUORATE_KUBERNETES_KEEP") == "1":
        with network.entered():
            yield Cluster.attach()
        return
    with reserved():
        shutil.rmtree(REPORTS / "evidence", ignore_errors=True)
        try:
            cluster = Cluster.up()
            with network.entered():
                yield cluster
        finally:
            if request.session.stash.get(evidence.FAILED, True):
                evidence.collect_cluster(REPORTS / "evidence" / "cluster")
            down()


@pytest.fixture
def cluster(running_cluster: Cluster) -> Cluster:
    running_cluster.make_whole()
    return running_cluster


@pytest.fixture
def kubectl(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    story = re.sub(r"\W+", "-", request.node.name.removeprefix("test_").replace("_", "-"))
    namespace = f"{story[:50].strip('-')}-{secrets.token_hex(2)}"
    cluster.kubectl.run("create", "namespace", namespace)
    kubectl = cluster.kubectl.within(namespace)
    yield kubectl
    if request.node.stash.get(evidence.FAILED, False):
        evidence.collect_namespace(kubectl, REPORTS / "evidence" / story)
    cluster.kubectl.delete("namespace", namespace, "--ignore-not-found")


@pytest.fixture
def members(cluster: Cluster, kubectl: Kubectl) -> Members:
    members = Members(kubectl, cluster.image)
    members.start()
    return members
