"""Attacks on the port of clients, while a checked load runs: nobody stops, nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from quorate.config import ClusterSettings
from quorate_attacks import client_port
from quorate_attacks.victim import attacked

SEED = 4
SESSIONS_MAX = 60
SETTINGS = ClusterSettings(
    digest_interval_bytes=64 * 1024,
    sessions_max=SESSIONS_MAX,
    # Long enough for a load on a machine that is busy, short enough to wait for.
    session_timeout_ns=5_000_000_000,
)


def test_clients_that_lie_about_everything(tmp_path: Path) -> None:
    """Garbage, lying headers, batches and sequences, stolen, doubled and dead sessions."""

    async def run() -> None:
        random = Random(SEED)
        async with (
            attacked(tmp_path, settings=SETTINGS) as victim,
            asyncio.timeout(100),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(client_port.dawdle(victim, victim.follower, 10), name="dawdle")
            await client_port.talk_nonsense(victim, random, victim.leader)
            await client_port.lie_about_batches(victim, random)
            await client_port.lie_about_sequences(victim, random)
            await client_port.fight_over_a_session(victim, random, 20)
            await client_port.resume_the_dead(victim, random)
            await client_port.open_too_many(victim, random, 3 * SESSIONS_MAX, SESSIONS_MAX)

    asyncio.run(run())


def test_clients_that_overwhelm(tmp_path: Path) -> None:
    """Floods, resets, silence, mutated conversations, and answers that nobody reads."""

    async def run() -> None:
        random = Random(SEED)
        settings = ClusterSettings(digest_interval_bytes=64 * 1024)
        async with attacked(tmp_path, settings=settings) as victim, asyncio.timeout(100):
            await client_port.never_acknowledge(victim, random)
            await client_port.flood(victim, random, 5)
            await client_port.hang_up_rudely(victim, random, 60)
            await client_port.mutate_conversations(victim, random, 100)
            await client_port.never_read(victim, random)

    asyncio.run(run())
