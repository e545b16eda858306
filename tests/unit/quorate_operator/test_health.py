"""Probes, metrics and log lines: what the outside reads."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from quorate_operator.health import HealthServer
from quorate_operator.logs import JsonFormatter
from quorate_operator.metrics import Metrics

# Dashboards, alerts and runbooks use these names.
NAMES = {
    "quorate_operator_reconcile",
    "quorate_operator_reconcile_seconds",
    "quorate_operator_queue_depth",
    "quorate_operator_api_requests",
    "quorate_operator_is_leader",
    "quorate_operator_member_poll_errors",
    "quorate_operator_actions",
    "quorate_operator_deferred",
    "quorate_operator_condition",
    "quorate_operator_queue_dropped",
}


def test_the_three_pages() -> None:
    async def story() -> None:
        metrics = Metrics()
        metrics.on_call("get", "apps", "statefulsets", "200")
        metrics.on_poll_problem("timeout")
        metrics.watch(depth=lambda: 3.0, is_leader=lambda: 1.0)
        ready = [False]
        server = HealthServer(metrics, lambda: ready[0])
        port = await server.start("127.0.0.1", 0)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

            async def get(path: str) -> tuple[int, str]:
                async with http.get(path) as answer:
                    return answer.status, await answer.text()

            assert (await get("/livez"))[0] == 200
            assert (await get("/readyz"))[0] == 503
            ready[0] = True
            assert (await get("/readyz"))[0] == 200
            code, text = await get("/metrics")
        await server.close()
        assert code == 200
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert {name for name in families if not name.endswith("_created")} == NAMES
        (depth,) = families["quorate_operator_queue_depth"].samples
        assert depth.value == 3.0
        calls = families["quorate_operator_api_requests"].samples
        assert {"verb": "get", "code": "200"} in [sample.labels for sample in calls]

    asyncio.run(story())


def test_a_log_line_is_one_json_object() -> None:
    logger = logging.getLogger("quorate_operator.test")
    try:
        raise ValueError("with\na newline")  # noqa: TRY301 - to be caught here
    except ValueError:
        record = logger.makeRecord(
            logger.name,
            logging.ERROR,
            __file__,
            1,
            "%s failed\nbadly",
            ("it",),
            exc_info=sys.exc_info(),
            extra={"holder": "pod-1", "object": object()},
        )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert (read["level"], read["message"], read["holder"]) == (
        "error",
        "it failed\nbadly",
        "pod-1",
    )
    assert "ValueError: with" in read["exception"]
    assert "object" not in read
