"""The API server is away for a minute: clients notice nothing, and the operator goes on."""

import time

from quorate_kubernetes.cluster import Cluster
from quorate_kubernetes.cluster_service import ClusterService
from quorate_kubernetes.installation import Installation
from quorate_kubernetes.kubectl import Kubectl
from quorate_kubernetes.load import Load

MESSAGES = 2_000
AWAY_S = 60.0
"""Longer than the lease of the operator, so that its process gives up and another begins."""


def test_clients_do_not_notice_that_the_api_server_is_away(
    cluster: Cluster, kubectl: Kubectl, service: ClusterService, installation: Installation
) -> None:
    load = Load.start(kubectl, cluster.image, [service.address])
    load.answered(MESSAGES)
    before = service.uids()
    figures = load.figures()

    cluster.stop_api_server()
    end = time.monotonic() + AWAY_S
    while time.monotonic() < end:
        load.answered(MESSAGES)
    cluster.start_api_server()

    after = load.figures()
    assert after.connections == figures.connections, "the client's connection was kept"
    cluster.make_whole()
    installation.wait_ready()
    service.wait_settled()
    assert service.uids() == before
    service.apply(config="title = 'wine'")
    service.wait_update_begun()
    service.wait_settled()
    load.answered(MESSAGES)
    load.finish()
    service.settled()
