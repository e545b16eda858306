"""Attacks on the ports of members and operators, while a checked load runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from quorate_attacks import control_port, member_port
from quorate_attacks.victim import attacked

SEED = 4


def test_strangers_on_the_port_of_members_are_refused(tmp_path: Path) -> None:
    """Garbage, forged handshakes and consensus messages without the secret change no term."""

    async def run() -> None:
        random = Random(SEED)
        async with attacked(tmp_path) as victim, asyncio.timeout(100):
            before = await victim.cluster.wait_leader()
            await member_port.begin_badly(victim, random, victim.leader)
            await member_port.begin_badly(victim, random, victim.follower)
            await member_port.guess_the_secret(victim, random, 20)
            await member_port.skip_the_proof(victim, random)
            await member_port.dawdle(victim, random, victim.follower, 100)
            after = await victim.cluster.wait_leader()
            assert after.leadership_term_id < before.leadership_term_id + 1000, "a term was forged"

    asyncio.run(run())


def test_strangers_on_the_port_of_operators_are_refused(tmp_path: Path) -> None:
    """Garbage, bombs, endless bodies, polls and idle connections do not keep a probe out."""

    async def run() -> None:
        random = Random(SEED)
        async with attacked(tmp_path) as victim, asyncio.timeout(100):
            await control_port.ask_nonsense(victim, victim.leader)
            await control_port.send_a_bomb(victim, victim.leader)
            await control_port.send_a_huge_body(victim, victim.leader)
            await control_port.hang_up(victim, random, victim.leader, 100)
            await control_port.hold_every_place(victim, victim.leader, 300)
            await control_port.poll_without_end(victim, victim.follower, 200)

    asyncio.run(run())
