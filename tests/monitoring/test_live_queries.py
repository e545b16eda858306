"""Every query of the dashboards and alerts has data when a real Prometheus scrapes members.

The operator's metrics are its own, but set by hand: it would need a Kubernetes to count by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from prometheus_client import start_http_server

from quorate_monitoring.picture import draw
from quorate_monitoring.prometheus import Prometheus, Series, scraping, until
from quorate_monitoring.queries import ALERTS, DASHBOARDS, Query, queries, without_condition
from quorate_operator.metrics import Metrics
from quorate_operator.model import ConditionRow
from quorate_operator.reasons import Condition, Reason
from quorate_processes.cluster import make_cluster
from quorate_processes.load import Load

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

NAMESPACE, CLUSTER = "default", "counter"
ONLY_WHEN_WRONG = {"QuorateAlarmRaised"}
"""What these look at exists in a fault only; an absent operator is what `absent` is for."""
PICTURE = Path(__file__).resolve().parents[2] / "build" / "reports"


def test_every_query_of_dashboards_and_alerts_returns_data(tmp_path: Path) -> None:
    asyncio.run(scrape_a_cluster(tmp_path))


async def scrape_a_cluster(folder: Path) -> None:
    async with make_cluster(folder / "cluster", restart=True) as cluster:
        leader = await cluster.wait_leader()
        targets = {
            row.control_address: {
                "namespace": NAMESPACE,
                "cluster": CLUSTER,
                "pod": f"{CLUSTER}-{row.seat}",
            }
            for row in cluster.directory.seats
        }
        with an_operator() as operator:
            targets[operator] = {"namespace": "quorate-system", "pod": "quorate-operator-0"}
            async with scraping(folder, targets) as asked:
                began = time.time()
                async with Load(cluster.client_addresses, message_bytes=200) as load:
                    await load.answered(10_000, 60.0)
                    # So that there is an election to be seen, and a member that catches up.
                    cluster.kill(leader.seat)
                    await load.answered(20_000, 60.0)
                    await until(asked, "min(count_over_time(quorate_is_leader[1m]))", 8)
                    answers = await ask_panels(asked, began)
                    await ask_alerts(asked)
    PICTURE.mkdir(parents=True, exist_ok=True)
    for stem in {query.dashboard for query, _ in answers}:
        shown = [(query, found) for query, found in answers if query.dashboard == stem]
        draw(shown, stem, PICTURE / f"{stem}.png")


async def ask_panels(asked: Prometheus, began_s: float) -> list[tuple[Query, list[Series]]]:
    answers = []
    for path in DASHBOARDS:
        for query in queries(path):
            expr = query.filled(namespace=NAMESPACE, cluster=CLUSTER, interval="4s")
            assert await asked.now(expr), f"no data for {query.panel}: {expr}"
            answers.append((query, await asked.over(expr, began_s, time.time())))
    return answers


async def ask_alerts(asked: Prometheus) -> None:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            expr = without_condition(rule["expr"]).replace("absent(", "sum(")
            found = await asked.now(expr)
            assert found or rule["alert"] in ONLY_WHEN_WRONG, f"no data for {rule['alert']}: {expr}"


@contextmanager
def an_operator() -> Iterator[str]:
    """Serve the operator's metrics as if it had done one of each; yield ``host:port``."""
    metrics = Metrics()
    metrics.reconciles.labels("unchanged").inc()
    metrics.reconcile_seconds.observe(0.02)
    metrics.on_call("get", "apps", "statefulsets", "200")
    metrics.on_poll_problem("unreachable")
    metrics.actions.labels("ApplyChild").inc()
    metrics.deferred.labels("changed").inc()
    rows = (
        ConditionRow(condition, True, Reason.APPLIED, "", 1, "2026-01-01T00:00:00Z")
        for condition in Condition
    )
    metrics.conditions.found((NAMESPACE, CLUSTER), rows)
    metrics.watch(depth=lambda: 0, is_leader=lambda: 1)
    server, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
