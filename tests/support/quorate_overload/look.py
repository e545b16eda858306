"""What members say of themselves while they are under load."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import aiohttp

from quorate.dev.cluster import DevCluster

PATIENCE_S = 60.0
_REFUSED = re.compile(
    r'quorate_refused_total\{boundary="(?:client|service)",reason="(.+?)"\} (\S+)'
)
_RESIDENT = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)


async def _metrics(cluster: DevCluster) -> list[str]:
    found = []
    async with aiohttp.ClientSession() as session:
        for address in cluster.control_addresses:
            async with session.get(f"http://{address}/metrics") as response:
                found.append(await response.text())
    return found


async def resident_bytes(cluster: DevCluster) -> list[float]:
    """Return the resident memory of each member."""
    found = [_RESIDENT.search(text) for text in await _metrics(cluster)]
    return [float(row[1]) for row in found if row is not None]


async def refused(cluster: DevCluster) -> Counter[str]:
    """Return what members and their services have refused from clients, by reason."""
    counts: Counter[str] = Counter()
    for text in await _metrics(cluster):
        for row in _REFUSED.finditer(text):
            counts[row[1]] += int(float(row[2]))
    return counts


async def until_refused(cluster: DevCluster, reason: str, before: Counter[str]) -> None:
    """Wait until something is refused for this reason that was not before."""
    async with asyncio.timeout(PATIENCE_S):
        while (await refused(cluster))[reason] == before[reason]:  # noqa: ASYNC110 - asks processes
            await asyncio.sleep(0.05)
