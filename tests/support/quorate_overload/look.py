"""What members say of themselves while they are under load."""

from __future__ import annotations

import re
from collections import Counter

import aiohttp

from quorate.dev.cluster import DevCluster

_REFUSED = re.compile(r'quorate_refused_total\{boundary="client",reason="(.+?)"\} (\S+)')
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
    """Return what members have refused from clients, by reason."""
    counts: Counter[str] = Counter()
    for text in await _metrics(cluster):
        for row in _REFUSED.finditer(text):
            counts[row[1]] += int(float(row[2]))
    return counts
