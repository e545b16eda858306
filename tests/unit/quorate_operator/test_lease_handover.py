"""Between two holders of the lease: a pause, and none where it was given up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate_fake_api.lease_server import Delay, LeaseServer, holder_of, lease_of, running
from quorate_fake_api.virtual_loop import VirtualClock
from quorate_operator.errors import LeaseLost
from quorate_operator.kube.api import Api
from quorate_operator.kube.kinds import Kind
from quorate_operator.lease import CALL_LIMIT_S, DEADLINE_S, DURATION_S, Lease
from quorate_operator.planning.observed import Body


def test_a_machine_that_slept_may_not_act_when_it_wakes() -> None:
    """All its clocks stood still but the one that counts suspend; elsewhere time went on."""

    class Slept(VirtualClock):
        asleep_s = 0.0

        def boottime(self) -> int:
            return super().boottime() + int(self.asleep_s * 1e9)

    clock = Slept()
    lease = Lease(cast("Api", LeaseServer()), clock, "ns", "lease", "p")

    async def story() -> None:
        await lease.acquire()
        clock.asleep_s += DEADLINE_S
        assert (lease.is_held(), lease.left_s()) == (False, 0.0)
        with pytest.raises(LeaseLost):
            lease.check()

    running(story)


@dataclass
class TimedServer(LeaseServer):
    """Knows when each write took effect; what a look asks for arrives as late as a test says."""

    look_s: Delay = lambda: 0.0
    times: list[float] = field(default_factory=list)

    async def find(self, kind: Kind, namespace: str, name: str) -> Body | None:
        await asyncio.sleep(self.look_s())
        return await super().find(kind, namespace, name)

    def _write(self, body: Body, wanted: str | None) -> Body:
        written = super()._write(body, wanted)
        self.times.append(asyncio.get_running_loop().time())
        return written


@given(data=st.data(), renewed_s=st.floats(0.0, 20.0))
def test_the_whole_duration_lies_between_the_last_renewal_and_the_next_holder(
    data: st.DataObject, renewed_s: float
) -> None:
    """However long looks take: what a holder has sent may still be on its way for the rest."""
    server = TimedServer()
    first, heir = lease_of(server, "first"), lease_of(server, "heir", shift_s=-77.0)

    async def story() -> None:
        await first.acquire()
        server.look_s = lambda: data.draw(st.sampled_from([0.0, CALL_LIMIT_S - 0.1]))
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(first.keep())
            group.create_task(heir.acquire())
            await asyncio.sleep(renewed_s)
            keeping.cancel()
        *_, last, next_one = server.times
        assert next_one - last >= DURATION_S

    running(story)


@given(
    there_s=st.floats(0.01, 0.7),
    back_s=st.floats(0.01, 0.7),
    kept_s=st.floats(0.0, 12.0),
)
def test_whoever_ends_gives_the_lease_up_also_with_a_renewal_on_its_way(
    there_s: float, back_s: float, kept_s: float
) -> None:
    """Else the next one waits for the whole duration, as after a crash."""
    server = LeaseServer(lambda: there_s, lambda: back_s)
    lease = lease_of(server, "p")

    async def story() -> None:
        await lease.acquire()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(lease.keep())
            await asyncio.sleep(kept_s)
            keeping.cancel()
        if lease.is_held():
            await lease.release()
            await asyncio.sleep(10.0)
            assert holder_of(cast("Body", server.body)) == ""

    running(story)
