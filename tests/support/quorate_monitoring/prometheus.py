"""One Prometheus that scrapes members of this machine, for the time of a test."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from quorate_monitoring.programs import program

SCRAPE_INTERVAL_S = 1
START_TIMEOUT_S = 30.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a graph: its labels, and (time in seconds, value) in order."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """Asks a running one."""

    def __init__(self, port: int) -> None:
        """Ask at this port of this machine."""
        self._base = f"http://127.0.0.1:{port}/api/v1"

    async def now(self, expr: str) -> list[Series]:
        """Return the present values of an expression.

        Raises:
            OSError: It refuses the expression, or is not there.

        """
        return await self._result("query", query=expr)

    async def over(self, expr: str, start_s: float, end_s: float) -> list[Series]:
        """Return the values between two times, one a second; raises as ``now``."""
        times = {"start": f"{start_s}", "end": f"{end_s}", "step": f"{SCRAPE_INTERVAL_S}"}
        return await self._result("query_range", query=expr, **times)

    async def _result(self, path: str, **query: str) -> list[Series]:
        url = f"{self._base}/{path}?{urllib.parse.urlencode(query)}"
        return await asyncio.to_thread(_read, url)


class _Row(TypedDict, total=False):
    metric: dict[str, str]
    value: tuple[float, str]
    values: list[tuple[float, str]]


def _read(url: str) -> list[Series]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        rows: list[_Row] = json.load(answer)["data"]["result"]
    return [Series(row["metric"], tuple(_points(row))) for row in rows]


def _points(row: _Row) -> Iterator[tuple[float, float]]:
    points = row["values"] if "values" in row else [row["value"]]
    return ((at, float(value)) for at, value in points)


@asynccontextmanager
async def scraping(
    folder: Path, targets: Mapping[str, Mapping[str, str]]
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that scrapes these targets (``host:port`` and labels) each second.

    Raises:
        TimeoutError: It does not begin.

    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    static = [{"targets": [target], "labels": labels} for target, labels in targets.items()]
    jobs = [{"job_name": "quorate", "static_configs": static}]
    every = f"{SCRAPE_INTERVAL_S}s"
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "scrape_configs": jobs,
    }
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        asked = Prometheus(port)
        await until(asked, "count(up == 1)", float(len(targets)))
        yield asked
    finally:
        process.kill()
        await process.wait()


async def until(asked: Prometheus, expr: str, least: float) -> None:
    """Wait until an expression without labels is at least this much.

    Raises:
        TimeoutError: It is not within half a minute.

    """
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                found = await asked.now(expr)
            except OSError:
                found = []
            if any(value >= least for series in found for _, value in series.points):
                return
            await asyncio.sleep(POLL_S)
