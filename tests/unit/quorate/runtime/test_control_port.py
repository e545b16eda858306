"""What an operator asks of a member is logged, and so is what it does not do."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from quorate.consensus.types import Seat
from quorate.runtime.control_port import MemberControl
from quorate.runtime.member import Member
from quorate.service.api import ClientSession, ClusteredService
from quorate_runtime.bench import AgentBench


class Quiet(ClusteredService):
    """Takes no notice."""

    def on_session_message(
        self, session: ClientSession | None, timestamp: int, message: bytes
    ) -> None:
        """Do nothing."""


@pytest.mark.parametrize("leads", [True, False])
def test_each_action_is_logged_as_asked_and_with_the_reason_where_it_is_refused(
    caplog: pytest.LogCaptureFixture, *, leads: bool
) -> None:
    async def play() -> None:
        bench = AgentBench(Quiet())
        if leads:
            await bench.lead()
        else:
            bench.attach()
        parts = SimpleNamespace(
            agent=bench.agent, effects=bench.effects, report=SimpleNamespace(standing=tuple)
        )
        control = MemberControl(cast("Member", parts))
        caplog.set_level("INFO", "quorate")
        for discard in (False, True):
            expected: list[tuple[str, dict[str, object]]] = []
            caplog.clear()
            refused = control.found(discard=discard, on_outcome=lambda *_: None)
            expected.append(("admin_requested", {"action": "found", "discard": discard}))
            if refused is not None:
                expected.append(("admin_refused", {"action": "found", "reason": refused}))
            for target in (Seat(0), Seat(1), None):
                refused = control.transfer(target, lambda *_: None)
                assert refused is not None
                expected.append(("admin_requested", {"action": "transfer", "target": target}))
                expected.append(("admin_refused", {"action": "transfer", "reason": refused}))
            told = [(vars(record)["event"], vars(record)["fields"]) for record in caplog.records]
            assert [row for row in told if row[0].startswith("admin")] == expected
        assert bench.effects.transfer_outcomes == []

    asyncio.run(play())
