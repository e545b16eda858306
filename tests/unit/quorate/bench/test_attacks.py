"""Each attack at its full strength against a gateway in this process, and ended at once."""

import asyncio
import resource
import sys
import threading
from typing import cast

import pytest

from quorate.bench import attacks
from quorate.bench.job import Job
from quorate.examples.echo import Echo
from quorate_loopback import LoopbackCluster

CROWD = 200
WHAT = {
    "crowd": "connections",
    "arrivals": "connections",
    "churn": "connections",
    "pings": "pings",
    "crumbs": "bytes",
    "trickle": "bytes",
    "glutton": "answered",
    "openers": "sessions",
    "deaf": "asked",
    "ungrateful": "asked",
}


class Input:
    """Standard input that ends when the attack is ready."""

    def __init__(self) -> None:
        self.is_ready = threading.Event()

    def read(self) -> str:
        assert self.is_ready.wait(30), "never ready"
        return ""


@pytest.mark.parametrize("name", list(attacks.ATTACKS))
def test_says_when_it_is_ready_and_ends_when_it_is_told(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> dict[str, object]:
        async with LoopbackCluster(1, service=Echo) as cluster:
            cluster.lead()
            async with asyncio.timeout(30):
                return await attacks.attack(Job("attack", (cluster.addresses[0],), attack=name))

    given, say_ready = Input(), attacks._say_ready

    def told() -> None:
        say_ready()
        given.is_ready.set()

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(attacks, "CROWD", CROWD)
    monkeypatch.setattr(attacks, "_say_ready", told)
    monkeypatch.setattr(sys, "stdin", given)
    try:
        seen = asyncio.run(run())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert capsys.readouterr().out == '{"ready": true}\n'
    assert (WHAT[name] in seen) if name in WHAT else not seen
    if name in ("crowd", "glutton"):
        assert cast("int", seen[WHAT[name]]) >= CROWD
