"""What links tell, and how much of it is written down."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from quorate.consensus.types import Seat
from quorate.protocol.handshake import LinkRefusal
from quorate.runtime import edges
from quorate.runtime.agent import ConsensusAgent
from quorate.runtime.edges import LinkEdge


def test_a_stranger_who_knocks_all_day_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        edge = LinkEdge(cast("ConsensusAgent", None))
        for _ in range(100):
            edge.on_refused(None, LinkRefusal.MALFORMED, by_peer=False)
            edge.on_refused(Seat(1), LinkRefusal.MALFORMED, by_peer=False)
        monkeypatch.setattr(edges, "REPEATED_AFTER_S", 0.0)
        edge.on_refused(None, LinkRefusal.MALFORMED, by_peer=False)

    asyncio.run(story())
    assert len(caplog.records) == 3
